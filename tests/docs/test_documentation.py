"""The documentation is complete and its links lead somewhere: held against the code, not against memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import click
import pytest

from smtpctl import errors
from smtpctl.cli import cli

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
COMMANDS = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
METRICS = (REPOSITORY / "docs" / "metrics.md").read_text(encoding="utf-8")

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.M | re.S)


def sources(*folders: str) -> Iterator[str]:
    for folder in folders:
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            yield path.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The anchors that a forge gives to a page's headings."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    for match in LINK.finditer(FENCED.sub("", page.read_text(encoding="utf-8"))):
        target, _, anchor = (match[1] or match[2]).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        where = (page.parent / target).resolve() if target else page
        assert where.exists(), f"{page.name}: {match[0]} leads nowhere"
        assert where.is_relative_to(REPOSITORY), f"{page.name}: {match[0]} leads out of the repository"
        if anchor:
            assert anchor in anchors(where), f"{page.name}: {where.name} has no heading for #{anchor}"


def test_the_index_lists_every_page() -> None:
    index = (REPOSITORY / "docs" / "README.md").read_text(encoding="utf-8")
    for page in (REPOSITORY / "docs").glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index, f"docs/README.md does not list {page.name}"


def leaves(command: click.Command, path: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(command, click.Group):
        yield " ".join(path)
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        if not child.hidden:
            yield from leaves(child, (*path, name))


def test_every_command_has_its_line() -> None:
    documented = set()
    for row in re.findall(r"^\| (`smtpctl [^|]+) \|", COMMANDS, re.M):
        first, *others = re.findall(r"`([^`]+)`", row)
        documented |= {first, *(f"{first.rpartition(' ')[0]} {name}" for name in others)}
    assert documented == set(leaves(cli, ("smtpctl",)))


def test_every_exit_code_has_its_line() -> None:
    found = {int(code) for code in re.findall(r"^\| (\d) \|", COMMANDS, re.M)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SmtpctlError)]
    raised = {kind.exit_code for kind in kinds}
    assert raised | {0, 3} == found


def test_every_variable_of_the_environment_has_its_line() -> None:
    named = set(re.findall(r'"(SMTPCTL_[A-Z_]+)"', "\n".join(sources("smtpctl", "policy_service"))))
    assert named <= set(re.findall(r"`(SMTPCTL_[A-Z_]+)`", COMMANDS))


def test_every_metric_has_its_line_and_every_line_its_metric() -> None:
    code = "\n".join(sources("smtpctl/intake", "smtpctl/ledger", "policy_service"))
    names = {name for name in re.findall(r'"(smtpctl_[a-z_]+)"', code) if name.count("_") > 1}
    names |= set(re.findall(r"# TYPE (smtpctl_[a-z_]+)", "\n".join(sources("smtpctl/cli", "smtpctl/operate"))))
    names |= {f"smtpctl_policy_{name}" for name in re.findall(r"\{prefix\}_([a-z_]+)", code)}
    assert set(re.findall(r"^\| `(smtpctl_[a-z_]+)`", METRICS, re.M)) == names


def test_every_target_that_is_mentioned_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z%-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.M))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        mentioned = re.findall(r"^ +(?:[A-Z]+=\S+ )?make ([a-z-]+)|`(?:[A-Z]+=\S+ )?make ([a-z-]+)", text, re.M)
        for target in {one or other for one, other in mentioned}:
            known = any(fnmatchcase(target, pattern.replace("%", "*")) for pattern in targets)
            assert known, f"{page.name} mentions make {target}"
