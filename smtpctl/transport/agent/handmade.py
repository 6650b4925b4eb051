"""What a Postfix that was set up by hand says of itself: every instance, its tables, and what stands beside it.

Read-only, and no secret leaves the host: of tables with passwords only the keys are told, of key files only where they
lie and for what they are. Text of people (what aliases lead to) is not told either.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import StepError, handmade_peers, queue_files

PRIMARY = "/etc/postfix"

#: Parameters whose tables are read, and whether their values may be told too.
TABLES = {
    "transport_maps": True,
    "sender_dependent_default_transport_maps": True,
    "sender_dependent_relayhost_maps": True,
    "smtpd_sender_login_maps": True,
    "smtp_sasl_password_maps": False,
    "alias_maps": False,
}
#: Tables that are read from the text file which they are made of (postmap(1)).
INDEXED = ("hash", "btree", "lmdb", "cdb", "dbm", "texthash")
MOST_ROWS = 2000

_TABLE = re.compile(r"(?:proxy:)?([a-z]+):(\S+?)(?=,|\s|$)")
_QUEUES = ("maildrop", "incoming", "active", "deferred", "hold")


def gather() -> dict[str, Any]:
    """Everything. Raise StepError where there is no Postfix."""
    if not Path(PRIMARY, "main.cf").exists():
        raise StepError("adopt", f"there is no {PRIMARY}/main.cf: this host has no Postfix")
    instances = [_instance(directory) for directory in _directories()]
    return {
        "managed": Path("/var/lib/smtpctl/revisions").is_dir(),
        "addresses": _addresses(),
        "defaults": _pairs(_postconf(PRIMARY, "-d")),
        "instances": instances,
        "unknown": _unknown_folders([instance["directory"] for instance in instances]),
        **handmade_peers.peers(instances),
    }


def _directories() -> list[str]:
    """Configuration directories of all instances that the primary one names, for postmulti(1) or for programs that are
    given one by hand."""
    named = _of_multi() + _postconf(PRIMARY, "-xh", "alternate_config_directories").replace(",", " ").split()
    return list(dict.fromkeys([PRIMARY, *(folder for folder in named if Path(folder, "main.cf").exists())]))


def _of_multi() -> list[str]:
    return _postconf(PRIMARY, "-xh", "multi_instance_directories").replace(",", " ").split()


def _unknown_folders(known: list[str]) -> list[str]:
    """Folders that look like an instance, and that none is known of."""
    found = (str(path.parent) for path in sorted(Path("/etc").glob("postfix*/main.cf")))
    return [folder for folder in found if folder not in known]


def _instance(directory: str) -> dict[str, Any]:
    written = _pairs(_postconf(directory, "-nx"))
    overrides = _pairs(_postconf(directory, "-Px"))
    return {
        "directory": directory,
        "name": _postconf(directory, "-xh", "multi_instance_name").strip(),
        "enabled": directory not in _of_multi()
        or _postconf(directory, "-xh", "multi_instance_enable").strip() == "yes",
        "parameters": written,
        "unused": _unused(directory),
        "settled": {
            name: _postconf(directory, "-xh", name).strip() for name in ("myhostname", "mydomain", "mynetworks")
        },
        "services": [_service(line) for line in _postconf(directory, "-M").splitlines() if line.strip()],
        "overrides": [[*name.rsplit("/", 2), value] for name, value in overrides.items()],
        "tables": dict(_tables(written, overrides)),
        "waiting": _waiting(_postconf(directory, "-xh", "queue_directory").strip()),
    }


def _unused(directory: str) -> list[str]:
    """Names in main.cf that mean nothing to Postfix: misspelt, or somebody's own."""
    result = subprocess.run(
        ["postconf", "-c", directory, "-n"], capture_output=True, text=True, errors="replace", timeout=30
    )
    return sorted(set(re.findall(r"unused parameter: ([^=\s]+)", result.stderr)))


def _service(line: str) -> dict[str, str]:
    """A line of master.cf (master(5)): options stand among the overrides."""
    name, kind, _private, _unprivileged, _chroot, _wakeup, limit, command = line.split(None, 7)
    return {"name": name, "type": kind, "limit": limit, "command": command.split()[0], "line": command}


def _tables(written: dict[str, str], overrides: dict[str, str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for parameter, with_values in TABLES.items():
        texts = [written.get(parameter, ""), *(text for name, text in overrides.items() if name.endswith(parameter))]
        found = [
            _read(kind, path, with_values) for text in texts if "{" not in text for kind, path in _TABLE.findall(text)
        ]
        inline = "a table within main.cf is not read"
        found += [{"table": text, "rows": [], "unread": inline} for text in texts if "{" in text]
        if found:
            yield parameter, found


def _read(kind: str, path: str, with_values: bool) -> dict[str, Any]:
    table: dict[str, Any] = {"table": f"{kind}:{path}", "rows": [], "unread": ""}
    if kind not in INDEXED:
        table["unread"] = f"tables of type {kind} are not read"
        return table
    try:
        rows = list(rows_of(Path(path).read_text(errors="replace")))
    except OSError as error:
        table["unread"] = error.strerror or str(error)
        return table
    if len(rows) > MOST_ROWS:
        table["unread"] = f"only the first {MOST_ROWS} of {len(rows)} rows were read"
    table["rows"] = [[key, value if with_values else ""] for key, value in rows[:MOST_ROWS]]
    return table


def rows_of(text: str) -> Iterator[tuple[str, str]]:
    """Keys and values of a table's text (postmap(1)); of an alias file as well, whose keys end with a colon."""
    line = ""
    for raw in [*text.splitlines(), "end"]:
        if raw.startswith((" ", "\t")) and raw.strip():
            line += f" {raw.strip()}"
            continue
        if line:
            key, *value = line.split(None, 1)
            yield key.removesuffix(":"), value[0].strip() if value else ""
        line = "" if raw.startswith("#") else raw.strip()


def _waiting(queue_directory: str) -> int:
    """Messages in the queues."""
    return sum(1 for queue in _QUEUES for _ in queue_files.names(Path(queue_directory, queue)))


def _addresses() -> list[dict[str, Any]]:
    """Addresses of the host towards others, in the kernel's order."""
    return [
        {"interface": link["ifname"], "address": entry["local"], "prefix": entry["prefixlen"]}
        for link in json.loads(_output(["ip", "-json", "address", "show", "up"]) or "[]")
        for entry in link.get("addr_info", [])
        if entry.get("scope") == "global"
    ]


def _pairs(text: str) -> dict[str, str]:
    """``name = value`` by line; a value may be empty."""
    pairs = (line.partition(" =") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}


def _postconf(directory: str, *arguments: str) -> str:
    return _output(["postconf", "-c", directory, *arguments])


def _output(command: list[str]) -> str:
    try:
        result = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30)
    except FileNotFoundError:
        raise StepError("adopt", f"{command[0]} is not installed on this host") from None
    if result.returncode:
        raise StepError("adopt", f"{' '.join(command)}: {result.stderr.strip()[-500:]}")
    return result.stdout
