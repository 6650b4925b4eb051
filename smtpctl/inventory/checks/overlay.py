"""The templates overlay: every file in it replaces a built-in one, so it must have the path of one."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath

from smtpctl.inventory.problems import Finding

_PATH = ("templates",)


def overlay_findings(folder: str, files: Collection[str] | None, built_in: Collection[str] | None) -> Iterator[Finding]:
    """Findings about the overlay ``folder`` as the inventory names it.

    ``files`` are the paths below it (None: there is no such folder), ``built_in`` those of the built-in templates
    (None: unknown, and nothing is said about paths).
    """
    if files is None:
        yield Finding(_PATH, f"there is no folder {folder!r} beside the inventory", "create it, or remove `templates`")
        return
    if built_in is None:
        return
    for file in sorted(set(files) - set(built_in)):
        if not PurePosixPath(file).name.startswith("."):
            close = difflib.get_close_matches(file, sorted(built_in), n=1, cutoff=0.5)
            hint = f"the nearest one is {close[0]}" if close else "take the path of the file that it is to replace"
            yield Finding(_PATH, f"{folder}/{file} replaces nothing: no built-in template has this path", hint)
