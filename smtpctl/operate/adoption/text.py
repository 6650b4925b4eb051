"""A draft as the text of an inventory: YAML with a comment above every key that was guessed."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from smtpctl.inventory.document import scalar_value
from smtpctl.operate.adoption.report import Draft

_WIDTH = 110
_PLAIN = re.compile(r"[A-Za-z0-9./_][A-Za-z0-9./_@+-]*")
_HEAD = """\
# Drafted from a running Postfix by `smtpctl adopt`. What begins with GUESS was not told by the host: read it, and what
# adopt listed beside this file, before anything is applied.
"""


def inventory_text(draft: Draft) -> str:
    """The file."""
    return _HEAD + "\n".join(_mapping(draft, draft.inventory, (), "")) + "\n"


def _mapping(draft: Draft, values: dict[str, Any], path: tuple[str, ...], indent: str) -> Iterator[str]:
    for key, value in values.items():
        own = (*path, key)
        if not path and isinstance(value, dict | list):
            yield ""
        yield from _comments(draft, own, indent)
        name = key if _is_plain(key) else json.dumps(key)
        if isinstance(value, dict) and value:
            yield f"{indent}{name}:"
            yield from _mapping(draft, value, own, f"{indent}  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"{indent}{name}:"
            for item in value:
                yield from _comments(draft, (*own, str(item.get("helo", ""))), f"{indent}  ")
                yield f"{indent}  - {_flow(item)}"
        else:
            yield f"{indent}{name}: {_flow(value)}"


def _comments(draft: Draft, path: tuple[str, ...], indent: str) -> Iterator[str]:
    for words in draft.notes.comments.get(path, ()):
        yield from textwrap.wrap(words, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}#   ")


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return str(value) if isinstance(value, int) or _is_plain(value) else json.dumps(value, ensure_ascii=False)


def _is_plain(text: str) -> bool:
    """Whether YAML reads it as this text without quotes."""
    return _PLAIN.fullmatch(text) is not None and scalar_value(text) == text
