"""Text of Postfix configuration files: overriding parameters of a rendered main.cf."""

from __future__ import annotations

from collections.abc import Mapping


def override_parameters(text: str, parameters: Mapping[str, str]) -> str:
    """``text`` of a main.cf with ``parameters`` set: in place where a parameter stands already, else at the end.

    A parameter's continuation lines (postconf(5): lines that start with white space) go with it, so that no value
    stands twice, which ``postconf`` would warn about.
    """
    left = dict(parameters)
    lines: list[str] = []
    skipping = False
    for line in text.splitlines():
        if line[:1].isspace() and line.strip():
            if not skipping:
                lines.append(line)
            continue
        name = line.partition("=")[0].strip()
        skipping = "=" in line and not line.startswith("#") and name in left
        lines.append(f"{name} = {left.pop(name)}" if skipping else line)
    if left:
        lines += ["", "# From `parameters` of the inventory", *(f"{name} = {left[name]}" for name in sorted(left))]
    return "\n".join(lines) + "\n"
