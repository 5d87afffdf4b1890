"""What is different from the run before: which checks became worse, which better."""

from __future__ import annotations

import msgspec

from chitlaq.ops.checks.model import WORST_FIRST, Verdict
from chitlaq.ops.routines import Run


class VerdictChange(msgspec.Struct, frozen=True):
    """A check whose verdict differs from the run before; SKIPPED stands for not looked at."""

    check: str
    title: str
    before: Verdict
    after: Verdict
    summary: str


def compare(before: Run | None, after: Run) -> list[VerdictChange]:
    """Return the checks whose verdict changed; those that became worst first.

    Args:
        before: the run to compare with; without one there is no change.
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
            now[name].summary if name in now else "not looked at",
        )
        for name in {**now, **then}
    ]
    return sorted(
        (one for one in found if one.before != one.after),
        key=lambda one: (WORST_FIRST.index(one.after), one.check),
    )
