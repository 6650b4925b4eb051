"""Files before and after in, words out: every entry of the files in ``effects`` is a case."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from smtpctl.model.artifacts import DesiredHost, ManagedFile
from smtpctl.model.plans import FileFact, HostPlan, Kind, ObservedHost, OwnedFile
from smtpctl.plan import folded, plan_host, summary
from tests.plan.conftest import sha256

CASES = [
    pytest.param(case, id=f"{path.stem}: {case['about']}")
    for path in sorted((Path(__file__).parent / "effects").glob("*.yml"))
    for case in yaml.safe_load(path.read_text())
]


def planned(files: Mapping[str, tuple[str | None, str | None]], *, host: str = "h1", secret: bool = False) -> HostPlan:
    """The plan of a host on which ``files`` (before, after) are all that is; None stands for no file."""
    before = {path: old for path, (old, _) in files.items() if old is not None}
    wanted = {
        path: ManagedFile(path, new.encode(), secret=secret) for path, (_, new) in files.items() if new is not None
    }
    desired = DesiredHost(host, wanted, (), (), (), ())
    observed = ObservedHost(
        host,
        files={path: FileFact(Kind.FILE, sha256(old), 0o644, "root", "root") for path, old in before.items()},
        contents={} if secret else {path: old.encode() for path, old in before.items()},
        owned={path: OwnedFile(sha256(old), 0o644, "root", "root", secret) for path, old in before.items()},
        revision="0123456789abcdef" if files else desired.revision,
    )
    return plan_host(desired, observed)


@pytest.mark.parametrize("case", CASES)
def test_the_words_are_those_of_the_case(case: dict[str, Any]) -> None:
    assert set(case) <= {"about", "path", "before", "after", "secret", "words"}
    plan = planned({case["path"]: (case.get("before"), case.get("after"))}, secret=case.get("secret", False))
    assert list(plan.effects) == case["words"]


def test_what_a_secret_holds_is_in_no_word() -> None:
    plan = planned({"/etc/smtpctl/secrets/x": ("hunter2 old", "hunter2 new")}, secret=True)
    assert "hunter2" not in summary(plan)


def test_nothing_is_said_of_files_on_a_host_on_which_all_is_new() -> None:
    wanted = {"/etc/postfix-bulk/main.cf": ManagedFile("/etc/postfix-bulk/main.cf", b"biff = no\n")}
    plan = plan_host(DesiredHost("h1", wanted, (), (), (), ()), ObservedHost("h1", {}))
    assert plan.effects == ()
    assert summary(plan) == "/etc/postfix-bulk/main.cf new"


def test_an_instance_is_named_where_an_effect_is_not_about_all_that_change() -> None:
    old, new = "a = 1\nb = 1\n", "a = 2\nb = 1\n"
    plan = planned({"/etc/postfix-x/main.cf": (old, new), "/etc/postfix-y/main.cf": (old, "a = 2\nb = 2\n")})
    assert plan.effects == ("a 1 → 2", "y: b 1 → 2")


def test_a_certificate_says_until_when_it_is_good() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "relay1.example.com")])
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=90))
        .sign(key, None)
    )
    text = certificate.public_bytes(serialization.Encoding.PEM).decode()
    plan = planned({"/etc/postfix-a/tls.pem": ("old", text), "/etc/postfix-b/tls.pem": ("old", text)}, secret=True)
    assert plan.effects == ("TLS certificate renewed, valid until 2026-04-01",)
    assert planned({"/etc/smtpctl/ca.pem": ("old", text)}).effects == ("ca.pem renewed, valid until 2026-04-01",)
    assert planned({"/etc/smtpctl/ca.pem": ("old", "new")}).effects == ("1 line of /etc/smtpctl/ca.pem",)


def test_hosts_share_the_sentences_that_are_about_them_all() -> None:
    shared = ("message_size_limit = 1\n", "message_size_limit = 2\n")
    plans = {
        "relay1": planned({"/etc/postfix-x/main.cf": shared, "/etc/new": (None, "a")}, host="relay1"),
        "relay2": planned({"/etc/postfix-x/main.cf": shared}, host="relay2"),
        "edge1": planned({}, host="edge1"),
    }
    assert folded(plans) == (
        (("relay1", "relay2"), "message_size_limit 1 → 2"),
        (("relay1",), "/etc/new new"),
        (("edge1",), "no changes"),
    )
