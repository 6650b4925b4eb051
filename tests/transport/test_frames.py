"""Messages between controller and agent survive any cut of the stream, and noise is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpctl.transport.agent import frames

JSON = st.dictionaries(st.text(), st.integers() | st.text() | st.booleans() | st.lists(st.text()))


class Stream:
    """Gives out ``content`` in chunks of at most ``size``, as a socket may."""

    def __init__(self, content: bytes, size: int) -> None:
        self.content = content
        self.size = size

    def receive(self, count: int) -> bytes:
        chunk, self.content = self.content[: min(count, self.size)], self.content[min(count, self.size) :]
        return chunk


def parts(message: frames.Message | None) -> tuple[dict[str, Any], tuple[bytes, ...]] | None:
    return (message.header, message.blobs) if message else None


@given(JSON, st.lists(st.binary()), st.integers(1, 50))
def test_what_was_sent_arrives(header: dict[str, object], blobs: list[bytes], size: int) -> None:
    header.pop("blobs", None)
    stream = Stream(frames.pack(header, blobs) + frames.pack({"answer": "next"}), size)
    assert parts(frames.read(stream.receive)) == (header, tuple(blobs))
    assert parts(frames.read(stream.receive)) == ({"answer": "next"}, ())
    assert frames.read(stream.receive) is None


def test_a_zero_length_asks_for_the_agent() -> None:
    assert parts(frames.read(Stream(bytes(4), 4).receive)) == ({"answer": "agent wanted"}, ())


@pytest.mark.parametrize(
    "noise",
    [b"Last login: Sat Nov 22", b"\0\0\0\x05hello", b"\0\0\0\x20short", b"\0\0"],
    ids=["motd", "not compressed", "ends early", "ends in the length"],
)
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(frames.FrameError):
        frames.read(Stream(noise, 7).receive)


def test_what_unpacks_to_more_than_any_message_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "LARGEST", 100_000)
    content = frames.pack({"answer": "observed"}, [bytes(1_000_000)])
    assert len(content) < frames.LARGEST
    with pytest.raises(frames.FrameError, match="more than any message"):
        frames.read(Stream(content, 4096).receive)
