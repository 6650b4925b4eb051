"""Hand-made servers, adopted: the draft is sound, and says everything that its Postfix would do otherwise."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from smtpctl.inventory.judge import judge
from smtpctl.model.secrets import Secrets
from smtpctl.operate.adoption.adopt import Adoption, adopt, fleet_of
from smtpctl.operate.adoption.differences import how
from smtpctl.operate.adoption.draft import Reached, oldest_protocol
from smtpctl.operate.adoption.facts import Server, server_of
from smtpctl.operate.adoption.ways import seconds_of
from smtpctl.render import render_fleet
from tests.operate.adoption import machine

SERVERS = ("relay", "submission", "several", "hosting", "smarthost", "byhand")
REACHED = Reached("192.0.2.40", "root", 22, "203.0.113.9")
#: Limits of transports that are providers in the draft, under the providers' names.
OF_KNOWN_TRANSPORTS = (
    "slow_destination_concurrency_limit",
    "slow_destination_recipient_limit",
    "slow_destination_rate_delay",
    "partner-1_destination_concurrency_limit",
    "partner-2_destination_rate_delay",
)
DEFAULTS = machine.SERVERS / "defaults.json"


def told(server: str) -> dict[str, Any]:
    """What the agent told of a server when --refresh-golden was last given."""
    facts: dict[str, Any] = json.loads((machine.SERVERS / server / "facts.json").read_text())
    defaults: dict[str, str] = json.loads(DEFAULTS.read_text())
    return facts | {"defaults": defaults | facts["defaults"]}


def adopted(server: str) -> Adoption:
    return adopt(server_of(told(server)), REACHED)


@pytest.mark.slow
@pytest.mark.parametrize("server", SERVERS)
def test_a_real_postfix_is_read_and_whatever_the_new_one_does_otherwise_was_told(
    server: str, pytestconfig: pytest.Config
) -> None:
    if pytestconfig.getoption("--refresh-golden"):
        _keep(server, _steady(machine.gather(server)))
    adoption = adopted(server)
    (host,) = render_fleet(fleet_of(adoption.text), Secrets({}, placeholders=True)).values()
    files = {path: file.content for path, file in host.files.items() if re.match(r"/etc/postfix-[^/]+/", path)}
    pairs = [(old, f"/etc/postfix-{new}") for old, names in adoption.draft.successors.items() for new in names]
    seen = machine.look(server, sorted({old for old, _ in pairs}), sorted(new for _, new in pairs), files)
    facts, known = _steady(seen.facts), told(server)
    assert {**facts, "defaults": {}} == {**known, "defaults": {}}
    assert facts["defaults"].items() <= known["defaults"].items()
    for old, new in pairs:
        before, after = seen.before[old], seen.after[new]
        said = {change.parameter for change in adoption.changes if (change.instance, change.becomes) == (old, new[13:])}
        differing = {name for name in before.keys() & after.keys() if not _same(before[name], after[name])}
        assert len(differing) > 20, "two instances of so different kinds differ"
        assert differing - said - _following(server_of(known), old, said) == set(), f"{old} becomes {new}"


@pytest.mark.parametrize("server", SERVERS)
def test_the_draft_is_the_one_that_was_reviewed(server: str, pytestconfig: pytest.Config) -> None:
    adoption = adopted(server)
    left = "".join(
        f"{entry.instance or '-'}  {entry.subject} = {entry.value}\n  {entry.why}\n  {entry.remedy}\n"
        for entry in adoption.draft.notes.left
    )
    for name, text in (("inventory.yml", adoption.text), ("left.txt", left)):
        path = machine.SERVERS / server / name
        if pytestconfig.getoption("--refresh-golden"):
            path.write_text(text)
        assert path.read_text() == text


@pytest.mark.parametrize("server", SERVERS)
def test_the_draft_is_sound(server: str) -> None:
    fleet, _, problems = judge(adopted(server).text, "draft")
    assert (problems, fleet is None) == ((), False)


@pytest.mark.parametrize("server", SERVERS)
def test_nothing_that_somebody_set_is_lost_without_a_word(server: str) -> None:
    """Each parameter of main.cf is as it was in a new instance, or said in the inventory's words, or listed."""
    adoption = adopted(server)
    changed = {(change.instance, change.becomes, change.parameter): how(change) for change in adoption.changes}
    said = {(instance, parameter) for (instance, _, parameter), words in changed.items() if words}
    listed = {(e.instance, name) for e in adoption.draft.notes.left for name in (e.subject, *e.value.split(", "))}
    set_by_hand = [(one, name) for one in server_of(told(server)).instances for name in one.parameters]
    assert len(set_by_hand) > 5
    lost = [
        (instance.directory, name)
        for instance, name in set_by_hand
        if (instance.directory, name) not in said | listed
        and all((instance.directory, new, name) in changed for new in adoption.draft.successors[instance.directory])
    ]
    assert [one for one in lost if one[1] not in OF_KNOWN_TRANSPORTS] == []


@pytest.mark.parametrize(
    ("said", "oldest"),
    [
        ("", ""),
        (">=TLSv1.3", "TLSv1.3"),
        (">=TLSv1", "TLSv1"),
        ("!SSLv2, !SSLv3", "TLSv1"),
        ("!SSLv2:!SSLv3:!TLSv1:!TLSv1.1", "TLSv1.2"),
        ("TLSv1.2 TLSv1.3", "TLSv1.2"),
        ("TLSv1.3", "TLSv1.3"),
        ("!TLSv1", "SSLv2"),
        ("0x303", "SSLv2"),
    ],
)
def test_the_oldest_protocol_is_read_however_it_was_said(said: str, oldest: str) -> None:
    assert oldest_protocol({"smtpd_tls_protocols": said}) == oldest


def test_nothing_secret_is_told() -> None:
    for server in SERVERS:
        text = json.dumps(told(server))
        assert "PRIVATE KEY" not in text
        assert "bm90IGEgcmVhbCBwYXNzd29yZA" not in text
        assert "someone@example.net" not in text
        assert "canary" not in text


def _steady(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts without what every run has anew."""
    del facts["defaults"]["process_id"]
    for certificate in facts["certificates"]:
        certificate["ends"] = "a year after the test"
    return facts


def _same(one: str, other: str) -> bool:
    """Values, or times in other units."""
    seconds = seconds_of(one, "s")
    return one == other or (seconds is not None and seconds == seconds_of(other, "s"))


def _keep(server: str, facts: dict[str, Any]) -> None:
    """Keep facts; Postfix's defaults once for all servers."""
    if not DEFAULTS.exists():
        DEFAULTS.write_text(json.dumps(facts["defaults"], indent=0, sort_keys=True) + "\n")
    usual = json.loads(DEFAULTS.read_text())
    own = {name: value for name, value in facts["defaults"].items() if usual.get(name) != value}
    text = json.dumps(facts | {"defaults": own}, indent=1, sort_keys=True)
    (machine.SERVERS / server / "facts.json").write_text(text + "\n")


def _following(server: Server, directory: str, said: set[str]) -> set[str]:
    """Parameters that nobody set, whose default is made of ones that were told, at any depth; and the directory."""
    (instance,) = (instance for instance in server.instances if instance.directory == directory)
    found = said | {"config_directory", "process_id"}
    while True:
        more = {
            name
            for name, default in server.defaults.items()
            if name not in found | instance.parameters.keys() and set(re.findall(r"[$({](\w+)", default)) & found
        }
        if not more:
            return found
        found |= more
