"""An older controller keeps its hands off a host that a newer one has changed, and says why."""

from __future__ import annotations

import json

import pytest

from smtpctl import __version__
from smtpctl.errors import HostError
from smtpctl.model.records import Outcome
from tests.deploy.conftest import Bench, desired, haproxy

pytestmark = pytest.mark.lab

RECORD = "/var/lib/smtpctl/revisions/000001-*.json"


def rewrite(bench: Bench, member: str, value: object) -> None:
    """Change what the host remembers of its last apply, as another release would have written it."""
    script = f"import glob,json; p=glob.glob('{RECORD}')[0]; d=json.load(open(p)); d['{member}']={value!r}; "
    bench.run("relay1", f'python3 -c "{script} json.dump(d, open(p, chr(119)))"')


def test_a_host_remembers_the_release_that_changed_it(bench: Bench) -> None:
    bench.apply(desired("relay1", haproxy()))
    assert json.loads(bench.run("relay1", f"cat {RECORD}"))["release"] == __version__


@pytest.mark.parametrize(("release", "refused"), [("99.0.1", True), ("0.10.0", True), ("0.0.9", False)])
def test_a_controller_of_an_older_release_is_refused(bench: Bench, release: str, refused: bool) -> None:
    bench.apply(desired("relay1", haproxy(8080)))
    rewrite(bench, "release", release)
    result = bench.apply(desired("relay1", haproxy(8081)))["relay1"]
    if not refused:
        assert result.outcome is Outcome.APPLIED
        return
    assert (result.outcome, result.step) == (Outcome.FAILED, "version")
    assert result.detail == f"smtpctl {release} changed this host last, and this is {__version__}"
    assert "upgrade smtpctl" in result.hint
    with pytest.raises(HostError, match="changed this host last"):
        bench.plan(desired("relay1", haproxy(8080)))
    assert ":8081" not in bench.run("relay1", "ss -ltn")


def test_records_of_a_newer_form_are_refused_and_an_unfinished_change_of_one_is_not_led_back(bench: Bench) -> None:
    bench.apply(desired("relay1", haproxy(8080)))
    rewrite(bench, "protocol", 7)
    bench.run("relay1", f"cp {RECORD} /var/lib/smtpctl/journal.json")
    for result in (bench.apply(desired("relay1", haproxy(8081)))["relay1"], bench.rollback("relay1", "1")):
        assert (result.outcome, result.step) == (Outcome.FAILED, "version")
        assert "left records of version 7; this one reads version 1: upgrade it" in result.detail
    assert bench.run("relay1", "ls /var/lib/smtpctl/journal.json")
