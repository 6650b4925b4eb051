"""Rules files: what is read from a good one, and that a bad one names each of its problems."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from policy_service.rules import RULE_NAMES, RULES, WITH_ACTION
from policy_service.rules_file import parse
from policy_service.ruleset import InvalidRecipients, Ramp, RulesError
from smtpctl.inventory import load_fleet
from smtpctl.model import policy as model
from smtpctl.render.context_policy import PROBE, policy_rules

GOOD = json.loads((Path(__file__).parent / "dialogues" / "rules.json").read_text(encoding="utf-8"))
ROOT = Path(__file__).parents[2]
INVENTORIES = sorted((ROOT / "inventory").glob("*.yml"))

Change = Callable[[dict[str, Any]], object]


def test_a_good_file_is_read_whole() -> None:
    rules = parse(json.dumps(GOOD))
    shop = rules.credentials["shop"]
    assert rules.hosts == ("edge1", "edge2")
    assert shop.stream.filter == "transactional:[127.0.0.1]:10025"
    assert [limit.title for limit in shop.limits] == ["10000 recipients an hour", "5000 messages an hour"]
    assert shop.limits[0].shape.burst == 100
    assert shop.may_use("x.shop.test")
    assert not shop.may_use("test")


BAD: list[tuple[str, Change]] = [
    ("version: 2 is not 1", lambda d: d.update(version=2)),
    ("version: None is not 1", lambda d: d.pop("version")),
    ("streams: is missing", lambda d: d.pop("streams")),
    ("credentails: is not known; known are", lambda d: d.update(credentails={})),
    ("hosts: must be a list", lambda d: d.update(hosts=[])),
    ("hosts: must be a list", lambda d: d.update(hosts="edge1")),
    (
        "streams.marketing.filter: 'nowhere' is not TRANSPORT:NEXT-HOP",
        lambda d: d["streams"]["marketing"].update(filter="nowhere"),
    ),
    ("streams.marketing.filter: '[h]:25' is not", lambda d: d["streams"]["marketing"].update(filter="[h]:25")),
    ("credentials.shop.stream: 'bulk' is not one of", lambda d: d["credentials"]["shop"].update(stream="bulk")),
    ("credentials.shop.senders: must be a list", lambda d: d["credentials"]["shop"].update(senders=[])),
    ("credentials.shop.senders: '*' is not a domain", lambda d: d["credentials"]["shop"].update(senders=["*"])),
    ("credentials.shop.senders: 'test' is not a domain", lambda d: d["credentials"]["shop"].update(senders=["test"])),
    ("credentials.shop.limit: is not known", lambda d: d["credentials"]["shop"].update(limit=[])),
    ("credentials.shop.limits: must be a list", lambda d: d["credentials"]["shop"].update(limits={})),
    ("limits[0].count: 0 is not a whole number", lambda d: d["credentials"]["trickle"]["limits"][0].update(count=0)),
    ("limits[0].per: '1h' is not a whole number", lambda d: d["credentials"]["trickle"]["limits"][0].update(per="1h")),
    ("limits[0].count: True is not a whole", lambda d: d["credentials"]["trickle"]["limits"][0].update(count=True)),
    ("burst 11 is not between 1 and the count 10", lambda d: d["credentials"]["trickle"]["limits"][0].update(burst=11)),
    (
        "limits[0].key: 'clients' is not one of",
        lambda d: d["credentials"]["trickle"]["limits"][0].update(key="clients"),
    ),
    ("limits[0].key: [] is not one of", lambda d: d["credentials"]["trickle"]["limits"][0].update(key=[])),
    (
        "limits[0].key: bytes are a whole message's",
        lambda d: d["credentials"]["trickle"]["limits"][0].update(key=["provider"], counted="bytes"),
    ),
    (
        "limits[0].counted: 'octets' is not one of",
        lambda d: d["credentials"]["trickle"]["limits"][0].update(counted="octets"),
    ),
    (
        "senders: 'a b@shop.test' is not an address",
        lambda d: d["credentials"]["shop"].update(senders=["a b@shop.test"]),
    ),
    ("shop.null_sender: 'yes' is neither", lambda d: d["credentials"]["shop"].update(null_sender="yes")),
    ("shop.clients: '10.0.0.300' does not", lambda d: d["credentials"]["shop"].update(clients=["10.0.0.300"])),
    ("shop.clients: 10.0.0.1/8 has host bits", lambda d: d["credentials"]["shop"].update(clients=["10.0.0.1/8"])),
    ("shop.hours: must be a list", lambda d: d["credentials"]["shop"].update(hours=[])),
    (
        "shop.hours[0]: the end 08:00 is not after",
        lambda d: d["credentials"]["shop"].update(hours=[{"start": "08:00", "end": "08:00"}]),
    ),
    (
        "shop.hours[0].start: '8' is not a time",
        lambda d: d["credentials"]["shop"].update(hours=[{"start": "8", "end": "09:00"}]),
    ),
    (
        "shop.hours[0].days: 'monday' is not one of",
        lambda d: d["credentials"]["shop"].update(hours=[{"days": ["monday"], "start": "08:00", "end": "09:00"}]),
    ),
    (
        "shop.ramp.since: 'soon' is not a date",
        lambda d: d["credentials"]["shop"].update(ramp={"since": "soon", "first": 1, "days": 2}),
    ),
    (
        "shop.ramp.days: 31 are more than 30",
        lambda d: d["credentials"]["shop"].update(ramp={"since": "2026-11-01", "first": 1, "days": 31}),
    ),
    ("credentials.a,b: a name has no comma", lambda d: d["credentials"].update({"a,b": d["credentials"]["shop"]})),
    (
        "streams.marketing.message_size: 0 is not",
        lambda d: d["streams"]["marketing"].update(message_size=0),
    ),
    (
        "streams.marketing.prepend: 'X' is not a header field",
        lambda d: d["streams"]["marketing"].update(prepend="X"),
    ),
    ("rules.size.action: only client", lambda d: d.update(rules={"size": {"action": "hold"}})),
    ("rules.client: 'drop' is not one of", lambda d: d.update(rules={"client": {"action": "drop"}})),
    (
        "providers.b: gmail.test is a's already",
        lambda d: d.update(providers={"a": ["gmail.test"], "b": ["gmail.test"]}),
    ),
    ("invalid_recipients.hold: 0 is not", lambda d: d.update(invalid_recipients={"in_a_row": 5, "hold": 0})),
    ("strict: 1 is neither", lambda d: d.update(strict=1)),
    ("limits[0].brust: is not known", lambda d: d["credentials"]["trickle"]["limits"][0].update(brust=3)),
    ("centuries", lambda d: d["credentials"]["trickle"]["limits"][0].update(count=10**6, per=86400, burst=10**6)),
    ("rules.sneder: no such rule", lambda d: d.update(rules={"sneder": "off"})),
    ("rules.sender: 'on' is not one of", lambda d: d.update(rules={"sender": "on"})),
]


@pytest.mark.parametrize(("problem", "change"), BAD, ids=[problem for problem, _ in BAD])
def test_a_bad_file_names_its_problem(problem: str, change: Change) -> None:
    document = copy.deepcopy(GOOD)
    change(document)
    with pytest.raises(RulesError) as caught:
        parse(json.dumps(document), rule_names=RULE_NAMES, with_action=WITH_ACTION)
    first, *others = caught.value.problems
    assert problem in first
    # Without streams every credential's stream is unknown as well.
    assert not others or "streams" in first


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '"x"', "[" * 100_000])
def test_what_is_no_rules_file_is_refused(text: str) -> None:
    with pytest.raises(RulesError):
        parse(text)


@pytest.mark.parametrize("path", INVENTORIES, ids=lambda path: path.stem)
def test_what_smtpctl_compiles_the_service_reads(path: Path) -> None:
    fleet = load_fleet(path)
    rules = parse(json.dumps(policy_rules(fleet)), rule_names=RULE_NAMES)
    assert set(rules.credentials) == {*fleet.credentials, PROBE}


EVERYTHING = """
streams: {transactional: {message_size: 1048576, header: "X-Stream: receipts"}}
credentials:
  shop:
    senders: [shop.example.com, "@news.example.com", billing@shop.example.com]
    null_sender: true
    clients: [198.51.100.0/28, "2001:db8::/48"]
    hours: [{days: [mon, sun], start: "08:00", end: "24:00"}]
    ramp: {since: "2026-11-30", first: 200, days: 10}
    limits:
      - {key: credential+provider, count: 1000, per: 1h}
      - {key: domain+client+stream, counted: bytes, count: 100000000, per: 1d}
