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
    here: BackupContext, today: date, tell: OnOutcome, since: datetime | None = None
) -> list[StepOutcome]:
    """Do the whole day's work; what fails is told and hinders nothing else.

    Args:
        here: the installation.
        today: the day, for what is made on it.
        tell: told of each thing.
        since: what was done since then is not done again.
    """
    before = records.read(here.folder)
    kinds = [kind for kind in kinds_due(here, today) if not _is_made(before, kind, since)]
    done = take_backups(here, kinds, tell)
    found = records.read(here.folder)
    seen = AlreadyVerified()
    lately = min(since or datetime.max.replace(tzinfo=UTC), datetime.now(UTC) - AGAIN_AFTER)
    for record in found.good:
        if record.verified is None or record.verified.at < lately:
            done.append(_step(tell, f"verify {record.id}", partial(_verify, here, record, seen)))
    for name in found.damaged:
        done.append(_step(tell, f"record {name}", partial(_damaged_record, name)))
    for record in newest_to_drill(here):
        last = record.drilled
        if since is None or last is None or last.at < since or not last.is_good:
            done.append(_step(tell, f"drill {record.id}", partial(_drill, here, record)))
    done += prune(here, datetime.now(UTC), tell)
    return done


def take_backups(here: BackupContext, kinds: Sequence[Kind], tell: OnOutcome) -> list[StepOutcome]:
    """Back up, verify what was made, and copy it elsewhere where that is wished.

    The newest of each kind is copied also when it was made before, and could not be copied then.
    """
    remove_drafts(here)
    done = []
    for kind in kinds:
        made: list[Record] = []
        what = "base backup" if kind in {"full", "incremental"} else kind
        done.append(_step(tell, what, partial(_take, here, kind, made), is_finding=False))
        done += [_step(tell, f"verify {one.id}", partial(_verify, here, one)) for one in made]
    done += [
        _step(tell, f"copy {one.id}", partial(_copy, here, one), is_finding=False)
        for one in status.uncopied(here, records.read(here.folder))
    ]
    if here.settings.backups.copy_to and barman.is_wanted(here.settings):
        done.append(_step(tell, "copy log", partial(_copy_wal, here), is_finding=False))
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


def kinds_due(here: BackupContext, today: date) -> list[Kind]:
    """What is made on a day: a full backup on the day of the week for it, else what changed since."""
    kinds: list[Kind] = ["dump", "configuration"]
    if barman.is_wanted(here.settings):
        is_full = _WEEKDAYS[today.weekday()] == here.settings.backups.full
        kinds.insert(0, "full" if is_full else "incremental")
    return kinds


def newest_to_drill(here: BackupContext) -> list[Record]:
    """The newest dump and the newest physical backup."""
    found = records.read(here.folder)
    newest = (found.newest("dump"), found.newest("full", "incremental"))
    return [record for record in newest if record is not None]


def retention_policy(here: BackupContext) -> RetentionPolicy:
    settings = here.settings.backups
    return RetentionPolicy(settings.keep_days, settings.keep_dumps_days, settings.keep_least)


def retention_decisions(
    here: BackupContext, now: datetime, named: Sequence[Record] = ()
) -> list[RetentionDecision]:
    """Say of each backup whether it may go: by the rule, or only of those that are named."""
    found = records.read(here.folder)
    if named:
        return retention.decide_named(found, named)
    return retention.decide(found, retention_policy(here), now)


def prune(here: BackupContext, now: datetime, tell: OnOutcome) -> list[StepOutcome]:
    """Delete the backups that may go; then, by the same rule, the copies elsewhere.

    Each is deleted by itself, and here first: a place that does not answer must not fill this disk.
    """
    gone = [one.record for one in retention_decisions(here, now) if not one.is_kept]
    # What adds to another goes before it.
    done = [delete(here, record, tell) for record in reversed(gone)]
    done.append(_step(tell, "prune", partial(_trim_wal, here, len(gone)), is_finding=False))
    if here.settings.backups.copy_to:
        work = partial(_prune_copies, here, now)
        done.append(_step(tell, "prune copies", work, is_finding=False))
    return done


def delete(here: BackupContext, record: Record, tell: OnOutcome) -> StepOutcome:
    """Delete a backup and its record; its copy is another matter."""
    return _step(tell, f"delete {record.id}", partial(_delete, here, record), is_finding=False)


def delete_copy(here: BackupContext, record: Record, tell: OnOutcome) -> StepOutcome:
    """Delete the copy of a backup."""
    work = partial(_delete_copy, here, record)
    return _step(tell, f"delete copy of {record.id}", work, is_finding=False)


def remove_drafts(here: BackupContext) -> None:
    """Clear away what was on its way when a process was killed."""
    make_private_folder(here.folder)
    for path in (*here.folder.glob("*.draft"), *here.folder.glob("records/*.draft")):
        path.unlink(missing_ok=True)
    for path in here.folder.glob(".copying-*"):
        shutil.rmtree(path, ignore_errors=True)


def _take(here: BackupContext, kind: Kind, into: list[Record]) -> str:
    if kind == "dump":
        record = dump.take(here)
    elif kind == "configuration":
        record = configuration.take(here)
    else:
        record = base_backup.take(here, full=kind == "full")
    into.append(record)
    return f"{record.id}, {record.bytes / 1e6:,.1f} MB"


def _verify(here: BackupContext, record: Record, seen: AlreadyVerified | None = None) -> str:
    return _detail(verify.verify(here, record, seen).verified)


def _drill(here: BackupContext, record: Record) -> str:
    return _detail(drill.drill(here, record).drilled)


def _detail(verdict: ProofResult | None) -> str:
    assert verdict is not None
    if not verdict.is_good:
        raise OperatorError(verdict.detail)
    return verdict.detail


def _copy(here: BackupContext, record: Record) -> str:
    # Its verdict was written down meanwhile.
    newest = records.read(here.folder).get(record.id) or record
    copied = copies.copy_backup(here, newest).copied
    assert copied is not None
    return f"to {copied.where}, {copied.bytes / 1e6:,.1f} MB, read back"


def _copy_wal(here: BackupContext) -> str:
    with wal_lock(here.home):
        return f"{copies.copy_wal(here)} new files"


def _damaged_record(name: str) -> str:
    raise OperatorError(
        f"The record of {name} was damaged: its backup counts for nothing. Delete"
        f" records/{name}.json: the next `chitlaq backup run` describes a base backup anew from its own"
        " files, and looks at it."
    )


def _delete(here: BackupContext, record: Record) -> str:
    if record.is_physical:
        base_backup.delete(here, base_backup.barman_id(record))
    else:
        (here.folder / record.path).unlink(missing_ok=True)
    records.delete(here.folder, record)
    return f"{record.bytes / 1e6:,.1f} MB"


def _delete_copy(here: BackupContext, record: Record) -> str:
    copies.delete(here, record)
    return here.settings.backups.copy_to


def _trim_wal(here: BackupContext, gone: int) -> str:
    with wal_lock(here.home):
        trimmed = base_backup.trim_wal(here)
    return f"{gone} backups and {trimmed} files of the log" if gone or trimmed else _NOTHING_OLD


def _prune_copies(here: BackupContext, now: datetime) -> str:
    with wal_lock(here.home):
        gone = copies.prune(here, retention_policy(here), now)
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
