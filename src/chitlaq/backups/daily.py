"""What is done every day: back up, look, restore and compare, copy, clear away; each by itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from time import monotonic

from chitlaq.backups import configuration, context
from chitlaq.backups.catalog import records, retention, status
from chitlaq.backups.catalog.records import Kind, Record, Records, Verdict
from chitlaq.backups.catalog.retention import Judgement, Rule
from chitlaq.backups.context import Place
from chitlaq.backups.errors import UnseenError
from chitlaq.backups.offsite import copies
from chitlaq.backups.postgres import base_backup, dump
from chitlaq.backups.proof import drill, verify
from chitlaq.backups.proof.verify import Seen
from chitlaq.core.errors import OperatorError
from chitlaq.stack.servers import barman

# What was looked at lately is not looked at again by the same day's work.
AGAIN_AFTER = timedelta(hours=1)
_NOTHING_OLD = "nothing is old enough"
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Outcome:
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

    what: str
    is_good: bool
    sentence: str
    seconds: float
    is_finding: bool = True
    is_seen: bool = True


Tell = Callable[[Outcome], None]


def run(here: Place, today: date, tell: Tell, since: datetime | None = None) -> list[Outcome]:
    """Do the whole day's work; what fails is told and hinders nothing else.

    Args:
        here: the installation.
        today: the day, for what is made on it.
        tell: told of each thing.
        since: what was done since then is not done again.
    """
    before = records.read(here.folder)
    kinds = [kind for kind in kinds_of(here, today) if not _is_made(before, kind, since)]
    done = make(here, kinds, tell)
    found = records.read(here.folder)
    seen = Seen()
    lately = min(since or datetime.max.replace(tzinfo=UTC), datetime.now(UTC) - AGAIN_AFTER)
    for record in found.good:
        if record.verified is None or record.verified.at < lately:
            done.append(_done(tell, f"verify {record.id}", partial(_looked, here, record, seen)))
    for name in found.damaged:
        done.append(_done(tell, f"record {name}", partial(_damaged, name)))
    for record in newest_to_drill(here):
        last = record.drilled
        if since is None or last is None or last.at < since or not last.is_good:
            done.append(_done(tell, f"drill {record.id}", partial(_drilled, here, record)))
    done += prune(here, datetime.now(UTC), tell)
    return done


def make(here: Place, kinds: Sequence[Kind], tell: Tell) -> list[Outcome]:
    """Back up, verify what was made, and copy it elsewhere where that is wished.

    The newest of each kind is copied also when it was made before, and could not be copied then.
    """
    tidy(here)
    done = []
    for kind in kinds:
        made: list[Record] = []
        what = "base backup" if kind in {"full", "incremental"} else kind
        done.append(_done(tell, what, partial(_made, here, kind, made), is_finding=False))
        done += [_done(tell, f"verify {one.id}", partial(_looked, here, one)) for one in made]
    done += [
        _done(tell, f"copy {one.id}", partial(_copied, here, one), is_finding=False)
        for one in status.uncopied(here, records.read(here.folder))
    ]
    if here.settings.backups.copy_to and barman.is_wanted(here.settings):
        done.append(_done(tell, "copy log", partial(_log_copied, here), is_finding=False))
    return done


def _is_made(found: Records, kind: Kind, since: datetime | None) -> bool:
    """Whether there is one of a kind since a moment that is not known to be bad."""
    newest = found.newest(kind) if kind != "incremental" else found.newest("full", "incremental")
    return (
        since is not None
        and newest is not None
        and newest.created_at >= since
        and not newest.is_bad
    )


def kinds_of(here: Place, today: date) -> list[Kind]:
    """What is made on a day: a full backup on the day of the week for it, else what changed since."""
    kinds: list[Kind] = ["dump", "configuration"]
    if barman.is_wanted(here.settings):
        is_full = _WEEKDAYS[today.weekday()] == here.settings.backups.full
        kinds.insert(0, "full" if is_full else "incremental")
    return kinds


def newest_to_drill(here: Place) -> list[Record]:
    """The newest dump and the newest physical backup."""
    found = records.read(here.folder)
    newest = (found.newest("dump"), found.newest("full", "incremental"))
    return [record for record in newest if record is not None]


def rule(here: Place) -> Rule:
    settings = here.settings.backups
    return Rule(settings.keep_days, settings.keep_dumps_days, settings.keep_least)


def judged(here: Place, now: datetime, named: Sequence[Record] = ()) -> list[Judgement]:
    """Say of each backup whether it may go: by the rule, or only of those that are named."""
    found = records.read(here.folder)
    if named:
        return retention.judge_named(found, named)
    return retention.judge(found, rule(here), now)


def prune(here: Place, now: datetime, tell: Tell) -> list[Outcome]:
    """Delete the backups that may go; then, by the same rule, the copies elsewhere.

    Each is deleted by itself, and here first: a place that does not answer must not fill this disk.
    """
    gone = [one.record for one in judged(here, now) if not one.is_kept]
    # What adds to another goes before it.
    done = [delete(here, record, tell) for record in reversed(gone)]
    done.append(_done(tell, "prune", partial(_trimmed, here, len(gone)), is_finding=False))
    if here.settings.backups.copy_to:
        work = partial(_copies_pruned, here, now)
        done.append(_done(tell, "prune copies", work, is_finding=False))
    return done


def delete(here: Place, record: Record, tell: Tell) -> Outcome:
    """Delete a backup and its record; its copy is another matter."""
    return _done(tell, f"delete {record.id}", partial(_deleted, here, record), is_finding=False)


def delete_copy(here: Place, record: Record, tell: Tell) -> Outcome:
    """Delete the copy of a backup."""
    work = partial(_copy_deleted, here, record)
    return _done(tell, f"delete copy of {record.id}", work, is_finding=False)


def tidy(here: Place) -> None:
    """Clear away what was on its way when a process was killed."""
    context.made(here.folder)
    for path in (*here.folder.glob("*.draft"), *here.folder.glob("records/*.draft")):
        path.unlink(missing_ok=True)
    for path in here.folder.glob(".copying-*"):
        shutil.rmtree(path, ignore_errors=True)


def _made(here: Place, kind: Kind, into: list[Record]) -> str:
    if kind == "dump":
        record = dump.make(here)
    elif kind == "configuration":
        record = configuration.make(here)
    else:
        record = base_backup.make(here, full=kind == "full")
    into.append(record)
    return f"{record.id}, {record.bytes / 1e6:,.1f} MB"


def _looked(here: Place, record: Record, seen: Seen | None = None) -> str:
    return _said(verify.verify(here, record, seen).verified)


def _drilled(here: Place, record: Record) -> str:
    return _said(drill.drill(here, record).drilled)


def _said(verdict: Verdict | None) -> str:
    assert verdict is not None
    if not verdict.is_good:
        raise OperatorError(verdict.detail)
    return verdict.detail


def _copied(here: Place, record: Record) -> str:
    # Its verdict was written down meanwhile.
    newest = records.read(here.folder).get(record.id) or record
    copied = copies.copy(here, newest).copied
    assert copied is not None
    return f"to {copied.where}, {copied.bytes / 1e6:,.1f} MB, read back"


def _log_copied(here: Place) -> str:
    with context.archiving(here.home):
        return f"{copies.copy_log(here)} new files"


def _damaged(name: str) -> str:
    raise OperatorError(
        f"The record of {name} was damaged: its backup counts for nothing. Delete"
        f" records/{name}.json: the next `chitlaq backup run` describes a base backup anew from its own"
        " files, and looks at it."
    )


def _deleted(here: Place, record: Record) -> str:
    if record.is_physical:
        base_backup.forget(here, base_backup.barman_id(record))
    else:
        (here.folder / record.path).unlink(missing_ok=True)
    records.forget(here.folder, record)
    return f"{record.bytes / 1e6:,.1f} MB"


def _copy_deleted(here: Place, record: Record) -> str:
    copies.forget(here, record)
    return here.settings.backups.copy_to


def _trimmed(here: Place, gone: int) -> str:
    with context.archiving(here.home):
        trimmed = base_backup.trim_log(here)
    return f"{gone} backups and {trimmed} files of the log" if gone or trimmed else _NOTHING_OLD


def _copies_pruned(here: Place, now: datetime) -> str:
    with context.archiving(here.home):
        gone = copies.prune(here, rule(here), now)
    return f"{gone} deleted" if gone else _NOTHING_OLD


def _done(tell: Tell, what: str, work: Callable[[], str], *, is_finding: bool = True) -> Outcome:
    begun = monotonic()
    is_seen = True
    try:
        sentence, is_good = work(), True
    except UnseenError as error:
        sentence, is_good, is_seen = str(error), False, False
    except (OperatorError, OSError) as error:
        sentence, is_good = str(error), False
    except Exception as error:
        # What nobody thought of must not keep the rest of the day's work from being done.
        sentence, is_good = f"{type(error).__name__}: {error}", False
    outcome = Outcome(what, is_good, sentence, monotonic() - begun, is_finding, is_seen)
    tell(outcome)
    return outcome
