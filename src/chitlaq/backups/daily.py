"""What is done every day: back up, look, restore and compare, copy, clear away; each by itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from time import monotonic

from chitlaq.backups import configuration
from chitlaq.backups.catalog import records, retention, status
from chitlaq.backups.catalog.records import Catalog, Kind, ProofResult, Record
from chitlaq.backups.catalog.retention import RetentionDecision, RetentionPolicy
from chitlaq.backups.context import BackupContext, make_private_folder, wal_lock
from chitlaq.backups.errors import InconclusiveError
from chitlaq.backups.offsite import copies
from chitlaq.backups.postgres import base_backup, dump
from chitlaq.backups.proof import drill, verify
from chitlaq.backups.proof.verify import AlreadyVerified
from chitlaq.core.errors import OperatorError
from chitlaq.stack.servers import barman

# What was looked at lately is not looked at again by the same day's work.
AGAIN_AFTER = timedelta(hours=1)
_NOTHING_OLD = "nothing is old enough"
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """One thing that was done, or could not be.

    Args:
        what: its name.
        is_good: whether it went well.
        sentence: what came of it.
        seconds: what it took.
        is_finding: whether it was done, and what is not well is what was found: to do it again finds
            the same.
        is_seen: what is said is of what was to be looked at, and not that it could not be.
    """

    step: str
    is_good: bool
    detail: str
    seconds: float
    is_finding: bool = True
    is_conclusive: bool = True


OnOutcome = Callable[[StepOutcome], None]


def run(
    context: BackupContext, today: date, tell: OnOutcome, since: datetime | None = None
) -> list[StepOutcome]:
    """Do the whole day's work; what fails is told and hinders nothing else.

    Args:
        context: the installation.
        today: the day, for what is made on it.
        tell: told of each thing.
        since: what was done since then is not done again.
    """
    before = records.read(context.folder)
    kinds = [kind for kind in kinds_due(context, today) if not _is_made(before, kind, since)]
    done = take_backups(context, kinds, tell)
    found = records.read(context.folder)
    seen = AlreadyVerified()
    lately = min(since or datetime.max.replace(tzinfo=UTC), datetime.now(UTC) - AGAIN_AFTER)
    for record in found.good:
        if record.verified is None or record.verified.at < lately:
            done.append(_step(tell, f"verify {record.id}", partial(_verify, context, record, seen)))
    for name in found.damaged:
        done.append(_step(tell, f"record {name}", partial(_damaged_record, name)))
    for record in newest_to_drill(context):
        last = record.drilled
        if since is None or last is None or last.at < since or not last.is_good:
            done.append(_step(tell, f"drill {record.id}", partial(_drill, context, record)))
    done += prune(context, datetime.now(UTC), tell)
    return done


def take_backups(
    context: BackupContext, kinds: Sequence[Kind], tell: OnOutcome
) -> list[StepOutcome]:
    """Back up, verify what was made, and copy it elsewhere where that is wished.

    The newest of each kind is copied also when it was made before, and could not be copied then.
    """
    remove_drafts(context)
    done = []
    for kind in kinds:
        made: list[Record] = []
        what = "base backup" if kind in {"full", "incremental"} else kind
        done.append(_step(tell, what, partial(_take, context, kind, made), is_finding=False))
        done += [_step(tell, f"verify {one.id}", partial(_verify, context, one)) for one in made]
    done += [
        _step(tell, f"copy {one.id}", partial(_copy, context, one), is_finding=False)
        for one in status.uncopied(context, records.read(context.folder))
    ]
    if context.settings.backups.copy_to and barman.is_wanted(context.settings):
        done.append(_step(tell, "copy log", partial(_copy_wal, context), is_finding=False))
    return done


def _is_made(found: Catalog, kind: Kind, since: datetime | None) -> bool:
    """Whether there is one of a kind since a moment that is not known to be bad."""
    newest = found.newest(kind) if kind != "incremental" else found.newest("full", "incremental")
    return (
        since is not None
        and newest is not None
        and newest.created_at >= since
        and not newest.is_bad
    )


def kinds_due(context: BackupContext, today: date) -> list[Kind]:
    """What is made on a day: a full backup on the day of the week for it, else what changed since."""
    kinds: list[Kind] = ["dump", "configuration"]
    if barman.is_wanted(context.settings):
        is_full = _WEEKDAYS[today.weekday()] == context.settings.backups.full
        kinds.insert(0, "full" if is_full else "incremental")
    return kinds


def newest_to_drill(context: BackupContext) -> list[Record]:
    """The newest dump and the newest physical backup."""
    found = records.read(context.folder)
    newest = (found.newest("dump"), found.newest("full", "incremental"))
    return [record for record in newest if record is not None]


def retention_policy(context: BackupContext) -> RetentionPolicy:
    settings = context.settings.backups
    return RetentionPolicy(settings.keep_days, settings.keep_dumps_days, settings.keep_least)


def retention_decisions(
    context: BackupContext, now: datetime, named: Sequence[Record] = ()
) -> list[RetentionDecision]:
    """Say of each backup whether it may go: by the rule, or only of those that are named."""
    found = records.read(context.folder)
    if named:
        return retention.decide_named(found, named)
    return retention.decide(found, retention_policy(context), now)


def prune(context: BackupContext, now: datetime, tell: OnOutcome) -> list[StepOutcome]:
    """Delete the backups that may go; then, by the same rule, the copies elsewhere.

    Each is deleted by itself, and here first: a place that does not answer must not fill this disk.
    """
    gone = [one.record for one in retention_decisions(context, now) if not one.is_kept]
    # What adds to another goes before it.
    done = [delete(context, record, tell) for record in reversed(gone)]
    done.append(_step(tell, "prune", partial(_trim_wal, context, len(gone)), is_finding=False))
    if context.settings.backups.copy_to:
        work = partial(_prune_copies, context, now)
        done.append(_step(tell, "prune copies", work, is_finding=False))
    return done


def delete(context: BackupContext, record: Record, tell: OnOutcome) -> StepOutcome:
    """Delete a backup and its record; its copy is another matter."""
    return _step(tell, f"delete {record.id}", partial(_delete, context, record), is_finding=False)


def delete_copy(context: BackupContext, record: Record, tell: OnOutcome) -> StepOutcome:
    """Delete the copy of a backup."""
    work = partial(_delete_copy, context, record)
    return _step(tell, f"delete copy of {record.id}", work, is_finding=False)


def remove_drafts(context: BackupContext) -> None:
    """Clear away what was on its way when a process was killed."""
    make_private_folder(context.folder)
    for path in (*context.folder.glob("*.draft"), *context.folder.glob("records/*.draft")):
        path.unlink(missing_ok=True)
    for path in context.folder.glob(".copying-*"):
        shutil.rmtree(path, ignore_errors=True)


def _take(context: BackupContext, kind: Kind, into: list[Record]) -> str:
    if kind == "dump":
        record = dump.take(context)
    elif kind == "configuration":
        record = configuration.take(context)
    else:
        record = base_backup.take(context, full=kind == "full")
    into.append(record)
    return f"{record.id}, {record.bytes / 1e6:,.1f} MB"


def _verify(context: BackupContext, record: Record, seen: AlreadyVerified | None = None) -> str:
    return _detail(verify.verify(context, record, seen).verified)


def _drill(context: BackupContext, record: Record) -> str:
    return _detail(drill.drill(context, record).drilled)


def _detail(verdict: ProofResult | None) -> str:
    assert verdict is not None
    if not verdict.is_good:
        raise OperatorError(verdict.detail)
    return verdict.detail


def _copy(context: BackupContext, record: Record) -> str:
    # Its verdict was written down meanwhile.
    newest = records.read(context.folder).get(record.id) or record
    copied = copies.copy_backup(context, newest).copied
    assert copied is not None
    return f"to {copied.where}, {copied.bytes / 1e6:,.1f} MB, read back"


def _copy_wal(context: BackupContext) -> str:
    with wal_lock(context.home):
        return f"{copies.copy_wal(context)} new files"


def _damaged_record(name: str) -> str:
    raise OperatorError(
        f"The record of {name} was damaged: its backup counts for nothing. Delete"
        f" records/{name}.json: the next `chitlaq backup run` describes a base backup anew from its own"
        " files, and looks at it."
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


def _trim_wal(context: BackupContext, gone: int) -> str:
    with wal_lock(context.home):
        trimmed = base_backup.trim_wal(context)
    return f"{gone} backups and {trimmed} files of the log" if gone or trimmed else _NOTHING_OLD


def _prune_copies(context: BackupContext, now: datetime) -> str:
    with wal_lock(context.home):
        gone = copies.prune(context, retention_policy(context), now)
    return f"{gone} deleted" if gone else _NOTHING_OLD


def _step(
    tell: OnOutcome, what: str, work: Callable[[], str], *, is_finding: bool = True
) -> StepOutcome:
    begun = monotonic()
    is_seen = True
    try:
        sentence, is_good = work(), True
    except InconclusiveError as error:
        sentence, is_good, is_seen = str(error), False, False
    except (OperatorError, OSError) as error:
        sentence, is_good = str(error), False
    except Exception as error:
        # What nobody thought of must not keep the rest of the day's work from being done.
        sentence, is_good = f"{type(error).__name__}: {error}", False
    outcome = StepOutcome(what, is_good, sentence, monotonic() - begun, is_finding, is_seen)
    tell(outcome)
    return outcome
