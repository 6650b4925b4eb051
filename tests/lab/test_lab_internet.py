"""The internet of the running lab: mailbox providers that judge, refuse on request and count, and a signed DNS."""

from __future__ import annotations

import base64
import smtplib
import ssl
import time
from collections.abc import Iterator
from email.message import EmailMessage

import dkim
import dns.dnssec
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from smtpctl.dns import Record
from smtpctl.dns.record import quoted
from smtpctl.lab import Lab, recipient, resolver, source, verdicts
from smtpctl.lab.internet.providers import PROVIDERS, Provider

pytestmark = pytest.mark.lab

SENDER = "ada@sender.test"
GMAIL = PROVIDERS[0].address


def message(subject: str, sender: str = SENDER) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = "someone@gmail.test"
    message["Subject"] = subject
    message.set_content("text\n")
    return message


def submit(recipients: list[str], subject: str, sender: str = SENDER, address: str = GMAIL) -> None:
    with smtplib.SMTP(address, 25, timeout=20) as session:
        session.send_message(message(subject, sender), sender, recipients)


def answer(address: str, to: str) -> tuple[int, str]:
    """What a provider says to RCPT TO."""
    with smtplib.SMTP(address, 25, timeout=20) as session:
        session.ehlo("ctl.lab.test")
        session.mail(SENDER)
        code, text = session.rcpt(to)
        return code, text.decode()


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_a_provider_says_its_own_name_and_proves_it_under_tls(lab: Lab, provider: Provider) -> None:
    context = ssl.create_default_context(cafile=str(lab.state.authority))
    context.check_hostname = False  # smtplib would check the address; the name is looked for below
    with smtplib.SMTP(provider.address, 25, timeout=20) as session:
        assert session.ehlo("ctl.lab.test")[1].startswith(provider.mail_host.encode())
        session.starttls(context=context)
        assert isinstance(session.sock, ssl.SSLSocket)
        certificate = session.sock.getpeercert()
        assert certificate is not None
        assert certificate["subjectAltName"] == (("DNS", provider.mail_host),)


@pytest.mark.parametrize(
    ("local", "code", "status"),
    [
        ("nobody", 550, "5.1.1"),
        ("full", 452, "4.2.2"),
        ("throttle", 421, "4.7.0"),
        ("spam", 554, "5.7.1"),
        ("grey", 450, "4.2.0"),
        ("slow+1", 421, "4.4.2"),
        ("someone", 250, "2.1.5"),
    ],
)
@pytest.mark.parametrize("suffix", ["", "+42"])
def test_a_recipient_is_answered_as_its_local_part_asks(local: str, code: int, status: str, suffix: str) -> None:
    if local == "slow+1" and suffix:
        local, suffix = "slow+1", ""
    said = answer(GMAIL, f"{local}{suffix}@gmail.test")
    assert said[0] == code
    assert said[1].startswith(status)


def test_a_domain_that_no_provider_receives_for_is_not_relayed() -> None:
    assert answer(GMAIL, "someone@elsewhere.test")[0] == 554


def test_greylisting_lets_a_retry_in_after_some_seconds() -> None:
    to = f"grey+{time.monotonic_ns()}@gmail.test"
    assert answer(GMAIL, to)[0] == 450
    assert answer(GMAIL, to)[0] == 450
    time.sleep(5.1)
    assert answer(GMAIL, to)[0] == 250


def test_a_slow_recipient_keeps_the_client_waiting() -> None:
    began = time.monotonic()
    assert answer(GMAIL, "slow+2@gmail.test")[0] == 421
    assert time.monotonic() - began >= 2.0


def test_a_message_that_is_refused_later_comes_back_as_a_report_to_its_envelope_sender(lab: Lab) -> None:
    to = f"returns+{time.monotonic_ns()}@yahoo.test"
    submit(["later+7@gmail.test"], "accepted, then refused", sender=to)
    (report,) = lab.mail("yahoo.test", to=to, wait=20)
    assert report["Return-Path"] == "<>"
    assert report.get_content_type() == "multipart/report"
    text = report.as_string()
    assert "Status: 5.2.1" in text
    assert "Original-Recipient: rfc822;later+7@gmail.test" in text


