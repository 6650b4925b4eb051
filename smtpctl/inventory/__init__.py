"""YAML to a Fleet, or every problem of the inventory with file, line, column and remedy; its schema, page and sample.

``load_fleet`` is what commands call; ``check`` is what ``smtpctl validate`` calls. Nothing here renders, connects or
knows a secret.
"""

from smtpctl.inventory.files import check, load_fleet
from smtpctl.inventory.problems import InventoryProblems, Problem

__all__ = ["InventoryProblems", "Problem", "check", "load_fleet"]
