"""The records of a fleet: complete, readable by a zone parser, and good enough for a DKIM verifier."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dkim
import dns.name
import dns.rdatatype
import dns.zone
import pytest

from smtpctl.dns import Record, records_for, zone_lines
from smtpctl.dns.check import joined
from smtpctl.errors import SecretsError
from smtpctl.inventory import load_fleet
from smtpctl.model.fleet import Fleet, Role
from smtpctl.model.secrets import Secrets

INVENTORIES = Path(__file__).parents[2] / "inventory"


@pytest.fixture(scope="module")
def records(fleet: Fleet, secrets: Secrets) -> tuple[Record, ...]:
    return records_for(fleet, secrets)


def values(records: tuple[Record, ...], name: str, kind: str) -> list[str]:
    return [record.value for record in records if (record.name, record.type) == (f"{name}.", kind)]


def text(records: tuple[Record, ...], name: str) -> str:
    [value] = values(records, name, "TXT")
    return joined(value)


def test_a_zone_parser_reads_all_of_them(records: tuple[Record, ...]) -> None:
    zone = dns.zone.from_text(zone_lines(records), origin=".", relativize=False, check_origin=False)
    read = {(name.to_text(), dns.rdatatype.to_text(data.rdtype)) for name, _, data in zone.iterate_rdatas()}
    assert read == {(record.name, record.type) for record in records}
    assert sum(1 for _ in zone.iterate_rdatas()) == len(records)


@pytest.mark.parametrize("path", sorted(INVENTORIES.glob("*.yml")), ids=lambda path: path.stem)
def test_every_inventory_of_ours_has_a_readable_zone(path: Path) -> None:
    found = records_for(load_fleet(path), Secrets({}, placeholders=True))
    assert dns.zone.from_text(zone_lines(found), origin=".", relativize=False, check_origin=False)
    assert len({record.name for record in found if "v=spf1" in record.value}) == len(
        [record for record in found if "v=spf1" in record.value]
    )


def test_they_come_sorted_and_each_once(fleet: Fleet, secrets: Secrets, records: tuple[Record, ...]) -> None:
    assert len(set(records)) == len(records)
    assert list(records) == sorted(records, key=Record.order)
    assert records_for(fleet, secrets) == records


def test_every_string_of_a_text_fits(records: tuple[Record, ...]) -> None:
    for record in records:
        if record.type == "TXT":
            assert all(len(string) <= 255 for string in record.value.strip('"').split('" "'))


def test_hosts_and_helo_names_have_addresses_and_the_way_back(records: tuple[Record, ...]) -> None:
    assert values(records, "edge1.lab.test", "A") == ["10.78.0.11"]
    assert values(records, "out3.lab.test", "A") == ["10.78.2.4"]
    assert values(records, "11.0.78.10.in-addr.arpa", "PTR") == ["edge1.lab.test."]
    assert values(records, "4.2.78.10.in-addr.arpa", "PTR") == ["out3.lab.test."]


def test_applications_find_the_virtual_address(records: tuple[Record, ...]) -> None:
    assert values(records, "smtp.lab.test", "A") == ["10.78.0.10"]
    assert values(records, "10.0.78.10.in-addr.arpa", "PTR") == ["smtp.lab.test."]


def test_without_a_virtual_address_applications_find_the_balancers(fleet: Fleet, secrets: Secrets) -> None:
    balancing = replace(fleet.balancing, virtual_address=None)
    found = records_for(replace(fleet, balancing=balancing), secrets)
    assert values(found, "smtp.lab.test", "A") == ["10.78.0.11", "10.78.0.12"]


def test_ipv6_addresses_have_their_own_types(fleet: Fleet, secrets: Secrets) -> None:
    host = replace(fleet.hosts["control1"], address="2001:db8::1")
    found = records_for(replace(fleet, hosts={**fleet.hosts, "control1": host}), secrets)
    assert values(found, "control1.lab.test", "AAAA") == ["2001:db8::1"]
    assert values(found, "1" + ".0" * 23 + ".8.b.d.0.1.0.0.2.ip6.arpa", "PTR") == ["control1.lab.test."]


def test_an_address_that_mail_leaves_from_is_named_by_its_helo_name_only(fleet: Fleet, secrets: Secrets) -> None:
    host = replace(fleet.hosts["relay1"], address="10.78.2.1")
    found = records_for(replace(fleet, hosts={**fleet.hosts, "relay1": host}), secrets)
    assert values(found, "1.2.78.10.in-addr.arpa", "PTR") == ["out1.lab.test."]


@pytest.mark.parametrize(
    "domain", ["lab.test", "feedback.lab.test", "shop.test", "bounce.shop.test", "bounce.news.test"]
)
def test_the_feedback_hosts_are_the_mail_exchangers(records: tuple[Record, ...], domain: str) -> None:
    assert values(records, domain, "MX") == ["10 feedback1.lab.test."]
    assert text(records, f"_smtp._tls.{domain}") == "v=TLSRPTv1; rua=mailto:tls-reports@feedback.lab.test"


def test_mail_exchangers_come_in_the_inventorys_order(fleet: Fleet, secrets: Secrets) -> None:
    more = {f"fb{n}": replace(fleet.hosts["feedback1"], address=f"10.78.0.{50 + n}") for n in range(11)}
    found = records_for(replace(fleet, hosts=more), secrets)
    assert values(found, "shop.test", "MX") == [f"{(n + 1) * 10} fb{n}.lab.test." for n in range(11)]


def test_all_sources_of_all_pools_may_send_for_every_domain(fleet: Fleet, records: tuple[Record, ...]) -> None:
    sources = [source.address for host in fleet.hosts_with(Role.RELAY).values() for source in host.sources]
    for domain in ("shop.test", "bounce.shop.test", "news.test", "bounce.news.test"):
        first, *terms, last = text(records, domain).split(" ")
        assert (first, last) == ("v=spf1", "-all")
        assert sorted(terms) == sorted(f"ip4:{address}" for address in sources)


def test_a_helo_name_may_be_used_by_its_own_address(records: tuple[Record, ...]) -> None:
    assert text(records, "bulk2.lab.test") == "v=spf1 a -all"


def test_a_name_never_has_two_spf_records(fleet: Fleet, secrets: Secrets) -> None:
    relay = fleet.hosts["relay1"]
    sources = [replace(relay.sources[0], helo="bounce.shop.test"), *relay.sources[1:]]
    hosts = {**fleet.hosts, "relay1": replace(relay, sources=sources)}
    found = records_for(replace(fleet, hosts=hosts), secrets)
    assert text(found, "bounce.shop.test").startswith("v=spf1 ip4:")


def test_sixty_relays_fit_the_limits(fleet: Fleet, secrets: Secrets) -> None:
    source = fleet.hosts["relay1"].sources[0]
    hosts = {
        f"r{n}": replace(
            fleet.hosts["relay1"], address=f"10.79.{n}.1", sources=[replace(source, address=f"10.79.{n}.9")]
        )
        for n in range(60)
    }
    found = records_for(replace(fleet, hosts=hosts), secrets)
    assert text(found, "shop.test").startswith("v=spf1 include:_spf1.lab.test include:_spf2.lab.test")
    assert "ip4:10.79.0.9" in text(found, "_spf1.lab.test")


def test_policies_are_the_inventorys(records: tuple[Record, ...]) -> None:
    assert text(records, "_dmarc.shop.test") == "v=DMARC1; p=reject; rua=mailto:dmarc-reports@feedback.lab.test"
    assert text(records, "_dmarc.news.test") == "v=DMARC1; p=quarantine; rua=mailto:dmarc-reports@feedback.lab.test"


def test_the_feedback_domain_consents_to_reports_of_other_domains(fleet: Fleet, secrets: Secrets) -> None:
    consent = "._report._dmarc.feedback."
    assert text(records_for(fleet, secrets), f"shop.test{consent}lab.test") == "v=DMARC1;"
    domains = replace(fleet.domains, feedback="feedback.shop.test")
    found = records_for(replace(fleet, domains=domains), secrets)
    assert not values(found, f"shop.test{consent}shop.test", "TXT")
    assert text(found, f"news.test{consent}shop.test") == "v=DMARC1;"


@pytest.mark.parametrize("domain", ["shop.test", "news.test"])
@pytest.mark.parametrize(("selector", "algorithm"), [("r1", b"rsa-sha256"), ("e1", b"ed25519-sha256")])
def test_a_verifier_accepts_a_signature_by_the_published_key(
    secrets: Secrets, records: tuple[Record, ...], domain: str, selector: str, algorithm: bytes
) -> None:
    message = f"From: orders@{domain}\r\nTo: someone@gmail.test\r\nSubject: Receipt\r\n\r\nThank you.\r\n".encode()
    signed = _signature(message, domain, selector, algorithm, secrets) + message
    assert dkim.verify(signed, dnsfunc=_published(records))
    assert not dkim.verify(signed.replace(b"Thank you", b"Pay here"), dnsfunc=_published(records))


def _published(records: tuple[Record, ...]) -> Callable[..., bytes]:
    return lambda name, timeout=5: text(records, name.decode().rstrip(".")).encode()


def _signature(message: bytes, domain: str, selector: str, algorithm: bytes, secrets: Secrets) -> bytes:
    private = secrets[f"dkim/{domain}/{selector}/private"].encode()
    if algorithm == b"ed25519-sha256":
        # dkimpy takes the 32-byte seed, which is the end of the PKCS#8 form (RFC 8410 §7).
        private = base64.b64encode(base64.b64decode(b"".join(private.splitlines()[1:-1]))[-32:])
    signature: bytes = dkim.sign(message, selector.encode(), domain.encode(), private, signature_algorithm=algorithm)
    return signature


def test_without_keys_placeholders_stand_in(fleet: Fleet) -> None:
    found = records_for(fleet, Secrets({}, placeholders=True))
    assert text(found, "r1._domainkey.shop.test") == "v=DKIM1; k=rsa; p=PLACEHOLDER(dkim/shop.test/r1/public)"


def test_without_keys_or_placeholders_the_missing_secret_is_named(fleet: Fleet) -> None:
    with pytest.raises(SecretsError, match=r"'dkim/shop\.test/r1/public' is missing"):
        records_for(fleet, Secrets({}))


def test_no_private_value_reaches_a_record(secrets: Secrets, records: tuple[Record, ...]) -> None:
    assert secrets.mask(zone_lines(records)) == zone_lines(records)


def test_a_record_knows_the_domains_that_it_is_within() -> None:
    record = Record("_dmarc.shop.test.", 60, "TXT", '"x"')
    assert record.is_within("shop.test")
    assert record.is_within("_dmarc.shop.test")
    assert not record.is_within("op.test")
    assert dns.name.from_text(record.name).is_absolute()
