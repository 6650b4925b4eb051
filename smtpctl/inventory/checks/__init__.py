"""Rules over the whole fleet: references, clashes and what could never work. A module a subject, pure throughout.

A rule is a function from a Fleet to findings; its docstring is its entry on the reference page.
"""

from smtpctl.inventory.checks import (
    addresses,
    credentials,
    domains,
    limits,
    mailboxes,
    parameters,
    pools,
    ports,
    providers,
    roles,
)
from smtpctl.inventory.checks.check import Check

ALL_CHECKS: tuple[Check, ...] = (
    *roles.CHECKS,
    *addresses.CHECKS,
    *domains.CHECKS,
    *pools.CHECKS,
    *ports.CHECKS,
    *providers.CHECKS,
    *credentials.CHECKS,
    *limits.CHECKS,
    *mailboxes.CHECKS,
    *parameters.CHECKS,
)
