"""The fleet's authority and its certificates, judged by OpenSSL and by Python's own TLS in strict mode."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from smtpctl.keys.certificates import Pair, issue, new_authority, reason_to_renew

NAMES = ("edge1.lab.test", "10.78.0.11", "localhost", "127.0.0.1", "smtp.lab.test", "fd00::1")


@pytest.fixture(scope="module")
def present() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def authority(present: datetime) -> Pair:
    return new_authority("lab", present)


@pytest.fixture(scope="module")
def host(authority: Pair, present: datetime) -> Pair:
    return issue(authority, NAMES, present)


@pytest.mark.parametrize(
    "name", ["-verify_hostname edge1.lab.test", "-verify_ip 10.78.0.11", "-verify_hostname smtp.lab.test"]
)
@pytest.mark.parametrize("purpose", ["sslserver", "sslclient"])
def test_openssl_verifies_the_chain(authority: Pair, host: Pair, tmp_path: Path, name: str, purpose: str) -> None:
    (tmp_path / "ca.pem").write_text(authority.certificate)
    (tmp_path / "host.pem").write_text(host.certificate)
    command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, *name.split()]
    command += ["-CAfile", str(tmp_path / "ca.pem"), str(tmp_path / "host.pem")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_openssl_refuses_another_name(authority: Pair, host: Pair, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(authority.certificate)
    (tmp_path / "host.pem").write_text(host.certificate)
    command = ["openssl", "verify", "-verify_hostname", "edge2.lab.test", "-CAfile", str(tmp_path / "ca.pem")]
    assert subprocess.run([*command, str(tmp_path / "host.pem")], capture_output=True, check=False).returncode != 0


def test_a_handshake_succeeds_under_the_strict_rules_of_python_3_13(
    authority: Pair, host: Pair, tmp_path: Path
) -> None:
    (tmp_path / "host.pem").write_text(host.certificate + host.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "host.pem")
    client = ssl.create_default_context(cadata=authority.certificate)
    client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with server.wrap_socket(theirs, server_side=True) as tls:
            tls.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    with client.wrap_socket(ours, server_hostname="smtp.lab.test") as tls:
        tls.send(b"x")
        assert tls.version() == "TLSv1.3"
    thread.join()


def test_lifetimes_are_ten_years_and_825_days(authority: Pair, host: Pair, present: datetime) -> None:
    ends = [x509.load_pem_x509_certificate(pair.certificate.encode()).not_valid_after_utc for pair in (authority, host)]
    assert [(end - present + timedelta(seconds=1)).days for end in ends] == [3653, 825]


def test_a_certificate_never_outlives_its_authority(authority: Pair, present: datetime) -> None:
    late = present + timedelta(days=3653 - 100)
    leaf = x509.load_pem_x509_certificate(issue(authority, NAMES, late).certificate.encode())
    assert (
        leaf.not_valid_after_utc == x509.load_pem_x509_certificate(authority.certificate.encode()).not_valid_after_utc
    )


def test_reasons_to_renew(authority: Pair, host: Pair, present: datetime) -> None:
    def reason(names: tuple[str, ...] = NAMES, days: float = 0, signer: Pair = authority) -> str:
        return reason_to_renew(host.certificate, signer.certificate, names, present + timedelta(days=days))

    assert reason() == ""
    assert reason(names=tuple(reversed(NAMES))) == ""
    assert reason(names=NAMES[:-1]) == "its names changed"
    assert reason(names=(*NAMES, "more.lab.test")) == "its names changed"
    assert reason(days=794) == ""
    assert reason(days=796) == "it expires soon"
    assert reason(signer=new_authority("lab", present)) == "its authority changed"
    assert reason_to_renew("rubbish", authority.certificate, NAMES, present) == "it is damaged"


def test_a_long_name_is_no_obstacle(authority: Pair, present: datetime) -> None:
    name = "a-host-with-a-name-as-long-as-labels-may-be." * 3 + "lab.test"
    assert (
        reason_to_renew(issue(authority, (name,), present).certificate, authority.certificate, (name,), present) == ""
    )


def test_a_pair_does_not_show_its_key(host: Pair) -> None:
    assert "PRIVATE" not in repr(host)
