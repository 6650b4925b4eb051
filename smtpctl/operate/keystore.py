"""The ledger's key store on the control host, over SSH: each request is one command there."""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping
from typing import Any

from smtpctl.errors import TransportError
from smtpctl.transport.connection import Connection, Target
from smtpctl.transport.program import run

#: The program that knows the ledger on the control host; it runs as the database's superuser.
LEDGER_PROGRAM = ("/usr/bin/python3", "-B", "/usr/local/lib/smtpctl/ledger.pyz")
#: Names asked for at once; an answer stays within some megabytes.
_MOST = 128


class HostKeyStore:
    """Connects when it is asked for something first."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._connection: Connection | None = None

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def read(self, names: Collection[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        wanted = list(names)
        for begin in range(0, len(wanted), _MOST):
            files = self._ask({"do": "read", "names": wanted[begin : begin + _MOST]})["files"]
            found |= {name: base64.b64decode(content) for name, content in files.items()}
        return found

    def write(self, name: str, content: bytes) -> None:
        self._ask({"do": "write", "names": [name], "content": base64.b64encode(content).decode()})

    def destroy(self, name: str) -> None:
        self._ask({"do": "destroy", "names": [name]})

    def names(self) -> list[str]:
        """What there is."""
        found: list[str] = self._ask({"do": "list"})["names"]
        return found

    def fill(self, files: Mapping[str, bytes]) -> None:
        """Put files where none of them is."""
        texts = [(name, base64.b64encode(content).decode()) for name, content in files.items()]
        for begin in range(0, len(texts), _MOST):
            self._ask({"do": "fill", "files": dict(texts[begin : begin + _MOST])})

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._connection is None:
            self._connection = Connection(self._target)
        ended = run(self._connection, "postgres", *LEDGER_PROGRAM, "keys", told=json.dumps(request).encode())
        if ended.code:
            last = ended.errors.splitlines()[-1:] or [f"exit status {ended.code}"]
            raise TransportError(f"{self._target.host}: the ledger's key store: {last[0]}")
        answer: dict[str, Any] = json.loads(ended.output)
        return answer
