"""Names of the host's own as names of the inventory."""

from __future__ import annotations

import re

from smtpctl.inventory.checks.pools import MASTER_SERVICES
from smtpctl.model.fleet import RESERVED_INSTANCES

_DOMAIN = re.compile(r"(?=.{1,253}$)((?!-)[a-z0-9-]{1,63}(?<!-)\.)+(?!-)[a-z0-9-]{1,63}(?<!-)")
_TAKEN = {*RESERVED_INSTANCES, *MASTER_SERVICES, "default", "smtpctl-probe"}


def name_of(text: str, otherwise: str = "x") -> str:
    """``text`` as a name: lower case, begins with a letter, up to 32 of a-z, 0-9 and '-'."""
    made = re.sub(r"-+", "-", re.sub(r"[^a-z0-9]", "-", text.lower())).strip("-")
    made = made if made[:1].isalpha() else f"{otherwise}-{made}".strip("-")
    return made[:32].rstrip("-")


def free_name(text: str, otherwise: str) -> str:
    """A name for a pool or a provider: none that means something else."""
    made = name_of(text, otherwise) if text else otherwise
    return otherwise if made in _TAKEN or re.fullmatch(r".*-[0-9]+", made) else made


def is_domain(text: str) -> bool:
    """Whether a text is a domain name as the inventory writes them."""
    return _DOMAIN.fullmatch(text) is not None
