"""The zone of the lab's DNS: what is in it, and whose records win."""

from __future__ import annotations

import dns.name
import dns.rdatatype
import dns.zone
import pytest
from cryptography import x509

from smtpctl.dns import Record
from smtpctl.lab.internet.authority import ensure_internet, provider_certificates
from smtpctl.lab.internet.providers import PROVIDERS, provider_domains
from smtpctl.lab.internet.zone import root_zone
from smtpctl.lab.state import StateFolder

HOSTS = {"ctl.lab.test": "10.78.0.1", "edge1.lab.test": "10.78.0.11", "inet.lab.test": "10.78.0.2"}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, x509.Certificate]:
    state = StateFolder(tmp_path_factory.mktemp("lab"))
    ensure_internet(state)
    return dict(provider_certificates(state))


def values(zone: dns.zone.Zone, name: str, kind: str) -> set[str]:
    found = zone.get_rdataset(dns.name.from_text(name), dns.rdatatype.from_text(kind))
    return {record.to_text() for record in found} if found else set()


def parse(text: str) -> dns.zone.Zone:
    """The zone as a name server reads it: an error in it raises."""
    return dns.zone.from_text(text, origin=".", relativize=False)


def test_the_zone_holds_hosts_with_their_reverse_names(certificates: dict[str, x509.Certificate]) -> None:
    zone = parse(root_zone(HOSTS, certificates, ()))
    assert values(zone, "edge1.lab.test.", "A") == {"10.78.0.11"}
    assert values(zone, "11.0.78.10.in-addr.arpa.", "PTR") == {"edge1.lab.test."}


def test_every_address_has_one_reverse_name_that_leads_back_to_it(certificates: dict[str, x509.Certificate]) -> None:
    zone = parse(root_zone(HOSTS, certificates, ()))
    addresses = [*HOSTS.values(), *(provider.address for provider in PROVIDERS)]
    for address in addresses:
        reverse = ".".join(reversed(address.split("."))) + ".in-addr.arpa."
        (name,) = values(zone, reverse, "PTR")
        assert address in values(zone, name, "A")


def test_every_provider_domain_has_an_mx_with_an_address(certificates: dict[str, x509.Certificate]) -> None:
    zone = parse(root_zone(HOSTS, certificates, ()))
    for domain in provider_domains():
        (exchanger,) = values(zone, f"{domain}.", "MX")
        assert values(zone, exchanger.removeprefix("10 "), "A")


def test_a_company_is_hosted_by_a_provider_whose_domain_it_does_not_share(
    certificates: dict[str, x509.Certificate],
) -> None:
    zone = parse(root_zone(HOSTS, certificates, ()))
    assert values(zone, "company.test.", "MX") == {"10 mx.gmail.test."}


def test_only_providers_that_do_dane_publish_tlsa_records(certificates: dict[str, x509.Certificate]) -> None:
    zone = parse(root_zone(HOSTS, certificates, ()))
    for provider in PROVIDERS:
        assert bool(values(zone, f"_25._tcp.{provider.mail_host}.", "TLSA")) == provider.dane


def test_the_fleets_records_stand_in_place_of_the_labs_of_the_same_name_and_type(
    certificates: dict[str, x509.Certificate],
) -> None:
    fleet = (
        Record("edge1.lab.test.", 3600, "A", "10.78.0.11"),
        Record("11.0.78.10.in-addr.arpa.", 3600, "PTR", "edge1.lab.test."),
        Record("lab.test.", 3600, "MX", "10 feedback1.lab.test."),
    )
    text = root_zone(HOSTS, certificates, fleet)
    assert text.count("\nedge1.lab.test. ") == 1
    assert text.count("\n11.0.78.10.in-addr.arpa. ") == 1
    assert values(parse(text), "lab.test.", "MX") == {"10 feedback1.lab.test."}