def test_what_goes_into_the_black_hole_is_accepted_and_never_delivered(lab: Lab) -> None:
    mark = f"black{time.monotonic_ns()}"
    submit(["blackhole@gmx.test", f"{mark}@gmx.test"], mark)
    assert [recipient(found) for found in lab.mail("gmx.test", to=f"{mark}@gmx.test", wait=20)] == [f"{mark}@gmx.test"]
    assert lab.mail("gmx.test", to="blackhole@gmx.test") == []


def test_every_recipient_of_every_message_is_counted_once(lab: Lab) -> None:
    before = lab.mail_count("live.test")
    with smtplib.SMTP(PROVIDERS[1].address, 25, timeout=20) as session:
        for number in range(100):
            session.send_message(message(f"count {number}"), SENDER, [f"r{number}.{n}@live.test" for n in range(5)])
    end = time.monotonic() + 30
    while lab.mail_count("live.test") < before + 500 and time.monotonic() < end:
        time.sleep(0.1)
    assert lab.mail_count("live.test") == before + 500


def test_a_company_hosted_at_a_provider_has_mail_of_its_own(lab: Lab) -> None:
    mark = f"m{time.monotonic_ns()}"
    submit([f"{mark}@company.test"], mark)
    assert len(lab.mail("company.test", to=f"{mark}@company.test", wait=20)) == 1


# --- authentication ---


@pytest.fixture
def keys(lab: Lab) -> Iterator[dict[str, bytes]]:
    """DKIM keys of sender.test, whose records the lab serves for one test: this machine's end is its only sender."""
    edwards, modulus = ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)
    edwards_public = edwards.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    modulus_public = modulus.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    lab.serve(
        Record("sender.test.", 60, "TXT", quoted("v=spf1 ip4:10.78.0.1 -all")),
        Record("_dmarc.sender.test.", 60, "TXT", quoted("v=DMARC1; p=reject")),
        Record("e1._domainkey.sender.test.", 60, "TXT", quoted(f"v=DKIM1; k=ed25519; p={encoded(edwards_public)}")),
        Record("r1._domainkey.sender.test.", 60, "TXT", quoted(f"v=DKIM1; k=rsa; p={encoded(modulus_public)}")),
    )
    pem = modulus.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    raw = edwards.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    yield {"r1": pem, "e1": encoded(raw).encode()}
    lab.serve()


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def signed(content: bytes, keys: dict[str, bytes], selectors: tuple[str, ...]) -> bytes:
    for selector in selectors:
        algorithm = b"ed25519-sha256" if selector == "e1" else b"rsa-sha256"
        content = (
            dkim.sign(content, selector.encode(), b"sender.test", keys[selector], signature_algorithm=algorithm)
            + content
        )
    return content


def judged(lab: Lab, content: bytes) -> EmailMessage:
    to = f"judge{time.monotonic_ns()}@outlook.test"
    with smtplib.SMTP(PROVIDERS[1].address, 25, timeout=20) as session:
        session.sendmail(SENDER, [to], content)
    (delivered,) = lab.mail("outlook.test", to=to, wait=20)
    return delivered


@pytest.mark.parametrize("selectors", [("r1",), ("e1",), ("r1", "e1")])
def test_good_signatures_of_either_kind_pass_and_so_do_sender_policy_and_alignment(
    lab: Lab, keys: dict[str, bytes], selectors: tuple[str, ...]
) -> None:
    found = judged(lab, signed(message("signed").as_bytes(), keys, selectors))
    assert verdicts(found) == {"dkim": "pass", "spf": "pass", "dmarc": "pass"}
    assert str(found["Authentication-Results"]).startswith("mx.outlook.test;")
    assert source(found) == "10.78.0.1"


def test_a_body_that_was_changed_fails_its_signature(lab: Lab, keys: dict[str, bytes]) -> None:
    content = signed(message("changed").as_bytes(), keys, ("r1",)).replace(b"text\n", b"test\n")
    assert verdicts(judged(lab, content))["dkim"] == "fail"


