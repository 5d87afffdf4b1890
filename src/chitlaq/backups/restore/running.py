"""Restore while ops-service goes on: only what works with the database stops meanwhile, and starts again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

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

    One that fails before the data directories are swapped leaves ChitLaq running with the previous data. One
    that is killed leaves it paused, until it is resumed or another one is executed; or running, if it was
    killed before its plan was stored.

    Raises:
        OperatorError: it failed, or what was stopped is not ready again; says what runs now.
    """
    say("checking the backup")
    restore.preflight(context, wanted)
    with _supervisor(context) as supervisor:
        try:
            if supervisor is None:
                restore.stop_stack(context)
            else:
                supervisor.ask(
                    control.Pause(REASON), lambda text: say(f"stopping: waiting for {text}")
                )
                say("the services, PostgreSQL and Valkey are stopped")
            restored = restore.execute(context, wanted)
        except (OperatorError, OSError) as error:
            said = _after_failure(context, say, supervisor is not None)
            raise OperatorError(f"{error} {said}".strip()) from None
        except BaseException:
            say(_after_failure(context, say, supervisor is not None))
            raise
        say(f"restored from {restored.backup}: {restored.rows:,} rows")
        if supervisor is not None and (fault := _continue(context, say)):
            raise OperatorError(f"The data is restored, from {restored.backup}, but: {fault}")
    return restored


@contextmanager
def _supervisor(context: BackupContext) -> Iterator[control.Connection | None]:
    """Yield a connection to the supervisor, which goes on by itself when it ends; None if ChitLaq is down."""
    try:
        connection = control.Connection(context.home)
    except control.NotRunningError:
        yield None
        return
    try:
        yield connection
    finally:
        connection.close()


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
