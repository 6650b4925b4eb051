"""The parts of an haproxy.cfg that other servers have to agree with: where it listens, and what it connects to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Server:
    """One ``server`` line with its section's ``default-server`` before its own words."""

    section: str
    name: str
    address: str
    port: int
    sends_proxy: bool
    check_port: int | None


@dataclass(frozen=True, slots=True)
class Balancer:
    """One haproxy.cfg."""

    path: str
    binds: tuple[tuple[str, str], ...]  # section and the address as it is written
    servers: tuple[Server, ...]


def read(path: str, text: str) -> Balancer:
    """Servers and binds of a configuration; what cannot be understood here is HAProxy's own checker's to refuse."""
    section = ""
    defaults: list[str] = []
    binds: list[tuple[str, str]] = []
    servers: list[Server] = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        if not line[:1].isspace():
            section, defaults = " ".join(words), []
        elif words[0] == "default-server":
            defaults = words[1:]
        elif words[0] == "bind" and len(words) > 1:
            binds += [(section, address) for address in words[1].split(",")]
        elif words[0] == "server" and len(words) > 2:
            server = _server(section, words, defaults)
            servers += [server] if server else []
    return Balancer(path, tuple(binds), tuple(servers))


def _server(section: str, words: list[str], defaults: list[str]) -> Server | None:
    address, _, port = words[2].rpartition(":")
    if not port.isdigit():
        return None
    options = [*defaults, *words[3:]]
    sends = any(word in ("send-proxy", "send-proxy-v2") for word in options)
    checked = int(options[options.index("port") + 1]) if "check" in options and "port" in options[:-1] else None
    return Server(section, words[1], address.strip("[]"), int(port), sends, checked)
