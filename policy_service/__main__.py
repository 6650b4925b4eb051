"""The programs of the policy service: ``serve`` (delegation), ``from-guard`` (milter), ``route`` (socketmap)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from policy_service import from_guard, route, serve


def main(argv: list[str] | None = None) -> int:
    """Run the program that the first argument names."""
    parser = argparse.ArgumentParser(prog="policy_service", description=__doc__)
    programs = parser.add_subparsers(dest="program", required=True)
    mains: dict[str, Callable[[argparse.Namespace], int]] = {}
    for name, module, text in (
        ("serve", serve, "answer Postfix's policy requests"),
        ("from-guard", from_guard, "check the header From before signing (milter)"),
        ("route", route, "answer which transport a recipient takes (socketmap)"),
    ):
        module.arguments(programs.add_parser(name, help=text))
        mains[name] = module.main
    options = parser.parse_args(argv)
    return mains[options.program](options)


if __name__ == "__main__":
    sys.exit(main())
