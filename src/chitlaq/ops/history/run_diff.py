"""What changed between two runs: which checks got worse, and which better."""

from __future__ import annotations

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.formatting import count
from chitlaq.ops.checks.model import WORST_FIRST, Verdict
from chitlaq.ops.checks.runner import Run
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.history import run_history


class VerdictChange(msgspec.Struct, frozen=True):
    """A check whose verdict differs; SKIPPED also stands for not checked."""

    check: str
    title: str
    before: Verdict
    after: Verdict
    summary: str


class RunDiff(msgspec.Struct, frozen=True):
    """Two runs of one routine, and the verdicts that differ."""

    before: Run
    after: Run
    changes: list[VerdictChange]


async def latest(database: OpsDatabase, routine: str) -> RunDiff:
    """Compare the last two runs of a routine.

    Raises:
        OperatorError: there are fewer than two.
    """
    found = await run_history.newest(database, routine, 2)
    if len(found) < 2:
        raise OperatorError(
            f"{routine} has {count(len(found), 'recorded run')}; a comparison needs two."
        )
    after, before = found
    return RunDiff(before, after, compare(before, after))


def compare(before: Run | None, after: Run) -> list[VerdictChange]:
    """Return the checks whose verdict changed, the worst first.

    Args:
        before: the run to compare with; without one, nothing has changed.
        after: the newer run.
    """
    if before is None:
        return []
    then = {one.check: one for one in before.results}
    now = {one.check: one for one in after.results}
    found = [
        VerdictChange(
            name,
            (now.get(name) or then[name]).title,
            then[name].verdict if name in then else Verdict.SKIPPED,
            now[name].verdict if name in now else Verdict.SKIPPED,
            now[name].summary if name in now else "not checked",
        )
        for name in {**now, **then}
    ]
    return sorted(
        (one for one in found if one.before != one.after),
        key=lambda one: (WORST_FIRST.index(one.after), one.check),
    )
