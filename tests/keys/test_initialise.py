"""What init makes, keeps and renews."""

from __future__ import annotations

import base64
import multiprocessing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from smtpctl.errors import SecretsError
from smtpctl.keys import init_secrets, read_secrets
from smtpctl.keys.certificates import subject_names
from smtpctl.keys.dkim import public_part
from smtpctl.keys.initialise import complete
from smtpctl.keys.needs import certificate_names, database_roles, needed_names
from smtpctl.keys.scram import verifier
from smtpctl.model.fleet import Fleet
from smtpctl.model.secrets import Secrets


def test_everything_the_fleet_needs_is_made(fleet: Fleet, lab_secrets: Secrets) -> None:
    assert sorted(lab_secrets) == sorted(needed_names(fleet))


def test_the_names_are_those_that_others_ask_for(fleet: Fleet) -> None:
    names = needed_names(fleet)
    for name in (
        "dkim/shop.test/r1/private",
        "dkim/news.test/e1/public",
        "tls/ca/certificate",
        "tls/edge1/key",
        "credentials/trickle/scram",
        "mailboxes/postmaster/password",
        "database/writer_control1/verifier",
        "database/policy_edge1/password",
        "database/policy_relay2/password",
        "database/feedback_feedback1/password",
        "database/reader/password",
        "database/operator/verifier",
    ):
        assert name in names
    assert "database/policy_control1/password" not in names


def test_roles_have_names_that_sql_takes_unquoted(fleet: Fleet) -> None:
    hosts = {"edge-a1": fleet.hosts["edge1"], "feedback-1": fleet.hosts["feedback1"]}
    roles = database_roles(replace(fleet, hosts=hosts))
    assert roles == (
        "writer_edge_a1",
        "writer_feedback_1",
        "policy_edge_a1",
        "feedback_feedback_1",
        "reader",
        "operator",
    )


def test_certificates_name_all_that_clients_use(fleet: Fleet, lab_secrets: Secrets) -> None:
    def names(host: str) -> set[str]:
        return set(subject_names(x509.load_pem_x509_certificate(lab_secrets[f"tls/{host}/certificate"].encode())))

    loopback = {"localhost", "127.0.0.1"}
    assert names("edge1") == {"edge1.lab.test", "10.78.0.11", "smtp.lab.test"} | loopback
    assert names("relay2") == {"relay2.lab.test", "10.78.0.14", "out3.lab.test", "bulk2.lab.test"} | loopback
    assert names("control1") == {"control1.lab.test", "10.78.0.16"} | loopback
    assert certificate_names(fleet, "edge1")[0] == "edge1.lab.test"


def test_derived_values_belong_to_their_sources(lab_secrets: Secrets) -> None:
    for name in lab_secrets:
        head, part = name.rsplit("/", 1)
        if part == "private" and head.startswith("dkim/"):
            assert lab_secrets[f"{head}/public"] == public_part(lab_secrets[name])
        elif part == "scram":
            salt = base64.b64decode(lab_secrets[name].split("}")[1].split(",")[1])
            assert lab_secrets[name] == verifier(lab_secrets[f"{head}/password"], salt).for_dovecot()
        elif part == "verifier":
            salt = base64.b64decode(lab_secrets[name].split("$")[1].split(":")[1])
            assert lab_secrets[name] == verifier(lab_secrets[f"{head}/password"], salt).for_postgresql()


def test_no_two_secrets_are_alike(lab_secrets: Secrets) -> None:
    assert len(set(lab_secrets.values())) == len(lab_secrets)


def test_a_second_init_makes_nothing(fleet: Fleet, lab_secrets: Secrets, now: datetime) -> None:
    assert complete(dict(lab_secrets), fleet, now) == {}