rules: {client: {mode: shadow}, hours: {action: hold}, ramp: {mode: "off"}}
invalid_recipients: {in_a_row: 20, hold: 1d}
"""


def test_whatever_the_inventory_can_say_the_service_reads(tmp_path: Path) -> None:
    written = yaml.safe_load((ROOT / "inventory" / "reference.yml").read_text(encoding="utf-8"))
    said = yaml.safe_load(EVERYTHING)
    for name in ("streams", "credentials"):
        for key, values in said.pop(name).items():
            written[name][key] |= values
    written |= said
    path = tmp_path / "inventory.yml"
    path.write_text(yaml.safe_dump(written), encoding="utf-8")
    rules = parse(json.dumps(policy_rules(load_fleet(path))), rule_names=RULE_NAMES, with_action=WITH_ACTION)
    shop = rules.credentials["shop"]
    assert shop.stream.message_size == 1048576
    assert shop.stream.prepend == "X-Stream: receipts"
    assert shop.null_sender
    assert shop.may_use("any@news.example.com")
    assert not shop.may_use("any@x.news.example.com")
    assert len(shop.clients) == 2
    assert shop.hours == ((480, 1440), (9120, 10080))
    assert shop.ramp == Ramp(20787, 200, 10)
    assert [limit.kind for limit in shop.limits] == ["credential+provider", "domain+client+stream"]
    assert shop.limits[1].shape.burst == 1048576
    assert (rules.mode("client"), rules.mode("ramp"), rules.actions["hours"]) == ("shadow", "off", "hold")
    assert rules.invalid_recipients == InvalidRecipients(20, 86400)
    assert rules.provider("gmail.com") == "google"


def test_the_inventory_knows_every_rule() -> None:
    assert model.RULES == RULE_NAMES
    assert model.RULES_WITH_ACTION == WITH_ACTION


def test_every_rule_has_a_name_and_a_sentence() -> None:
    assert len(set(RULE_NAMES)) == len(RULE_NAMES)
    assert all(rule.description.endswith(".") for rule in RULES)
