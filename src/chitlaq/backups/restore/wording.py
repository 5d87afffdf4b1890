"""A restore in words: what it will do, and what it has done."""

from __future__ import annotations

from chitlaq.backups.catalog import presence
from chitlaq.backups.catalog.records import Record
from chitlaq.backups.context import BackupContext
from chitlaq.backups.postgres import base_backup
from chitlaq.backups.restore.plan import RestorePlan, RestoreResult
from chitlaq.core.local_time import local
from chitlaq.core.point_in_time import shown


def source(context: BackupContext, plan: RestorePlan) -> str:
    """What is restored: the backup, and up to when."""
    record = presence.read(context.folder).get(plan.backup)
    if record is None:
        return f"{plan.backup}, which is gone"
    said = f"{plan.backup}, taken {shown(record.created_at)}, {_until(record, plan)}"
    timelines = base_backup.wal_archive(context).timelines
    if record.is_physical and len(timelines) > 1:
        newest = ", the newest" if plan.timeline == timelines[-1] else f" of {timelines[-1]}"
        said += f", along timeline {plan.timeline}{newest}"
    return said


def caveats(context: BackupContext, plan: RestorePlan) -> list[str]:
    """What is lost, what is known about the backup, and which newer ones are not used."""
    record = presence.read(context.folder).get(plan.backup)
    if record is None:
        return []
    said = [f"Lost: {_lost(record, plan)}.", _proof(record)]
    if plan.passed_over:
        said += ["Newer backups that are not used:", *(f"  {one}" for one in plan.passed_over)]
    return said


def result(restored: RestoreResult, plan: RestorePlan) -> list[str]:
    """What a restore has done."""
    said = [f"Restored from {restored.backup}: {restored.rows:,} rows.", *restored.notes]
    if restored.last_commit is not None:
        said.append(f"The last change in it was made at {shown(restored.last_commit)}.")
    if restored.damage:
        said.append(f"{restored.damage} Changes after that are lost.")
    elif not restored.is_as_asked:
        said.append("The WAL ends there: it has no later change before the requested time.")
    if restored.aside:
        said.append(
            f"The previous data is in {restored.aside}; `chitlaq backup discard` deletes it."
        )
        if plan.left is not None:
            said.append(f"`chitlaq backup restore --timeline {plan.left}` goes back to it.")
    return said


def _until(record: Record, plan: RestorePlan) -> str:
    if plan.to_time:
        return f"and all changes after it up to {shown(plan.to_time)}"
    return "and all archived changes after it" if record.is_physical else "without later changes"


def _lost(record: Record, plan: RestorePlan) -> str:
    if plan.to_time:
        return f"all changes after {shown(plan.to_time)}"
    if record.is_physical:
        return "changes that neither the WAL archive nor the current data directory has"
    return f"all changes after {shown(record.created_at)}"


def _proof(record: Record) -> str:
    """What is known about the chosen backup: bad results first."""
    if failed := record.last_failure:
        return f"KNOWN TO BE BAD since {local(failed.at):%Y-%m-%d %H:%M}: {failed.detail}"
    if record.drilled is not None:
        when = f"{local(record.drilled.at):%Y-%m-%d %H:%M}"
        return f"The restore drill at {when} succeeded in {record.drilled.seconds:.0f} s."
    if record.verified is not None:
        return f"It was verified at {local(record.verified.at):%Y-%m-%d %H:%M}."
    return "It was never verified."
