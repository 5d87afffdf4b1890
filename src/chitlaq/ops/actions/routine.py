"""The action that runs a routine now."""

from __future__ import annotations

import sys

from chitlaq.core.errors import OperatorError
from chitlaq.core.formatting import count
from chitlaq.core.host import programs
from chitlaq.ops import routines
from chitlaq.ops.actions.model import Action, ActionContext
from chitlaq.ops.checks.model import Section

RUN_SECONDS = 300.0
PROBLEMS = 3
"""The code with which a routine ends that found problems."""


async def _plan(_context: ActionContext, name: str) -> list[str]:
    checks = routines.checks_of(name)
    return [
        f"run {name}: {count(len(checks), 'check')}, which only read; the run is recorded and nobody is told"
    ]


async def _run(context: ActionContext, name: str) -> str:
    """In a process of its own, as the schedule does: it changes the CPUs that it may use."""
    context.say(f"{count(len(routines.checks_of(name)), 'check')} …")
    result = await programs.arun(
        [sys.executable, "-m", "chitlaq", "ops", name, "--as", context.operator],
        timeout_seconds=RUN_SECONDS,
        variables={"CHITLAQ_HOME": str(context.home.root), "NO_COLOR": "1"},
    )
    if result.code not in {0, PROBLEMS}:
        raise OperatorError(f"The routine {name} failed: {result.reason}")
    return result.stdout.strip()


RUN = Action(
    "run",
    "Run a routine now",
    Section.CHECKLIST,
    "a routine",
    ("chitlaq ops ROUTINE",),
    _plan,
    _run,
)
