"""``check``: is a file of rules or a routing table one that the service would take? For before it goes live.

A service that runs keeps its old rules when a reload brings bad ones: nothing else would say so to who changed them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from policy_service import routing, rules_file
from policy_service.ruleset import RulesError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``check``."""
    parser.add_argument("--rules", type=Path, help="file of rules (policy.json)")
    parser.add_argument("--routing", type=Path, help="routing table (routing.json)")


def main(options: argparse.Namespace) -> int:
    """Exit code 0, or 1 with every problem."""
    problems: list[str] = []
    for file, parse in ((options.rules, rules_file.parse), (options.routing, routing.parse)):
        if file is None:
            continue
        try:
            parse(file.read_bytes())
        except RulesError as error:
            problems.append(f"{file}: {error}")
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1 if problems else 0
