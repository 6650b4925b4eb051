"""The virtual address leaves this host without a session being cut or refused.

New sessions are held back (their first packet is dropped, so that the application's system sends it again a second
later) until those that are open have ended; then keepalived is restarted: it says goodbye, the other balancer takes the
address at once, and this one comes back as its backup. Held-back sessions begin there. A timer of PID 1 ends the
holding back, whatever happens to us.
"""

from __future__ import annotations

import time
from typing import Any

from . import StepError, facts, haproxy, processes, timer, units
from .drain import wait

TABLE = "smtpctl_hold"
UNIT = "smtpctl-hold"

#: Longer than anything here takes.
LEASE = 40.0

#: In which the address has to be gone after keepalived was told to go.
GONE_SECONDS = 5.0


def can_take(request: dict[str, Any]) -> dict[str, Any]:
    """Whether this balancer would take the address: HAProxy and keepalived have been up for longer than the checks
    take that keepalived wants to see succeed first. Wait for it up to ``seconds``."""
    wait(lambda: not _unready(), request["seconds"])
    return {"unready": _unready()}


def holds(request: dict[str, Any]) -> dict[str, Any]:
    """Whether the address is here; wait for it up to ``seconds``."""
    wait(lambda: facts.holds_address(request["address"]), request["seconds"])
    return {"here": facts.holds_address(request["address"])}


def leave(request: dict[str, Any]) -> dict[str, Any]:
    """Let the open sessions end within ``seconds``, then give the address up; how many sessions were left."""
    address = request["address"]
    hold(address, request["ports"])
    wait(lambda: haproxy.sessions(request["socket"], request["frontends"]) == 0, request["seconds"])
    left = haproxy.sessions(request["socket"], request["frontends"])
    units.act("restart", ["keepalived.service"])
    wait(lambda: not facts.holds_address(address), GONE_SECONDS)
    if facts.holds_address(address):
        raise StepError("move", f"keepalived keeps {address} on this host")
    return {"left": left}


def hold(address: str, ports: list[int]) -> None:
    """Drop the first packets of new sessions with ``address`` from now on."""
    family = "ip6" if ":" in address else "ip"
    chosen = ", ".join(str(port) for port in ports)
    rules = (
        f"table inet {TABLE} {{ chain new {{ type filter hook prerouting priority raw; "
        f"{family} daddr {address} tcp dport {{ {chosen} }} tcp flags & (syn | ack) == syn drop; }}; }}"
    )
    timer.start(UNIT, LEASE, "smtpctl: let new sessions in again", ["/usr/sbin/nft", "delete", "table", "inet", TABLE])
    result = processes.run(["nft", rules], timeout=10)
    if result.code:
        raise StepError("move", f"nft: {result.output.strip()}")


def let_in(request: dict[str, Any]) -> dict[str, Any]:
    """New sessions again, wherever the address is by now."""
    result = processes.run(["nft", "destroy", "table", "inet", TABLE], timeout=10)
    if result.code:
        raise StepError("move", f"nft: {result.output.strip()}")
    timer.cancel(UNIT)
    return {}


#: keepalived asks every second and believes the second success; twice that, and a second more.
SETTLED_SECONDS = 5.0


def _unready() -> str:
    """Why this balancer would not take the address now; empty when it would."""
    states = facts.unit_facts(["haproxy.service", "keepalived.service"])
    for unit, state in states.items():
        if not units.is_running(state):
            return f"{unit} is {state['active']}"
        if time.time() - state["changed"] < SETTLED_SECONDS:
            return f"{unit} has just started"
    result = processes.run(["/usr/local/lib/smtpctl/check-balancer"], timeout=5)
    return "" if result.code == 0 else "HAProxy does not answer"
