"""Places in a log, known again by what stands there. Pure.

A position carries two fingerprints: of the first bytes of its file (which file is it?) and of the last bytes before it
(is what was read still there?). Steps are fingerprints at earlier positions, close together near the end and further
apart towards the beginning: where a file lost its end, they tell how much of it is still what was read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

HEAD = 1024
TAIL = 1024
#: So many of the latest steps are kept all.
_LATEST = 6
#: Binary order of the distance below which older steps are all the same.
_FINEST = 10


@dataclass(frozen=True, slots=True)
class Mark:
    """Fingerprint of ``length`` bytes."""

    length: int
    digest: str

    @classmethod
    def of(cls, data: bytes) -> Mark:
        return cls(len(data), hashlib.blake2b(data, digest_size=16).hexdigest())


@dataclass(frozen=True, slots=True)
class Step:
    """A place that was passed, and the fingerprint of what stood just before it."""

    offset: int
    mark: Mark


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a log: ``offset`` bytes into the file that begins with ``head``, just after ``tail``.

    ``read_before`` is set where a file lost its end: what stands before that offset may have been read already.
    """

    generation: int = 0
    offset: int = 0
    head: Mark = Mark(0, "")
    tail: Mark = Mark(0, "")
    steps: tuple[Step, ...] = ()
    read_before: int = 0

    @property
    def marks(self) -> dict[str, Any]:
        """The fingerprints as plain values, for a checkpoint."""
        return {
            "head": [self.head.length, self.head.digest],
            "tail": [self.tail.length, self.tail.digest],
            "steps": [[step.offset, step.mark.length, step.mark.digest] for step in self.steps],
            "read_before": self.read_before,
        }

    @classmethod
    def restore(cls, generation: int, offset: int, marks: dict[str, Any]) -> Position:
        """The position that ``marks`` was taken from."""
        head, tail = (Mark(int(marks[name][0]), str(marks[name][1])) for name in ("head", "tail"))
        steps = tuple(Step(place, Mark(length, digest)) for place, length, digest in marks.get("steps", ()))
        return cls(generation, offset, head, tail, steps, marks.get("read_before", 0))

    def advanced(self, data: bytes, head: bytes, tail: bytes) -> Position:
        """The position after ``data``, which was read here; ``head`` and ``tail`` are those of the new position."""
        offset = self.offset + len(data)
        steps = self.steps
        if not steps:
            first = data.find(b"\n") + 1
            steps = (Step(first, Mark.of(data[max(0, first - TAIL) : first])),)
        mark = Mark.of(tail)
        return Position(
            self.generation,
            offset,
            Mark.of(head),
            mark,
            _thinned((*steps, Step(offset, mark))),
            self.read_before if self.read_before > offset else 0,
        )

    def back_to(self, step: Step, head: bytes) -> Position:
        """The position at a step, for a file that holds no more of what was read."""
        steps = tuple(other for other in self.steps if other.offset <= step.offset)
        return Position(
            self.generation, step.offset, Mark.of(head), step.mark, steps, max(self.read_before, self.offset)
        )


def _thinned(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The first step, the latest ones, and of those between the oldest at each order of distance from the end."""
    if len(steps) <= _LATEST + 1:
        return steps
    end = steps[-1].offset
    kept = [steps[0]]
    orders = set()
    for step in steps[1:-_LATEST]:
        order = ((end - step.offset) >> _FINEST).bit_length()
        if order not in orders:
            orders.add(order)
            kept.append(step)
    return (*kept, *steps[-_LATEST:])


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines, each with its newline, and the position after them. ``gap`` says what could not be read before;
    ``again`` says that some of the lines may have been read already, from a file that has lost its end since."""

    data: bytes
    position: Position
    gap: str = ""
    again: bool = False
