"""Fixtures of the inventory tests: the inventories of the repository, and a small one to mangle."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent.parent

#: One host with all six roles: the smallest fleet there is.
SMALL = """\
version: 1
fleet: small
network: {management: [203.0.113.0/28]}
domains:
  infrastructure: mail.example.com
  feedback: feedback.mail.example.com
  sending:
    shop.example.com: {bounce: bounce.shop.example.com}
hosts:
  mail1:
    address: 192.0.2.20
    roles: [balancer, submission, relay, feedback, mailbox, control]
    sources:
      - {address: 192.0.2.21, helo: out1.mail.example.com, pool: transactional}
balancing: {name: smtp.mail.example.com}
streams:
  transactional: {pool: transactional}
pools:
  transactional: {port: 10025}
credentials:
  shop: {senders: [shop.example.com], stream: transactional}
limits:
  - {key: credential, counted: recipients, count: 10000, per: 1h}
mailboxes:
  postmaster: {addresses: [postmaster, abuse]}
"""


@pytest.fixture(scope="session")
def small() -> str:
    return SMALL


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture
def small_with() -> Callable[..., str]:
    """The small inventory as YAML text, with ``changes`` merged in: mappings key by key, everything else replaced."""

    def build(changes: dict[str, Any]) -> str:
        return yaml.safe_dump(_merged(yaml.safe_load(SMALL), changes), sort_keys=False)

    return build


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merged(base[key], value) if both else value
    return merged
