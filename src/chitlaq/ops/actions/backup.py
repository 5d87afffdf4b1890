"""Actions on backups: take them now, restore one."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from chitlaq.core import point_in_time
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import programs
from chitlaq.ops.actions.model import Action, ActionContext
from chitlaq.ops.checks.model import Section

if TYPE_CHECKING:
    from chitlaq.backups.context import BackupContext
    from chitlaq.backups.restore.plan import RestorePlan

DAY_SECONDS = 86_400.0
# An interrupted backup removes what it has begun.
GRACE_SECONDS = 30.0
_BACKUP = re.compile(r"(?:full|incremental|chitlaq|config)_\S*")
_AGO = re.compile(r"\d+[smhd]")


def _backups(context: ActionContext) -> BackupContext:
    from chitlaq.backups.context import BackupContext

    told = ""

    def report(stage: str, _done: int, _total: int) -> None:
        nonlocal told
        if stage != told:
            told = stage
            context.say(f"{stage} …")

    return BackupContext(context.home, context.settings, report)


# --- take backups


async def _plan_backup(context: ActionContext, _target: str) -> list[str]:
    from chitlaq.backups import daily

    backups = _backups(context)
    today = datetime.now().astimezone().date()
    kinds = await asyncio.to_thread(daily.kinds_to_take, backups, [], today)
    copied = (
        f", copied to {backups.settings.backups.copy_to}"
        if backups.settings.backups.copy_to
        else ""
    )
    return [f"take into {backups.folder}, verified{copied}: {', '.join(kinds)}"]


async def _backup(context: ActionContext, _target: str) -> str:
    """In a process of its own: it lowers its priority."""
    result = await programs.arun(
        [sys.executable, "-m", "chitlaq", "backup", "run", "--as", context.operator],
        timeout_seconds=DAY_SECONDS,
        variables={"CHITLAQ_HOME": str(context.home.root), "NO_COLOR": "1"},
        grace_seconds=GRACE_SECONDS,
    )
    if result.code != 0:
        raise OperatorError(f"{result.stdout}{result.stderr}".strip() or result.reason)
    return result.stdout.strip()


# --- restore


def _wanted(context: BackupContext, target: str) -> RestorePlan:
    """The plan for what an operator names: a backup, or a moment.

    Raises:
        OperatorError: it is neither, or cannot be restored.
    """
    from chitlaq.backups.restore import pending

    if _BACKUP.fullmatch(target):
        return pending.begin(context, target, None, None, is_up_to_damage=False)
    if _AGO.fullmatch(target):
        raise OperatorError(
            f"{target} ago is another moment when this is confirmed: write the moment, such as"
            " '2026-11-24 02:15'."
        )
    moment = point_in_time.parse(target, "The moment")
    return pending.begin(context, None, moment, None, is_up_to_damage=False)


def _lines(context: BackupContext, wanted: RestorePlan) -> list[str]:
    from chitlaq.backups.restore import wording
    from chitlaq.backups.restore.plan import ASIDE

    return [
        "stop the services, PostgreSQL and Valkey: members cannot use ChitLaq until this is over",
        f"restore {wording.source(context, wanted)}",
        # Its name has the time of the plan, which is another one for the next plan.
        f"put it in place of {context.home.postgres_data}, which is kept as {ASIDE}…",
        "start again what was stopped",
        *wording.caveats(context, wanted),
    ]


async def _plan_restore(context: ActionContext, target: str) -> list[str]:
    backups = _backups(context)
    return await asyncio.to_thread(lambda: _lines(backups, _wanted(backups, target)))


async def _restore(context: ActionContext, target: str) -> str:
    """In this thread, which is the command's: a signal ends it at once, in order."""
    from chitlaq.backups.context import exclusive_session
    from chitlaq.backups.restore import running, wording

    backups = _backups(context)
    wanted = _wanted(backups, target)
    with exclusive_session(backups.home, f"restore {target}", is_urgent=True), _interruptible():
        restored = running.execute(backups, wanted, context.say)
    return "\n".join(
        (*wording.result(restored, wanted), "Next: check the data, then `chitlaq backup run full`.")
    )


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let signals interrupt at once, rather than when the event loop has its turn."""
    before = {
        number: signal.signal(number, programs.exit_on_signal)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


BACKUP = Action(
    "backup",
    "Take the backups that are due today now",
    Section.BACKUPS,
    "",
    ("chitlaq backup run",),
    _plan_backup,
    _backup,
)
RESTORE = Action(
    "restore",
    "Restore the database from a backup, or to a moment; the current data is kept aside",
    Section.BACKUPS,
    "a backup or a moment",
    ("chitlaq backup restore BACKUP", "chitlaq backup restore --to-time MOMENT"),
    _plan_restore,
    _restore,
    is_destructive=True,
    is_detached=True,
    needs_fresh_sign_in=True,
)
