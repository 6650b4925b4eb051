"""A file of rules, read as this release knows them. Edge. For programs that need no engine too."""

from __future__ import annotations

from pathlib import Path

from policy_service.rules import RULE_NAMES, WITH_ACTION
from policy_service.rules_file import parse
from policy_service.ruleset import Ruleset


def read_rules(path: Path) -> Ruleset:
    """The rules of a file. Raise OSError or RulesError."""
    return parse(path.read_bytes(), rule_names=RULE_NAMES, with_action=WITH_ACTION)
