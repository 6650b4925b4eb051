"""A dovecot.conf as nested blocks, as far as listeners and certificates go (Dovecot 2.4's form)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Block:
    """``name label { settings, blocks }``; the whole file is one without a name."""

    name: str = ""
    label: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)

    def within(self, name: str) -> Iterator[Block]:
        """Blocks of that name, however deep."""
        for block in self.blocks:
            if block.name == name:
                yield block
            yield from block.within(name)


def read(text: str) -> Block:
    """The file as one block; lines that are none of the three forms are Dovecot's own checker's to refuse."""
    stack = [Block()]
    for line in text.splitlines():
        words = line.partition("#")[0].strip()
        if words.endswith("{"):
            name, _, label = words[:-1].strip().partition(" ")
            block = Block(name, label.strip())
            stack[-1].blocks.append(block)
            stack.append(block)
        elif words == "}":
            del stack[max(1, len(stack) - 1) :]
        elif "=" in words:
            name, _, value = words.partition("=")
            stack[-1].settings[name.strip()] = value.strip()
    return stack[0]
