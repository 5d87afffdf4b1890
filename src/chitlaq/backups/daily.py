"""The daily backup job: take, verify, drill, copy off-site, prune; each step runs on its own."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from chitlaq.backups import configuration, pictures
from chitlaq.backups.catalog import presence, records, retention, status
from chitlaq.backups.catalog.records import KINDS, BackupKind, Catalog, ProofResult, Record
from chitlaq.backups.catalog.retention import RetentionDecision, RetentionPolicy
from chitlaq.backups.context import BackupContext, make_private_folder, wal_lock
from chitlaq.backups.offsite import copies, picture_copies
from chitlaq.backups.postgres import base_backup, dump
from chitlaq.backups.proof import drill, verify
from chitlaq.backups.proof.verify import AlreadyVerified
from chitlaq.backups.steps import OnOutcome, StepOutcome, Steps
from chitlaq.core.errors import OperatorError
from chitlaq.stack.servers import barman

# The daily job skips what was verified this recently.
REVERIFY_AFTER = timedelta(hours=1)
_NOTHING_EXPIRED = "nothing has expired"
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def run(
    context: BackupContext, today: date, on_outcome: OnOutcome, since: datetime | None = None
) -> list[StepOutcome]:
    """Run the whole daily job; a failed step is reported and does not stop the others.

    Args:
        today: decides between a full and an incremental base backup.
        on_outcome: called after each step.
        since: steps that succeeded since then are not repeated.
    """
    before = presence.read(context.folder)
    kinds = [kind for kind in kinds_due(context, today) if not _is_taken(before, kind, since)]
    steps = Steps(on_outcome)
    steps.outcomes += take_backups(context, kinds, on_outcome)
    steps.run("pictures", pictures.copy, context, today)
    if context.settings.backups.copy_to:
        steps.run("copy pictures", picture_copies.copy, context, is_finding=False)
    catalog = presence.read(context.folder)
    seen = AlreadyVerified()
    recent = min(since or datetime.max.replace(tzinfo=UTC), datetime.now(UTC) - REVERIFY_AFTER)
    for record in catalog.good:
        is_due = record.verified is None or record.verified.at < recent
        if is_due or record.lost or record.changed_at:
            steps.run(f"verify {record.id}", _verify, context, record, seen)
    for name in catalog.damaged:
        steps.run(f"record {name}", _damaged_record, name)
    for record in newest_to_drill(context):
        last = record.drilled
        if since is None or last is None or last.at < since or not last.is_good:
            steps.run(f"drill {record.id}", _drill, context, record)
    return steps.outcomes + prune(context, datetime.now(UTC), on_outcome)


def take_backups(
    context: BackupContext, kinds: Sequence[BackupKind], on_outcome: OnOutcome
) -> list[StepOutcome]:
    """Take backups, verify them, and copy them off-site if a destination is set.

    The newest backup of each kind is also copied if an earlier attempt to copy it failed.
    """
    remove_drafts(context)
    steps = Steps(on_outcome)
    for kind in kinds:
        taken: list[Record] = []
        step = "base backup" if kind in {"full", "incremental"} else kind
        steps.run(step, _take, context, kind, taken, is_finding=False)
        for record in taken:
            steps.run(f"verify {record.id}", _verify, context, record)
    for record in status.uncopied(context, records.read(context.folder)):
        steps.run(f"copy {record.id}", _copy, context, record, is_finding=False)
    if context.settings.backups.copy_to and barman.is_wanted(context.settings):
        steps.run("copy WAL", _copy_wal, context, is_finding=False)
    return steps.outcomes


def _is_taken(catalog: Catalog, kind: BackupKind, since: datetime | None) -> bool:
    """Whether there is a backup of a kind since then that is not known to be bad.

    One of more than an hour ahead was taken by a clock that has been set back since.
    """
    kinds: tuple[BackupKind, ...] = ("full", "incremental") if kind == "incremental" else (kind,)
    latest = datetime.now(UTC) + timedelta(hours=1)
    found = [record for record in catalog.of(*kinds) if record.created_at < latest]
    return (
        bool(found) and since is not None and found[-1].created_at >= since and not found[-1].is_bad
    )


def kinds_to_take(context: BackupContext, named: Sequence[str], today: date) -> list[BackupKind]:
    """The kinds that an operator names, in the order in which they are taken; else those due today.

    Raises:
        OperatorError: there is no such kind.
    """
    if unknown := [name for name in named if name not in KINDS]:
        raise OperatorError(f"There is no kind {unknown[0]}; there are {', '.join(KINDS)}.")
    return [kind for kind in KINDS if kind in named] or kinds_due(context, today)


def kinds_due(context: BackupContext, today: date) -> list[BackupKind]:
    """The kinds due on a day; the base backup is full on one weekday and incremental on the others."""
    kinds: list[BackupKind] = ["dump", "configuration"]
    if barman.is_wanted(context.settings):
        is_full = _WEEKDAYS[today.weekday()] == context.settings.backups.full
        kinds.insert(0, "full" if is_full else "incremental")
    return kinds


def newest_to_drill(context: BackupContext) -> list[Record]:
    """The newest dump and the newest base backup."""
    catalog = records.read(context.folder)
    newest = (catalog.newest("dump"), catalog.newest("full", "incremental"))
    return [record for record in newest if record is not None]


def retention_policy(context: BackupContext) -> RetentionPolicy:
    settings = context.settings.backups
    return RetentionPolicy(settings.keep_days, settings.keep_dumps_days, settings.keep_least)


def retention_decisions(
    context: BackupContext, now: datetime, named: Sequence[Record] = ()
) -> list[RetentionDecision]:
    """Decide which backups are kept: all by the policy, or only the named ones."""
    catalog = presence.read(context.folder)
    if named:
        return retention.decide_named(catalog, named)
    return retention.decide(catalog, retention_policy(context), now)


def prune(context: BackupContext, now: datetime, on_outcome: OnOutcome) -> list[StepOutcome]:
    """Delete expired backups, then expired off-site copies.

    Local backups go first: a destination that does not answer must not fill this disk.
    """
    expired = [one.record for one in retention_decisions(context, now) if not one.is_kept]
    steps = Steps(on_outcome)
    # Incremental backups go before the backups that they depend on.
    for record in reversed(expired):
        steps.run(f"delete {record.id}", _delete, context, record, is_finding=False)
    steps.run("prune", _trim_wal, context, len(expired), is_finding=False)
    if context.settings.backups.copy_to:
        steps.run("prune copies", _prune_copies, context, now, is_finding=False)
    return steps.outcomes


def delete_named(
    context: BackupContext, chosen: Sequence[Record], on_outcome: OnOutcome
) -> list[StepOutcome]:
    """Delete backups, given oldest first, and their off-site copies."""
    steps = Steps(on_outcome)
    for record in reversed(chosen):
        steps.run(f"delete {record.id}", _delete, context, record, is_finding=False)
    copied = {record.id for record in copies.known_copies(context).good}
    for record in chosen:
        if record.id in copied:
            steps.run(
                f"delete copy of {record.id}", _delete_copy, context, record, is_finding=False
            )
    return steps.outcomes


def remove_drafts(context: BackupContext) -> None:
    """Delete unfinished files that a killed process left behind."""
    make_private_folder(context.folder)
    for path in (*context.folder.glob("*.draft"), *context.folder.glob("records/*.draft")):
        path.unlink(missing_ok=True)
    for path in context.folder.glob(".copying-*"):
        shutil.rmtree(path, ignore_errors=True)


def _take(context: BackupContext, kind: BackupKind, taken: list[Record]) -> str:
    if kind == "dump":
        record = dump.take(context)
    elif kind == "configuration":
        record = configuration.take(context)
    else:
        record = base_backup.take(context, full=kind == "full")
    taken.append(record)
    return f"{record.id}, {record.bytes / 1e6:,.1f} MB"


def _verify(context: BackupContext, record: Record, seen: AlreadyVerified | None = None) -> str:
    return _detail(verify.verify(context, record, seen))


def _drill(context: BackupContext, record: Record) -> str:
    return _detail(drill.drill(context, record))


def _detail(result: ProofResult) -> str:
    if not result.is_good:
        raise OperatorError(result.detail)
    return result.detail


def _copy(context: BackupContext, record: Record) -> str:
    # Verifying has updated its record since.
    newest = records.read(context.folder).get(record.id) or record
    copied = copies.copy_backup(context, newest).copied
    assert copied is not None
    return f"to {copied.where}, {copied.bytes / 1e6:,.1f} MB, read back"


def _copy_wal(context: BackupContext) -> str:
    with wal_lock(context.home):
        return f"{copies.copy_wal(context)} new files"


def _damaged_record(name: str) -> str:
    raise OperatorError(
        f"The record of {name} is damaged, so the backup cannot be used. Delete records/{name}.json:"
        " the next `chitlaq backup run` restores the record of a base backup from its own files and"
        " verifies it."
    )


def _delete(context: BackupContext, record: Record) -> str:
    if record.is_physical:
        base_backup.delete(context, base_backup.barman_id(record))
    else:
        (context.folder / record.path).unlink(missing_ok=True)
    records.delete(context.folder, record)
    return f"{record.bytes / 1e6:,.1f} MB"


def _delete_copy(context: BackupContext, record: Record) -> str:
    copies.delete(context, record)
    return context.settings.backups.copy_to


def _trim_wal(context: BackupContext, deleted: int) -> str:
    with wal_lock(context.home):
        trimmed = base_backup.trim_wal(context)
    if not deleted and not trimmed:
        return _NOTHING_EXPIRED
    return f"{deleted} backups and {trimmed} WAL files deleted"


def _prune_copies(context: BackupContext, now: datetime) -> str:
    with wal_lock(context.home):
        deleted = copies.prune(context, retention_policy(context), now)
    return f"{deleted} deleted" if deleted else _NOTHING_EXPIRED
