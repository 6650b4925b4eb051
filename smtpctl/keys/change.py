"""Changes of single secrets: set one from outside, rotate one, take over what an editor returned.

Functions over the values in memory; `smtpctl.keys.store.changing` gives them and writes them. A derived value (a public
key, a SCRAM verifier) is never set itself: it follows what it is derived from.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime

from smtpctl.errors import SecretsError
from smtpctl.keys import dkim, scram
from smtpctl.keys.initialise import complete, dovecot_verifier, postgresql_verifier
from smtpctl.keys.needs import DERIVED_FROM, dkim_keys, needed_names
from smtpctl.model.fleet import Fleet

#: First parts of the names that smtpctl itself uses. Under any other, values for overlay templates may stand.
OWN_GROUPS = ("dkim", "tls", "credentials", "mailboxes", "probe", "database", "ledger")

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)+")


def assigned(fleet: Fleet, name: str, value: str) -> dict[str, str]:
    """Given a secret from outside, return it with what derives from it. Raise SecretsError for a name or value that
    cannot be."""
    check_name(fleet, name)
    if not value:
        raise SecretsError(f"{name}: the value is empty")
    match name.split("/")[0]:
        case "credentials" | "mailboxes" | "probe":
            scram.check_password(name, value)
            return {name: value, _sibling(name, "scram"): dovecot_verifier(value)}
        case "database":
            scram.check_password(name, value)
            return {name: value, _sibling(name, "verifier"): postgresql_verifier(value)}
        case "dkim":
            key = dkim.imported_key(name, value, _algorithm(fleet, name))
            return {name: key, _sibling(name, "public"): dkim.public_part(key)}
    return {name: value}


def unused(values: Iterable[str], fleet: Fleet) -> list[str]:
    """Those of the names that nothing in the inventory needs. What templates of one's own may use is not among them."""
    needed = set(needed_names(fleet))
    return [name for name in values if name not in needed and name.split("/")[0] in OWN_GROUPS]


def check_name(fleet: Fleet, name: str) -> None:
    """Raise SecretsError, with the nearest right name, unless ``name`` can be set."""
    if not _NAME.fullmatch(name):
        raise SecretsError(f"{name!r} is not the name of a secret, such as credentials/shop/password")
    group = name.split("/")[0]
    if group == "tls":
        raise SecretsError(
            f"{name} is made by smtpctl itself", hint="to replace it: smtpctl secrets rotate INVENTORY tls/HOST"
        )
    if group not in OWN_GROUPS:
        return
    _check_known(name, (known for known in needed_names(fleet) if not known.startswith("tls/")))
    source = DERIVED_FROM.get(name.rsplit("/", 1)[1])
    if source:
        raise SecretsError(f"{name} is derived", hint=f"set {_sibling(name, source)}; it follows")


def rotated(values: Mapping[str, str], fleet: Fleet, name: str, now: datetime) -> dict[str, str]:
    """Return the new values in place of the password or certificate ``name``: ``credentials/shop`` or
    ``credentials/shop/password``; of ``tls/ca`` with all that it signed. Raise SecretsError if it cannot be so."""
    group = re.sub(r"/(password|scram|verifier|certificate|key)$", "", name)
    if group.startswith("dkim/"):
        raise SecretsError(
            f"{name}: a DKIM key cannot be replaced in place, signatures under way would fail",
            hint="give the domain a new selector (domains.sending.DOMAIN.dkim), then run init, publish and apply",
        )
    if group.startswith("ledger/"):
        raise SecretsError(
            f"{name}: what the ledger was written with cannot be replaced in place, nobody could read it any more",
            hint='see the ledger\'s page, "Private by construction"',
        )
    _check_known(group, (known.rsplit("/", 1)[0] for known in needed_names(fleet)))
    kept = {key: value for key, value in values.items() if not key.startswith(f"{group}/")}
    head = "tls/" if group == "tls/ca" else f"{group}/"
    return {key: value for key, value in complete(kept, fleet, now).items() if key.startswith(head)}


def editable(values: Mapping[str, str]) -> dict[str, str]:
    """The values that a person may change in an editor: what is neither derived nor made by smtpctl alone."""
    return {
        name: value
        for name, value in values.items()
        if not name.startswith("tls/") and (_group_is_free(name) or name.rsplit("/", 1)[1] not in DERIVED_FROM)
    }


def edited(values: dict[str, str], fleet: Fleet, before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Carry the difference of two editor texts into ``values``, which others may have changed meanwhile. Return the
    names that changed. Raise SecretsError, and change nothing, if a new value cannot be."""
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    additions: dict[str, str] = {}
    for name in changed:
        if name in after:
            additions.update(assigned(fleet, name, after[name]))
    for name in changed:
        for gone in (name, *_derived_names(name)):
            values.pop(gone, None)
    values.update(additions)
    return changed


def _derived_names(name: str) -> tuple[str, ...]:
    if _group_is_free(name):
        return ()
    part = name.rsplit("/", 1)[1]
    return tuple(_sibling(name, derived) for derived, source in DERIVED_FROM.items() if source == part)


def _group_is_free(name: str) -> bool:
    return name.split("/")[0] not in OWN_GROUPS


def _check_known(name: str, known: Iterable[str]) -> None:
    names = dict.fromkeys(known)
    if name not in names:
        nearest = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else "smtpctl secrets list INVENTORY shows the names"
        raise SecretsError(f"the fleet has no secret {name!r}", hint=hint)


def _sibling(name: str, part: str) -> str:
    return f"{name.rsplit('/', 1)[0]}/{part}"


def _algorithm(fleet: Fleet, name: str) -> dkim.Algorithm:
    return next(key.algorithm for key in dkim_keys(fleet) if f"{key.name}/private" == name)
