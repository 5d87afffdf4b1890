"""Restore while ops-service goes on: only what works with the database stops meanwhile, and starts again."""

from __future__ import annotations

from collections.abc import Callable

from chitlaq.backups.context import BackupContext
from chitlaq.backups.restore import pending, restore
from chitlaq.backups.restore.plan import RestorePlan, RestoreResult
from chitlaq.core.errors import OperatorError
from chitlaq.stack.supervisor import control

REASON = "a restore"


def execute(
    context: BackupContext, wanted: RestorePlan, say: Callable[[str], None]
) -> RestoreResult:
    """Execute a plan; the caller holds the backup lock.

    One that fails before the data directories are swapped leaves ChitLaq running with the previous data.

    Raises:
        OperatorError: it failed, or what was stopped is not ready again; says what runs now.
    """
    say("checking the backup")
    restore.preflight(context, wanted)
    # Before anything stops: whatever kills this process, `--resume` goes on from there.
    pending.save(context, wanted)
    was_running = True
    try:
        was_running = _pause(context, say)
        restored = restore.execute(context, wanted)
    except (OperatorError, OSError) as error:
        raise OperatorError(
            f"{error} {_after_failure(context, say, was_running)}".strip()
        ) from None
    except BaseException:
        say(_after_failure(context, say, was_running))
        raise
    say(f"restored from {restored.backup}: {restored.rows:,} rows")
    if was_running and (fault := _continue(context, say)):
        raise OperatorError(f"The data is restored, from {restored.backup}, but: {fault}")
    return restored


def _pause(context: BackupContext, say: Callable[[str], None]) -> bool:
    """Stop what works with the database; returns whether ChitLaq was running."""
    try:
        control.ask(
            context.home, control.Pause(REASON), lambda text: say(f"stopping: waiting for {text}")
        )
    except control.NotRunningError:
        restore.stop_stack(context)
        return False
    say("the services, PostgreSQL and Valkey are stopped")
    return True


def _continue(context: BackupContext, say: Callable[[str], None]) -> str:
    """Start what was stopped; returns what is wrong, or nothing."""
    try:
        control.ask(
            context.home, control.Continue(), lambda text: say(f"starting: waiting for {text}")
        )
    except control.NotRunningError:
        return "ChitLaq was stopped meanwhile: `chitlaq up` starts it."
    except OperatorError as error:
        return str(error)
    say("ChitLaq runs")
    return ""


def _after_failure(context: BackupContext, say: Callable[[str], None], was_running: bool) -> str:
    """Start ChitLaq again with the previous data, unless that is half replaced; say what is so now."""
    left = pending.load(context)
    if left is not None and left.is_swapping:
        return restore.next_step(context)
    context.home.pending_restore.unlink(missing_ok=True)
    if not was_running:
        return restore.next_step(context)
    return _continue(context, say) or "ChitLaq runs again, with the previous data."
