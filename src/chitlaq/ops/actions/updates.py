"""Install the machine's package updates with apt."""

from __future__ import annotations

import os

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import programs
from chitlaq.ops.actions.model import Action, ActionContext
from chitlaq.ops.checks.model import Section

UPDATE_SECONDS = 3600.0
# dpkg finishes the current package.
GRACE_SECONDS = 60.0
APT_UPGRADE = ("--with-new-pkgs", "upgrade")
"""Like `apt upgrade`: it installs new packages (a kernel) and removes none."""


async def _apt(*words: str, seconds: float) -> str:
    program = programs.find("apt-get")
    if program is None:
        raise OperatorError("This machine has no apt-get: use its own package manager.")
    result = await programs.arun(
        [program, *words],
        timeout_seconds=seconds,
        variables={"DEBIAN_FRONTEND": "noninteractive"},
        # A half-installed package is worse than an update that outlives its caller.
        death_signal=None,
        grace_seconds=GRACE_SECONDS,
    )
    return result.checked()


async def _plan_updates(_context: ActionContext, _target: str) -> list[str]:
    text = await _apt("-s", "-o", "Debug::NoLocking=1", *APT_UPGRADE, seconds=120)
    known = [line for line in text.splitlines() if line.startswith("Inst ")]
    return [
        "fetch the package lists, which may add further updates",
        *(line.replace("Inst", "update", 1) for line in known),
    ]


async def _updates(_context: ActionContext, _target: str) -> str:
    if os.geteuid() != 0:
        raise OperatorError("Updating packages needs root: use sudo.")
    # By default, apt continues with old lists when it cannot fetch new ones, and reports success.
    fetched = await _apt("-o", "APT::Update::Error-Mode=any", "update", seconds=UPDATE_SECONDS)
    return fetched + await _apt("-y", *APT_UPGRADE, seconds=UPDATE_SECONDS)


UPDATES = Action(
    "updates",
    "Install the machine's pending package updates",
    Section.MAINTENANCE,
    "",
    ("sudo apt update", "sudo apt upgrade"),
    _plan_updates,
    _updates,
)
