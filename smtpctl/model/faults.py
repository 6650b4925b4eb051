"""What is wrong with the rendered files of a host before any server has seen them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One contradiction between files: where, what, and the remedy in one sentence. Never holds a secret."""

    path: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}\n  remedy: {self.remedy}"
