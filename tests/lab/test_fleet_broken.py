"""A sample of the deliberately broken changes on the fleet that runs; `make torture` tries all of them."""

from __future__ import annotations

import pytest

from tests.broken.cases import Case, cases
from tests.broken.fleet import Trial
from tests.lab.support import INVENTORY, AppliedFleet, smtpctl

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def trial(applied: AppliedFleet) -> Trial:
    smtpctl("apply", str(INVENTORY), "--yes", "--take-over")  # whatever other tests left
    return Trial.of(applied)


@pytest.mark.parametrize("case", [case for case in cases() if case.sample], ids=str)
def test_a_broken_change_does_not_stay_live_and_names_its_cause(trial: Trial, case: Case) -> None:
    assert trial.run(case) == []
