"""``chitlaq backup``: what its exit codes tell ops-service."""

from __future__ import annotations

import pytest
import typer

from chitlaq.backups.steps import StepOutcome
from chitlaq.cli.backup import session

GOOD = StepOutcome("dump", is_good=True, detail="", seconds=0.0, is_finding=False)
FAILED = StepOutcome("dump", is_good=False, detail="", seconds=0.0, is_finding=False)
FOUND_BAD = StepOutcome("verify x", is_good=False, detail="", seconds=0.0)
INCONCLUSIVE = StepOutcome("drill x", is_good=False, detail="", seconds=0.0, is_conclusive=False)


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([FOUND_BAD], 3),
        ([GOOD, INCONCLUSIVE], 4),
        ([INCONCLUSIVE, FOUND_BAD], 3),
        ([FOUND_BAD, FAILED], 1),
    ],
)
def test_exit_code_tells_failure_from_finding(outcomes: list[StepOutcome], code: int) -> None:
    """ops-service retries failures, not findings, which a retry would only repeat."""
    with pytest.raises(typer.Exit) as ended:
        session.exit_for(outcomes)
    assert ended.value.exit_code == code


def test_good_outcomes_do_not_exit() -> None:
    session.exit_for([GOOD])
