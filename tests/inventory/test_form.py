"""Schema, reference page and sample: all of the model, and nothing that is not in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from smtpctl.cli import cli
from smtpctl.inventory.checks import ALL_CHECKS
from smtpctl.inventory.checks.owned_parameters import OWNED
from smtpctl.inventory.judge import judge
from smtpctl.inventory.reference import reference_page
from smtpctl.inventory.sample import sample_inventory
from smtpctl.inventory.schema import duration_text, json_schema
from smtpctl.inventory.shape import annotation_at, field_at, keys_at, parts
from smtpctl.model.fleet import Fleet
from smtpctl.model.value import fields_of


def test_the_reference_page_in_docs_is_up_to_date(repository: Path) -> None:
    page = (repository / "docs/inventory-reference.md").read_text()
    assert page == reference_page(), "run: smtpctl schema --format markdown > docs/inventory-reference.md"


def test_the_reference_page_has_every_key_rule_and_owned_parameter() -> None:
    page = reference_page()
    for model, heading in parts().items():
        section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
        for name, field in fields_of(model).items():
            assert f"| `{name}` |" in section
            assert field.metadata.get("description"), f"{model.__name__}.{name} lacks a description"
            assert field.metadata["description"] in section
    for check in ALL_CHECKS:
        assert f"- {check.rule}\n" in page
    for owned in OWNED:
        assert all(f"`{pattern}`" in page for pattern in owned.patterns)


def test_links_of_the_reference_page_lead_to_headings() -> None:
    page = reference_page()
    anchors = {
        re.sub(r"[^a-z0-9_ -]", "", line.lower()).replace(" ", "-") for line in re.findall(r"^#+ (.*)$", page, re.M)
    }
    links = re.findall(r"\(#([^)]*)\)", page)
    assert links
    assert set(links) <= anchors


def test_the_sample_is_sound() -> None:
    fleet, _, problems = judge(sample_inventory(), "sample.yml")
    assert problems == ()
    assert fleet is not None


def test_the_sample_is_sound_with_every_commented_key_in_force() -> None:
    """So that defaults and examples of the model are values that the model takes."""
    text = re.sub(r"^( *)# ([a-z_]+: \S.*)$", _uncommented, sample_inventory(), flags=re.M)
    fleet, _, problems = judge(text, "sample.yml")
    assert problems == ()
    assert fleet is not None
    assert fleet.templates == "overlay"
    assert fleet.hosts["mail1"].interface == "ens3"


def _uncommented(match: re.Match[str]) -> str:
    # A description may begin with a key's name as well; those are no YAML of one key.
    known = {name for model in parts() for name in fields_of(model)}
    key, _, value = match[2].partition(": ")
    prose = key not in known or " " in re.sub(r"\[.*\]|\{.*\}", "", value)
    return match[0] if prose else f"{match[1]}{match[2]}"


def test_the_sample_names_every_key_of_the_model() -> None:
    text = sample_inventory()
    for model in parts():
        if model is Fleet or model.__name__ != "Dkim":
            for name in fields_of(model):
                assert re.search(rf"^ *(- |# )?{name}:", text, re.M), f"{model.__name__}.{name}"


def test_the_schema_describes_every_key_and_forbids_others() -> None:
    schema = json_schema()
    for part in (schema, *schema["$defs"].values()):
        if part.get("type") == "object":
            assert part["additionalProperties"] is False
            for name, member in part["properties"].items():
                assert member.get("description") or "$ref" in member, name


def test_defaults_in_the_schema_stand_as_they_are_written() -> None:
    pool = json_schema()["$defs"]["Pool"]["properties"]["queue_lifetime"]
    assert (pool["type"], pool["default"]) == ("string", "5d")


@pytest.mark.parametrize(
    ("seconds", "text"),
    ((1, "1s"), (60, "1m"), (90, "90s"), (5400, "90m"), (3600, "1h"), (86400, "1d"), (432000, "5d")),
)
def test_durations_are_written_in_the_largest_unit_that_fits(seconds: int, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("path", "keys"),
    (
        (("ssh",), ("user", "port", "identity", "known_hosts", "via")),
        (("hosts", "edge1", "sources", 0), ("address", "helo", "pool", "weight")),
        (("credentials", "shop", "limits", 2), ("key", "counted", "count", "per", "burst")),
        (("domains", "sending", "shop.test", "dkim"), ("rsa", "ed25519")),
        (("hosts",), ()),
        (("nowhere", "at", "all"), ()),
    ),
)
def test_keys_of_a_part_are_found_by_its_path(path: tuple[str | int, ...], keys: tuple[str, ...]) -> None:
    assert keys_at(path) == keys


def test_fields_are_found_by_their_path() -> None:
    field = field_at(("pools", "transactional", "port"))
    assert field is not None
    assert field.metadata["ge"] == 1024
    assert annotation_at(()) is Fleet
    assert field_at(("pools", "transactional")) is None


@pytest.mark.parametrize("output_format", ("json", "markdown", "sample"))
def test_smtpctl_schema_prints(output_format: str) -> None:
    made: dict[str, Any] = {"json": None, "markdown": reference_page(), "sample": sample_inventory()}
    result = CliRunner().invoke(cli, ["schema", "--format", output_format])
    assert result.exit_code == 0
    if output_format == "json":
        assert yaml.safe_load(result.stdout) == yaml.safe_load(CliRunner().invoke(cli, ["schema"]).stdout)
        assert "$schema" in result.stdout
    else:
        assert result.stdout == made[output_format]
