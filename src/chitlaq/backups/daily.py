"""What is done every day: back up, look, restore and compare, copy, clear away; each by itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from time import monotonic

from chitlaq.backups import (
    configuration,
    drill,
    dumps,
    elsewhere,
    physical,
    records,
    retention,
    verify,
)
from chitlaq.backups.place import Place
from chitlaq.backups.records import Kind, Record, Verdict
from chitlaq.backups.retention import Judgement, Rule
from chitlaq.backups.verify import Seen
from chitlaq.core.errors import OperatorError
from chitlaq.stack import barman

# What was looked at lately is not looked at again by the same day's work.
AGAIN_AFTER = timedelta(hours=1)
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One thing that was done, or could not be."""

    what: str
    is_good: bool
    sentence: str
    seconds: float


Tell = Callable[[Outcome], None]


def run(here: Place, today: date, tell: Tell) -> list[Outcome]:
    """Do the whole day's work; what fails is told and hinders nothing else."""
    done = make(here, kinds_of(here, today), tell)
    found = records.read(here.folder)
    seen = Seen()
    for record in found.good:
        if record.verified is None or datetime.now(UTC) - record.verified.at > AGAIN_AFTER:
            done.append(_done(tell, f"verify {record.id}", partial(_looked, here, record, seen)))
    for name in found.damaged:
        done.append(_done(tell, f"record {name}", partial(_damaged, name)))
    for record in newest_to_drill(here):
        done.append(_done(tell, f"drill {record.id}", partial(_drilled, here, record)))
    done.append(_done(tell, "prune", partial(_pruned, here)))
    return done


def make(here: Place, kinds: Sequence[Kind], tell: Tell) -> list[Outcome]:
    """Back up, verify what was made, and copy it elsewhere where that is wished."""
    tidy(here)
    done = []
    for kind in kinds:
        made: list[Record] = []
        what = "base backup" if kind in {"full", "incremental"} else kind
        done.append(_done(tell, what, partial(_made, here, kind, made)))
        for record in made:
            done.append(_done(tell, f"verify {record.id}", partial(_looked, here, record)))
            if here.settings.backups.copy_to:
                done.append(_done(tell, f"copy {record.id}", partial(_copied, here, record)))
    if here.settings.backups.copy_to and barman.is_wanted(here.settings):
        done.append(_done(tell, "copy log", partial(_log_copied, here)))
    return done


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


def judged(here: Place, now: datetime, named: Sequence[Record] = ()) -> list[Judgement]:
    """Say of each backup whether it may go: by the rule, or only of those that are named."""
    found = records.read(here.folder)
    if named:
        return retention.judge_named(found, named)
    settings = here.settings.backups
    rule = Rule(settings.keep_days, settings.keep_dumps_days, settings.keep_least)
    return retention.judge(found, rule, now)


def delete(here: Place, record: Record) -> None:
    """Delete a backup, its record, and its copy elsewhere.

    Raises:
        OperatorError: the place of the copy refused.
    """
    if record.copied is not None and record.copied.where == here.settings.backups.copy_to:
        elsewhere.forget(here, record)
    if record.is_physical:
        physical.forget(here, physical.barman_id(record))
    else:
        (here.folder / record.path).unlink(missing_ok=True)
    records.forget(here.folder, record)


def tidy(here: Place) -> None:
    """Clear away what was on its way when a process was killed."""
    for path in (*here.folder.glob("*.draft"), *here.folder.glob("records/*.draft")):
        path.unlink(missing_ok=True)
    for path in here.folder.glob(".copying-*"):
        shutil.rmtree(path, ignore_errors=True)


def _made(here: Place, kind: Kind, into: list[Record]) -> str:
    if kind == "dump":
        record = dumps.make(here)
    elif kind == "configuration":
        record = configuration.make(here)
    else:
        record = physical.make(here, full=kind == "full")
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
    copied = elsewhere.copy(here, newest).copied
    assert copied is not None
    return f"to {copied.where}, {copied.bytes / 1e6:,.1f} MB, read back"


def _log_copied(here: Place) -> str:
    return f"{elsewhere.copy_log(here)} new files"


def _damaged(name: str) -> str:
    raise OperatorError(
        f"The record of {name} was damaged: its backup counts for nothing. Delete"
        f" records/{name}.json, and make a new backup."
    )


def _pruned(here: Place) -> str:
    gone = [one.record for one in judged(here, datetime.now(UTC)) if not one.is_kept]
    # What adds to another goes before it.
    for record in reversed(gone):
        delete(here, record)
    if gone and here.settings.backups.copy_to:
        elsewhere.trim_log(here)
    return f"{len(gone)} deleted" if gone else "nothing is old enough"


def _done(tell: Tell, what: str, work: Callable[[], str]) -> Outcome:
    begun = monotonic()
    try:
        sentence, is_good = work(), True
    except (OperatorError, OSError) as error:
        sentence, is_good = str(error), False
    except Exception as error:
        # What nobody thought of must not keep the rest of the day's work from being done.
        sentence, is_good = f"{type(error).__name__}: {error}", False
    outcome = Outcome(what, is_good, sentence, monotonic() - begun)
    tell(outcome)
    return outcome
