"""The JSON schema of the inventory, for editors and for other programs; it comes from the model alone."""

from __future__ import annotations

from typing import Any

from smtpctl.inventory.judge import adapter

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def json_schema() -> dict[str, Any]:
    """The schema as JSON Schema 2020-12. Defaults stand as they would be written."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **adapter().json_schema()}
    schema["title"] = "Inventory of a smtpctl fleet"
    for part in (schema, *schema["$defs"].values()):
        for member in part.get("properties", {}).values():
            if member.get("type") == "string" and isinstance(member.get("default"), int):
                member["default"] = duration_text(member["default"])
    return schema


def duration_text(seconds: int) -> str:
    """Whole seconds as the inventory writes them, in the largest unit that fits: ``5d``, ``90m``."""
    unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"
