"""The programs of the policy service.

``serve`` (delegation; meant where no program is named), ``from-guard`` (milter) and ``route`` (socketmap) are daemons;
``explain`` and ``quota`` show what the first decides; ``check`` says whether a file is right before it is live.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

#: program -> (module, its options, its main, line in the help). Modules are imported when they are named.
PROGRAMS = {
    "serve": ("serve", "arguments", "main", "answer Postfix's policy requests"),
    "from-guard": ("from_guard", "arguments", "main", "check the header From before signing (milter)"),
    "route": ("route", "arguments", "main", "answer which transport a recipient takes (socketmap)"),
    "replay": ("replay", "arguments", "main", "answer requests at the times that they name, for trying rules"),
    "check": ("check", "arguments", "main", "say whether files of rules and routes are right"),
    "explain": ("explain", "arguments", "explain", "show what each rule says of a message, and why"),
    "quota": ("inspect", "arguments", "quotas", "show how full limits are; give quota back"),
}


def main(argv: list[str] | None = None) -> int:
    """Run the program that the first argument names."""
    words = sys.argv[1:] if argv is None else argv
    if words[:1] and words[0].startswith("--") and words[0] != "--help":
        words = ["serve", *words]
    parser = argparse.ArgumentParser(prog="policy_service", description=__doc__)
    programs = parser.add_subparsers(dest="program", required=True)
    for name, (module, declare, _, text) in PROGRAMS.items():
        program = programs.add_parser(name, help=text)
        if words[:1] == [name]:
            getattr(import_module(f"policy_service.{module}"), declare)(program)
    options = parser.parse_args(words)
    module, _, run, _ = PROGRAMS[options.program]
    code: int = getattr(import_module(f"policy_service.{module}"), run)(options)
    return code


if __name__ == "__main__":
    sys.exit(main())
