"""The measure of everything: a bare ``asyncio.Protocol`` that answers any request with the same bytes. Edge.

Same loop, same socket options, nothing parsed: what asyncio itself costs a request.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import cast

from policy_service.listen import bound, endpoint, serve
from policy_service.loop import run_loop

ANSWER = b"action=DUNNO\n\n"


class Echo(asyncio.Protocol):
    """Answers once a request for what ends in an empty line."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if data.endswith(b"\n\n"):
            self._transport.write(ANSWER)


def main() -> None:
    """Answer for ever."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", type=endpoint, required=True)
    options = parser.parse_args()

    async def run() -> None:
        server = await serve(bound(options.listen), Echo)
        print("ready", flush=True)
        await server.serve_forever()

    run_loop(run())


if __name__ == "__main__":
    main()
