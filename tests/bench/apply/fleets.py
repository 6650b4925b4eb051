"""Inventories of any size, in the shape of the lab's: what the six hosts are, so many times over."""

from __future__ import annotations

from typing import Any

import yaml

#: One host is control, one in so many is feedback; the others are submission hosts and relays, half and half. Two of
#: the submission hosts are balancers, and one of the feedback hosts has the mailboxes, as in any fleet.
FEEDBACK_SHARE = 25


def inventory(hosts: int, *, ssh: dict[str, Any] | None = None, network: str = "10.78") -> str:
    """A sound inventory of ``hosts`` hosts (six at least), their addresses below ``network``.3.0 and on."""
    document = {
        "version": 1,
        "fleet": f"bench{hosts}",
        "ssh": ssh or {"user": "root"},
        "network": {"management": [f"{network}.0.1/32"], "interface": "host0", "prefix": 16},
        "domains": {
            "infrastructure": "lab.test",
            "feedback": "feedback.lab.test",
            "sending": {
                "shop.test": {"bounce": "bounce.shop.test"},
                "news.test": {"bounce": "bounce.news.test", "dmarc": "quarantine"},
            },
        },
        "balancing": {"name": "smtp.lab.test", "virtual_address": f"{network}.0.10/16"},
        "hosts": _hosts(hosts, network),
        "streams": {"transactional": {"pool": "transactional"}, "marketing": {"pool": "marketing"}},
        "pools": {"transactional": {"port": 10025}, "marketing": {"port": 10026}},
        "providers": {
            "google": {"domains": ["gmail.test", "googlemail.test"], "mx": ["gmail.test"], "connections": 10},
            "microsoft": {"domains": ["outlook.test", "hotmail.test"], "mx": ["outlook.test"], "connections": 10},
            "yahoo": {"domains": ["yahoo.test"], "mx": ["yahoo.test"], "connections": 5},
            "default": {"connections": 5},
        },
        "limits": [{"key": "credential", "counted": "recipients", "count": 200000, "per": "1h"}],
        "credentials": {
            "shop": {"senders": ["shop.test"], "stream": "transactional"},
            "newsletter": {"senders": ["news.test"], "stream": "marketing"},
        },
        "mailboxes": {"postmaster": {"addresses": ["postmaster", "abuse"]}},
    }
    return yaml.safe_dump(document, sort_keys=False)


def _hosts(count: int, network: str) -> dict[str, Any]:
    feedback = max(1, count // FEEDBACK_SHARE)
    edges = (count - 1 - feedback) // 2
    relays = count - 1 - feedback - edges
    names = [("control1", ["control"])]
    names += [(f"feedback{n}", ["feedback", "mailbox"] if n == 1 else ["feedback"]) for n in range(1, feedback + 1)]
    names += [(f"edge{n}", ["balancer", "submission"] if n <= 2 else ["submission"]) for n in range(1, edges + 1)]
    names += [(f"relay{n}", ["relay"]) for n in range(1, relays + 1)]
    return {name: _host(number, roles, network) for number, (name, roles) in enumerate(names)}


def _host(number: int, roles: list[str], network: str) -> dict[str, Any]:
    host: dict[str, Any] = {"address": address(number, network), "roles": roles}
    if "relay" in roles:
        host["sources"] = [
            {
                "address": _address(number, network, 32 + 8 * index),
                "helo": f"out{number}-{index}.lab.test",
                "pool": pool,
            }
            for index, pool in enumerate(("transactional", "marketing"))
        ]
    return host


def address(number: int, network: str = "10.78") -> str:
    """Address of the host with this place in the inventory."""
    return _address(number, network, 4)


def _address(number: int, network: str, third: int) -> str:
    return f"{network}.{third + number // 250}.{number % 250 + 1}"
