"""Actions on components: restart one, rotate all logs."""

from __future__ import annotations

import asyncio

from chitlaq.core.errors import OperatorError
from chitlaq.ops.actions.model import Action, ActionContext
from chitlaq.ops.checks.model import Section
from chitlaq.stack.supervisor import control


async def _plan_restart(context: ActionContext, service: str) -> list[str]:
    statuses = await asyncio.to_thread(control.ask, context.home, control.Ps())
    chosen = [status for status in statuses if status.service == service]
    if not chosen:
        names = ", ".join(dict.fromkeys(status.service for status in statuses))
        raise OperatorError(f"There is no component {service}; there are {names}.")
    return [f"restart {one.name} (process {one.pid}, {one.state})" for one in chosen]


async def _restart(context: ActionContext, service: str) -> str:
    statuses = await asyncio.to_thread(control.ask, context.home, control.Restart(service))
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
