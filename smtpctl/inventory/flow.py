"""A value on one line, as YAML writes it: for hints, the reference page and the sample."""

from __future__ import annotations

from typing import Any


def flow(value: Any) -> str:
    """``[a, b]``, ``{key: value}``, or the plain value. Only for values that need no quotes."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {flow(item)}' for key, item in value.items())}}}"
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{', '.join(map(flow, value))}]" if isinstance(value, list) else str(value)