def test_mail_from_an_address_that_the_sender_does_not_name_fails(lab: Lab) -> None:
    lab.serve(
        Record("sender.test.", 60, "TXT", quoted("v=spf1 ip4:10.78.2.1 -all")),
        Record("_dmarc.sender.test.", 60, "TXT", quoted("v=DMARC1; p=reject")),
    )
    found = judged(lab, message("foreign").as_bytes())
    lab.serve()
    assert verdicts(found) == {"dkim": "none", "spf": "fail", "dmarc": "fail"}


# --- DNS ---


def test_the_root_is_signed_by_the_key_that_every_host_trusts(lab: Lab) -> None:
    root = dns.name.root
    reply = dns.query.tcp(dns.message.make_query(root, "DNSKEY", want_dnssec=True), "10.78.0.2", timeout=5)
    keys = reply.get_rrset(reply.answer, root, dns.rdataclass.IN, dns.rdatatype.DNSKEY)
    trusted = lab.run("edge1", ["cat", "/etc/lab/trust-anchor.key"]).stdout
    name, ttl, kind, _, value = trusted.split(maxsplit=4)
    assert keys == dns.rrset.from_text(name, int(ttl), kind, "DNSKEY", value)
    answer = dns.query.tcp(dns.message.make_query("gmail.test.", "MX", want_dnssec=True), "10.78.0.2", timeout=5)
    records, signature = answer.answer
    dns.dnssec.validate(records, signature, {root: keys})


def test_a_validating_resolver_on_a_host_trusts_what_is_there_and_what_is_not(lab: Lab) -> None:
    configuration = """
server:
  interface: 127.0.0.9@5399
  do-daemonize: no
  username: ""
  chroot: ""
  directory: ""
  pidfile: ""
  use-syslog: no
  root-hints: /tmp/hints
  trust-anchor-file: /etc/lab/trust-anchor.key
  local-zone: "test." nodefault
  local-zone: "10.in-addr.arpa." nodefault
"""
    script = r"""
echo '. 3600 NS ns.root.test.
ns.root.test. 3600 A 10.78.0.2' > /tmp/hints
cat > /tmp/unbound.conf
# As the user that an applied host's firewall lets ask the world.
runuser -u unbound -- unbound -c /tmp/unbound.conf &
for _ in $(seq 100); do dig +tries=1 +time=1 @127.0.0.9 -p 5399 . SOA >/dev/null && break; sleep 0.05; done
for question in 'gmail.test MX' 'nowhere.test A' 'example.com A' '11.0.78.10.in-addr.arpa PTR' \
    '_25._tcp.mx.yahoo.test TLSA'; do
  dig +tries=2 +time=3 @127.0.0.9 -p 5399 $question | grep -E 'status:|flags:.* ad' | tr '\n' ' '; echo
done
kill %1; wait; rm -f /tmp/hints /tmp/unbound.conf
"""
    result = lab.run("relay2", ["bash", "-c", script], input=configuration, timeout=60)
    lines = result.stdout.splitlines()
    assert [line.split("status: ")[1].split(",")[0] for line in lines] == [
        "NOERROR", "NXDOMAIN", "NXDOMAIN", "NOERROR", "NOERROR",
    ], result.stderr  # fmt: skip
    assert all(" ad" in line.split("flags:")[1] for line in lines)


def test_the_controllers_resolver_asks_the_lab() -> None:
    (exchanger,) = resolver().resolve("company.test", "MX")
    assert str(exchanger) == "10 mx.gmail.test."


def test_records_are_served_within_a_second(lab: Lab) -> None:
    began = time.monotonic()
    lab.serve(Record("fresh.test.", 60, "TXT", quoted("x" * 600)))
    (text,) = resolver().resolve("fresh.test", "TXT")
    assert time.monotonic() - began < 1.0
    assert b"".join(text.strings) == b"x" * 600
    lab.serve()
