"""What a change would leave behind: read off plans and files, and said in words."""

from __future__ import annotations

import json
from dataclasses import replace

from smtpctl.inventory import load_fleet
from smtpctl.model.artifacts import DesiredHost, ManagedFile
from smtpctl.model.fleet import Fleet
from smtpctl.model.plans import HostPlan, ObservedHost
from smtpctl.model.secrets import Secrets
from smtpctl.plan import plan_host
from smtpctl.plan.leaving import PEERS, going, leaving, stopping, stranded
from smtpctl.render import render_fleet
from tests.lab.support import INVENTORY


def rendered(fleet: Fleet, host: str) -> DesiredHost:
    return render_fleet(fleet, Secrets({}, placeholders=True), hosts=[host])[host]


def seen(before: DesiredHost) -> ObservedHost:
    """A host that is as ``before`` says."""
    return ObservedHost(
        before.host,
        files={},
        contents={path: file.content for path, file in before.files.items()},
        owned_services=tuple(service.unit for service in before.services),
        revision="1",
    )


def test_a_pool_that_goes_stops_its_instance_and_takes_a_transport_from_submission() -> None:
    fleet = load_fleet(INVENTORY)
    pools = {name: pool for name, pool in fleet.pools.items() if name != "marketing"}
    streams = {name: stream for name, stream in fleet.streams.items() if name != "marketing"}
    credentials = {name: one for name, one in fleet.credentials.items() if one.stream != "marketing"}
    relay = fleet.hosts["relay1"]
    sources = [source for source in relay.sources if source.pool != "marketing"]
    hosts = {**fleet.hosts, "relay1": replace(relay, sources=sources)}
    after = replace(fleet, pools=pools, streams=streams, credentials=credentials, hosts=hosts)
    edge = plan_host(rendered(after, "edge1"), observed := seen(rendered(fleet, "edge1")))
    assert going(edge, observed) == ("marketing",)
    plan = HostPlan("relay1", "2", "1", stop=("postfix@marketing.service", "haproxy.service"))
    assert stopping(plan) == ("marketing",)
    same = plan_host(rendered(fleet, "edge1"), observed)
    assert (stopping(same), going(same, observed)) == ((), ())


def test_a_host_that_goes_is_known_by_name_and_address_and_a_new_name_is_no_other_host() -> None:
    def desired(peers: dict[str, str]) -> DesiredHost:
        file = ManagedFile(PEERS, json.dumps(peers).encode(), 0o644, "root", "root")
        return DesiredHost("relay1", {PEERS: file}, (), (), (), ())

    before = {"relay1.test": "192.0.2.1", "relay2.test": "192.0.2.2"}
    observed = ObservedHost("relay1", files={}, contents={PEERS: json.dumps(before).encode()})
    assert leaving(desired({"relay1.test": "192.0.2.1"}), observed) == {"relay2.test": "192.0.2.2"}
    assert leaving(desired({"relay1.test": "192.0.2.1", "new.test": "192.0.2.2"}), observed) == {}
    assert leaving(desired(before), ObservedHost("relay1", files={})) == {}


def test_what_waits_is_said_with_its_number() -> None:
    assert stranded({"bulk": 1}, {"tills": 20}) == (
        "1 message in the queue of postfix@bulk, which it stops",
        "20 messages of postfix@submission for pool tills",
    )
    assert stranded({}, {}) == ()
