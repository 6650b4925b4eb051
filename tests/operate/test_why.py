"""Why mail waits: facts in, sentences out. A file a case; the lines of ``says`` have to stand so, in that order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from smtpctl.operate.why import Facts, Finding, explain

CASES = sorted((Path(__file__).parent / "why").glob("*.yml"))

#: What a row has besides what a case says of it.
PLACE = {"at": 1795334400.0, "host": "relay1", "instance": "transactional", "queue_id": "4jX1", "text": ""}
PAUSE = {"who": "ada@office", "why": "", "since": 1795334400.0, "until": None, "action": "wait", "value": ""}


def facts_of(document: dict[str, Any]) -> Facts:
    rows = ("attempts", "waiting", "refusals", "bounces")
    members: dict[str, Any] = {
        name: [PLACE | row for row in value] if name in rows else value for name, value in document.items()
    }
    members["pauses"] = [PAUSE | pause for pause in document.get("pauses", ())]
    wanted: dict[str, Any] = {"kind": "address", "wanted": "ada@gmail.test", "now": 1795338000.0}
    return Facts(**(wanted | members))


def lines_of(finding: Finding) -> list[str]:
    return [
        finding.sentence,
        *(f"  {line}" for line in finding.evidence),
        *([f"> {finding.remedy}"] * bool(finding.remedy)),
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_facts_become_sentences(case: Path) -> None:
    document = yaml.safe_load(case.read_text())
    said = [line for finding in explain(facts_of(document["facts"])) for line in lines_of(finding)]
    assert said == document["says"]