@pytest.mark.parametrize("half", ["public", "scram", "verifier"])
def test_a_lost_derived_value_comes_back_and_its_source_stays(
    fleet: Fleet, lab_secrets: Secrets, now: datetime, half: str
) -> None:
    left = {name: value for name, value in lab_secrets.items() if not name.endswith(f"/{half}")}
    made = complete(left, fleet, now)
    assert set(made) == set(lab_secrets) - set(left)


def test_a_lost_password_brings_a_new_verifier_with_it(fleet: Fleet, lab_secrets: Secrets, now: datetime) -> None:
    left = {name: value for name, value in lab_secrets.items() if name != "credentials/shop/password"}
    assert set(complete(left, fleet, now)) == {"credentials/shop/password", "credentials/shop/scram"}


def test_a_new_host_gets_its_own_and_nobody_else_anything(fleet: Fleet, lab_secrets: Secrets, now: datetime) -> None:
    host = replace(fleet.hosts["relay1"], address="10.78.0.20", sources=[])
    larger = replace(fleet, hosts={**fleet.hosts, "relay-3": host})
    assert set(complete(dict(lab_secrets), larger, now)) == {
        "tls/relay-3/certificate",
        "tls/relay-3/key",
        "database/writer_relay_3/password",
        "database/writer_relay_3/verifier",
        "database/policy_relay_3/password",
        "database/policy_relay_3/verifier",
    }


def test_a_host_that_moved_gets_a_new_certificate(fleet: Fleet, lab_secrets: Secrets, now: datetime) -> None:
    host = replace(fleet.hosts["control1"], address="10.78.0.99")
    moved = replace(fleet, hosts={**fleet.hosts, "control1": host})
    made = complete(dict(lab_secrets), moved, now)
    assert set(made) == {"tls/control1/certificate", "tls/control1/key"}
    assert made["tls/control1/key"] != lab_secrets["tls/control1/key"]


def test_certificates_are_renewed_in_their_last_month(fleet: Fleet, lab_secrets: Secrets, now: datetime) -> None:
    assert complete(dict(lab_secrets), fleet, now + timedelta(days=794)) == {}
    made = complete(dict(lab_secrets), fleet, now + timedelta(days=796))
    assert set(made) == {f"tls/{host}/{part}" for host in fleet.hosts for part in ("certificate", "key")}


def test_an_authority_at_its_end_is_an_error_with_a_remedy(fleet: Fleet, lab_secrets: Secrets, now: datetime) -> None:
    with pytest.raises(SecretsError, match="authority tls/ca expires") as caught:
        complete(dict(lab_secrets), fleet, now + timedelta(days=3640))
    assert "rotate" in caught.value.hint


def test_an_authority_whose_key_is_kept_elsewhere_is_no_obstacle_until_it_has_to_sign(
    fleet: Fleet, lab_secrets: Secrets, now: datetime
) -> None:
    left = {name: value for name, value in lab_secrets.items() if name != "tls/ca/key"}
    assert complete(left, fleet, now) == {}
    del left["tls/edge1/key"]
    with pytest.raises(SecretsError, match="certificate of edge1 has to be made, but tls/ca/key is missing"):
        complete(left, fleet, now)


def test_init_writes_the_file_and_makes_the_identity(
    inventory: Path, identity: Path, fleet: Fleet, now: datetime
) -> None:
    made = init_secrets(inventory, fleet, now=now)
    assert made == sorted(needed_names(fleet))
    assert identity.stat().st_mode & 0o777 == 0o600
    assert sorted(read_secrets(inventory)) == made
    assert init_secrets(inventory, fleet, now=now) == []


def _init(inventory: Path, fleet: Fleet, results: Any) -> None:
    results.put(init_secrets(inventory, fleet))


def test_two_inits_at_once_make_each_secret_once(inventory: Path, fleet: Fleet) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=_init, args=(inventory, fleet, results)) for _ in range(2)]
    for process in processes:
        process.start()
    made = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert sorted(len(names) for names in made) == [0, len(needed_names(fleet))]
    assert sorted(read_secrets(inventory)) == sorted(needed_names(fleet))
