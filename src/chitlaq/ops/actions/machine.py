"""Actions on the machine and its components: restart one, rotate all logs, install package updates."""

from __future__ import annotations

import asyncio
import os

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import programs
from chitlaq.ops.actions.model import Action, ActionContext
from chitlaq.ops.checks.model import Section
from chitlaq.stack.supervisor import control

UPDATE_SECONDS = 3600.0
# dpkg finishes the current package.
GRACE_SECONDS = 60.0
APT_UPGRADE = ("--with-new-pkgs", "upgrade")
"""Like `apt upgrade`: it installs new packages (a kernel) and removes none."""


async def _plan_restart(context: ActionContext, service: str) -> list[str]:
    statuses = await asyncio.to_thread(control.ask, context.home, control.Ps())
    chosen = [status for status in statuses if status.service == service]
    if not chosen:
        names = ", ".join(dict.fromkeys(status.service for status in statuses))
        raise OperatorError(f"There is no component {service}; there are {names}.")
    return [f"restart {one.name} (process {one.pid}, {one.state})" for one in chosen]


async def _restart(context: ActionContext, service: str) -> str:
    command = control.Restart(service)
    statuses = await asyncio.to_thread(
        control.ask, context.home, command, lambda text: context.say(f"waiting for {text}")
    )
    return "\n".join(
        f"{one.name}: {one.state}, process {one.pid}" for one in statuses if one.service == service
    )


async def _plan_rotate(context: ActionContext, _target: str) -> list[str]:
    return [f"start new files in {context.home.logs}; the current ones are kept, numbered"]


async def _rotate(context: ActionContext, _target: str) -> str:
    await asyncio.to_thread(control.ask, context.home, control.Rotate())
    return f"new files in {context.home.logs}"


RESTART = Action(
    "restart",
    "Restart a component; services are replaced without losing a request",
    Section.INCIDENTS,
    "a component",
    ("chitlaq restart SERVICE",),
    _plan_restart,
    _restart,
)
ROTATE = Action(
    "rotate",
    "Rotate the log files",
    Section.MAINTENANCE,
    "",
    ("chitlaq rotate", "sudo logrotate -f /etc/logrotate.d/chitlaq"),
    _plan_rotate,
    _rotate,
)


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
