"""A TCP relay that holds every byte back: what is slower through it by n times the delay took n round trips.

The first byte waits for one round trip more, which stands for TCP's own handshake.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def relay(address: str, port: int, round_trip: float) -> Iterator[int]:
    """Listen on loopback, in the network of the calling thread; give the port."""
    ready = threading.Event()
    place: dict[str, object] = {}

    async def serve() -> None:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            host_reader, host_writer = await asyncio.open_connection(address, port)
            await asyncio.sleep(round_trip)
            there, back = _pump(reader, host_writer, round_trip / 2), _pump(host_reader, writer, round_trip / 2)
            with suppress(asyncio.CancelledError):  # the relay ends; so do its connections
                await asyncio.gather(there, back)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        place["port"] = server.sockets[0].getsockname()[1]
        place["loop"] = asyncio.get_running_loop()
        place["stop"] = stop = asyncio.Event()
        ready.set()
        await stop.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait()
    try:
        yield int(str(place["port"]))
    finally:
        loop, stop = place["loop"], place["stop"]
        assert isinstance(loop, asyncio.AbstractEventLoop) and isinstance(stop, asyncio.Event)
        loop.call_soon_threadsafe(stop.set)
        thread.join()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Pass on what comes, each piece ``delay`` seconds after it came, in order."""
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    async def send() -> None:
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not piece:
                writer.close()
                return
            writer.write(piece)
            await writer.drain()

    sending = asyncio.create_task(send())
    try:
        while piece := await reader.read(1 << 16):
            pieces.put_nowait((loop.time() + delay, piece))
    except ConnectionError:
        pass  # the other side is gone: so is this one
    pieces.put_nowait((loop.time() + delay, b""))
    await asyncio.gather(sending, return_exceptions=True)
