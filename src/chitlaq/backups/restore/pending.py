"""The restore in progress: its plan is stored until it is done, so that a killed restore can be resumed."""

from __future__ import annotations

from datetime import datetime

import msgspec

from chitlaq.backups.context import BackupContext, exclusive_lock
from chitlaq.backups.postgres import base_backup
from chitlaq.backups.restore import plan
from chitlaq.backups.restore.plan import RestorePlan
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files


class UnreadablePlanError(OperatorError):
    """The plan of an interrupted restore cannot be read."""


def exists(context: BackupContext) -> bool:
    """Whether a restore was interrupted, even if its plan cannot be read."""
    return context.home.pending_restore.exists()


def load(context: BackupContext) -> RestorePlan | None:
    """The plan of the interrupted restore, if there is one.

    Raises:
        UnreadablePlanError: there is one, but its plan cannot be read.
    """
    try:
        return msgspec.json.decode(context.home.pending_restore.read_bytes(), type=RestorePlan)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        raise UnreadablePlanError(
            "A restore was interrupted and its plan cannot be read: start again with"
            " `chitlaq backup restore`. The previous data was kept."
        ) from None


def save(context: BackupContext, wanted: RestorePlan) -> None:
    """Store a plan durably."""
    context.home.backup.mkdir(parents=True, exist_ok=True, mode=0o700)
    files.write(context.home.pending_restore, msgspec.json.encode(wanted))


def resume(context: BackupContext) -> RestorePlan:
    """The plan to finish.

    Raises:
        OperatorError: no restore was interrupted.
        UnreadablePlanError: its plan cannot be read.
    """
    found = load(context)
    if found is None:
        raise OperatorError("No restore was interrupted.")
    return found


def refuse_another(context: BackupContext) -> None:
    """Refuse a new restore while one is to be finished.

    Raises:
        OperatorError: a restore was interrupted after it began to swap data directories.
    """
    try:
        interrupted = load(context)
    except UnreadablePlanError:
        return
    if interrupted is not None and interrupted.is_swapping:
        raise OperatorError(
            "A restore was interrupted while swapping data directories:"
            " finish it with `chitlaq backup restore --resume`."
        )


def begin(
    context: BackupContext,
    name: str | None,
    to_time: datetime | None,
    timeline: int | None,
    *,
    is_up_to_damage: bool,
) -> RestorePlan:
    """Plan a new restore, as `plan.choose` does, after giving base backups without a record one.

    Raises:
        OperatorError: a restore was interrupted after it began to swap data directories, or there is
            no backup to restore from.
    """
    refuse_another(context)
    with exclusive_lock(context.home, "restore"):
        base_backup.reconcile(context)
    return plan.choose(context, name, to_time, timeline, is_up_to_damage=is_up_to_damage)
