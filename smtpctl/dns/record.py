"""One DNS record as a value, and records as the text of a zone (RFC 1035 §5). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

#: A TXT string holds at most so many octets (RFC 1035 §3.3); readers join the strings of one record.
LONGEST_STRING = 255


@dataclass(frozen=True, slots=True)
class Record:
    """``name`` is fully qualified, with its trailing dot; ``value`` is in the form of a zone file."""

    name: str
    ttl: int
    type: str
    value: str

    def is_within(self, domain: str) -> bool:
        """Whether the record stands at or below ``domain``."""
        return f".{self.name}".endswith(f".{domain}.")

    def order(self) -> tuple[list[str], str, int, str]:
        """Key to sort by: a domain, then what is below it; mail exchangers by preference."""
        preference = int(self.value.split()[0]) if self.type == "MX" else 0
        return list(reversed(self.name.split("."))), self.type, preference, self.value


def zone_lines(records: Iterable[Record]) -> str:
    """Records as zone-file text, one a line, all names fully qualified."""
    return "".join(f"{record.name} {record.ttl} IN {record.type} {record.value}\n" for record in records)


def quoted(text: str) -> str:
    """A text as the value of a TXT record, in strings of at most 255 octets."""
    parts = [text[start : start + LONGEST_STRING] for start in range(0, len(text), LONGEST_STRING)] or [""]
    return " ".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in parts)
