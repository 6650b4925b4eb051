"""Who sends through a host: sending domains with their keys, credentials, and what they may."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from smtpctl.operate.adoption.facts import Server
from smtpctl.operate.adoption.names import is_domain, name_of
from smtpctl.operate.adoption.report import Notes

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
#: Stands for the domain of a host whose name has none.
EXAMPLE = "example.com"
_NEW_KEY = "publish the new key's record (smtpctl dns records) before the first apply; leave the old one for a week"


def sending_domains(server: Server, notes: Notes) -> dict[str, Any]:
    """Domains that mail is signed for, or that senders belong to; the host's own domain where none is known."""
    signed = [key.domain for key in server.keys]
    owned = [key.rpartition("@")[2].lower() for key, _ in _login_rows(server)]
    routed = [
        key.rpartition("@")[2].lower()
        for instance in server.instances
        for key, _ in instance.rows("sender_dependent_default_transport_maps")
    ]
    names = list(dict.fromkeys(name for name in (*signed, *owned, *routed) if is_domain(name)))
    if not signed and not owned:
        names = list(dict.fromkeys([own_domain(server), *names]))
        notes.guess(("domains", "sending", names[0]), "mydomain; no key and no table says what is sent from")
    found = {}
    for name in names:
        path = ("domains", "sending", name)
        found[name] = {"bounce": f"bounce.{name}"} | _dkim(server, name, notes)
        notes.guess((*path, "bounce"), "new; its MX becomes the feedback role")
    return found


def _dkim(server: Server, domain: str, notes: Notes) -> dict[str, Any]:
    selectors: dict[str, str] = {}
    for key in (key for key in server.keys if key.domain == domain):
        what = f"DKIM key of {domain}, selector {key.selector}"
        if not key.algorithm:
            notes.leave("", what, key.file, "OpenDKIM's file cannot be read as a key", _NEW_KEY)
        elif not _NAME.fullmatch(key.selector):
            why = "a selector begins with a letter here, and is of a-z, 0-9 and '-'"
            notes.leave("", what, key.file, why, _NEW_KEY)
        elif key.algorithm in selectors:
            notes.leave("", what, key.file, "a domain has one key of each algorithm", "leave its record published")
        else:
            selectors[key.algorithm] = key.selector
            take = f"ssh HOST cat {key.file} | smtpctl secrets set FILE dkim/{domain}/{key.selector}/private"
            notes.leave("", what, key.file, "a key is no part of an inventory", take)
    missing = [name for name in ("rsa", "ed25519") if name not in selectors]
    if not selectors:
        return {}
    fresh = {"rsa": "r1", "ed25519": "e1"}
    for name in missing:
        notes.guess(("domains", "sending", domain, "dkim", name), f"new: the host has no {name} key for it")
    return {"dkim": {name: selectors.get(name, fresh[name]) for name in ("rsa", "ed25519")}}


def credentials(
    server: Server, domains: list[str], stream_of: Callable[[str], str], notes: Notes
) -> dict[str, dict[str, Any]]:
    """Who signs in today, with the senders that tables give them; one for all where nobody has to."""
    found: dict[str, dict[str, Any]] = {}
    owned = _owned(server)
    for login in dict.fromkeys((*server.sasl["users"], *owned)):
        name = name_of(login, "user")
        path = ("credentials", name)
        senders = [sender for sender in owned.get(login, []) if sender.rpartition("@")[2] in domains]
        if not senders:
            senders = [login.lower()] if login.rpartition("@")[2] in domains else domains
            notes.guess((*path, "senders"), "no table says which senders this log-in may use")
        if name in found:
            notes.leave("", f"log-in {login}", "", f"another one becomes the credential {name} too", "rename one")
            continue
        found[name] = {"senders": senders, "stream": stream_of(senders[0])}
        notes.comment(path, f"signs in as {login} today")
    if found:
        place = server.sasl["place"] or "?"
        notes.leave(
            "",
            f"passwords of {len(found)} log-ins",
            place,
            "hosts keep verifiers of another form, which cannot be made from stored ones",
            "smtpctl secrets set FILE credentials/NAME/password, with the application's own; or give it a new one",
        )
    return found or _one_for_all(server, domains, stream_of, notes)


def _one_for_all(
    server: Server, domains: list[str], stream_of: Callable[[str], str], notes: Notes
) -> dict[str, dict[str, Any]]:
    told = [text for text in re.split(r"[,\s]+", server.primary.settled["mynetworks"]) if text]
    networks = {text: _network(text) for text in told}
    outside = [str(one) for one in networks.values() if one and not (one.is_loopback or one.is_link_local)]
    path = ("credentials", "applications")
    place = server.sasl["place"] or "a place that was not found"
    nobody = f"log-ins are kept in {place}, and were not read" if server.sasl["kind"] else "nobody signs in today"
    notes.guess(path, f"{nobody}: mynetworks may relay. Give each application a credential of its own")
    if others := [text for text, network in networks.items() if network is None]:
        notes.guess(path, f"of mynetworks this was not understood: {', '.join(others)}")
    return {
        "applications": {"senders": domains, "stream": stream_of(domains[0])}
        | ({"clients": outside} if outside else {})
    }


def own_domain(server: Server) -> str:
    """The domain of the host itself; an example where it has none."""
    domain = server.primary.settled["mydomain"].lower()
    return domain if is_domain(domain) else EXAMPLE


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """An entry of mynetworks; None for tables, files and what is taken out again."""
    try:
        return ipaddress.ip_network(text.replace("[", "").replace("]", ""))
    except ValueError:
        return None


def _login_rows(server: Server) -> list[tuple[str, str]]:
    return [row for instance in server.instances for row in instance.rows("smtpd_sender_login_maps")]


def _owned(server: Server) -> dict[str, list[str]]:
    """Senders by log-in, in the inventory's form: `@domain` alone, as Postfix means it, or an address."""
    found: dict[str, list[str]] = {}
    for key, logins in _login_rows(server):
        for login in re.split(r"[,\s]+", logins):
            found.setdefault(login, []).append(key.lower())
    return found
