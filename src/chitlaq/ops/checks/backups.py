"""Backups: whether they are made, whether they were restored and compared, and what is on its way.

What is judged are the records that verifying and drilling wrote: a file in a folder is no backup yet.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from chitlaq.backups.catalog import status
from chitlaq.backups.catalog.records import Record
from chitlaq.backups.catalog.status import BackupStatus, KindStatus
from chitlaq.backups.context import BackupContext
from chitlaq.core.formatting import count, duration, size
from chitlaq.core.installation.secrets import BACKUP
from chitlaq.core.unseen import NotHere, Unseen
from chitlaq.ops.checks.model import Outcome, Section, Table, Value, Verdict, check, judged, outcome
from chitlaq.ops.checks.system import SystemView
from chitlaq.stack.servers import barman, postgres

SHOWN = 5
# How much of the log may be on its way to the archive, and how old what is elsewhere.
BEHIND_BYTES = (64e6, 1e9)
COPIED_HOURS = (1.0, 6.0)


async def _status(system: SystemView) -> BackupStatus:
    async def look() -> BackupStatus:
        here = BackupContext(system.home, system.settings)
        try:
            return await system.blocking(partial(status.read, here))
        except OSError as error:
            raise Unseen(f"{here.folder} cannot be looked at: {error.strerror}") from None

    return await system.once("backups", look)


async def _proved(system: SystemView, name: str, what: str) -> Outcome:
    """Judge a kind of backup that is restored and compared every day."""
    found = await _status(system)
    standing = found.of(name)
    if broken := _broken(standing):
        return broken
    newest = standing.newest
    if newest is None:
        return _none(found, what)
    values = _values(system, standing, newest)
    last = standing.last_drilled
    if last is None or last.drilled is None:
        return outcome(
            f"the newest {what} is {duration(_age(newest.created_at))} old; none was restored yet:"
            " whether one can be is not known",
            values,
            _table(standing),
            least=Verdict.WARNING,
        )
    drilled = _age(last.drilled.at)
    values["drilled"] = judged(drilled / 3600, "hours", system.limits.backup_age_hours)
    values["restored_in"] = Value(last.drilled.seconds, "seconds")
    if last.drilled.lost_seconds is not None:
        values["lost"] = Value(last.drilled.lost_seconds, "seconds")
    return outcome(
        f"the newest {what} is {duration(_age(newest.created_at))} old, {size(newest.bytes)}; one was"
        f" restored and compared {duration(drilled)} ago, in {duration(last.drilled.seconds)}",
        values,
        _table(standing),
    )


def _broken(standing: KindStatus) -> Outcome | None:
    """What is known to be bad, of which nobody should find out when it is needed."""
    said = [f"{one.id}: {_fault(one)}" for one in standing.bad]
    said += [f"{name}: its record is damaged" for name in standing.damaged]
    if not said:
        return None
    return outcome(
        f"{count(len(said), 'backup')} cannot be trusted: {said[-1]}",
        {"bad": Value(len(said)), "backups": Value(len(standing.records))},
        _table(standing),
        least=Verdict.CRITICAL,
    )


def _none(found: BackupStatus, what: str) -> Outcome:
    return outcome(
        f"there is no {what} in {found.folder}",
        {"backups": Value(0)},
        least=Verdict.CRITICAL,
    )


def _values(system: SystemView, standing: KindStatus, newest: Record) -> dict[str, Value]:
    return {
        "age": judged(_age(newest.created_at) / 3600, "hours", system.limits.backup_age_hours),
        "size": Value(newest.bytes, "bytes"),
        "backups": Value(len(standing.records)),
    }


def _table(standing: KindStatus) -> Table:
    return Table(
        f"newest of {count(len(standing.records), 'backup')}",
        ["backup", "age", "size", "verified", "restored and compared"],
        [
            [
                one.id,
                duration(_age(one.created_at)),
                size(one.bytes),
                one.verified.detail if one.verified else "never",
                one.drilled.detail if one.drilled else "never",
            ]
            for one in reversed(standing.records[-SHOWN:])
        ],
    )


def _fault(record: Record) -> str:
    looks = (record.drilled, record.verified)
    return next(look.detail for look in looks if look is not None and not look.is_good)


def _age(moment: datetime) -> float:
    return (datetime.now(UTC) - moment).total_seconds()


_REMEDY = (
    "`chitlaq backup run`, then `chitlaq backup drill`; what went wrong last is in"
    " `chitlaq ops actions`."
)
_BAD = " A bad one is deleted with `chitlaq backup prune NAME --yes` when a new one is proved."


@check(
    "backup.database",
    "Dump of the database",
    section=Section.BACKUPS,
    looks_at="the records beside the backups",
    commands=("chitlaq backup list", "chitlaq backup drill"),
    remedy=_REMEDY + _BAD,
)
async def database(system: SystemView) -> Outcome:
    return await _proved(system, "dump", "dump")


@check(
    "backup.physical",
    "Base backup",
    section=Section.BACKUPS,
    looks_at="the records beside the backups",
    commands=("chitlaq backup list", "chitlaq backup verify", "chitlaq backup drill"),
    remedy=_REMEDY + _BAD,
)
async def physical(system: SystemView) -> Outcome:
    _need_archive(system)
    return await _proved(system, "physical", "base backup")


@check(
    "backup.archive",
    "Archive of the log (WAL)",
    section=Section.BACKUPS,
    looks_at="pg_stat_replication and the archive's slot",
    commands=(
        "chitlaq exec postgres psql -c 'SELECT * FROM pg_stat_replication'",
        "chitlaq ps",
    ),
    remedy="`chitlaq logs wal-archive` says why it does not receive; a full disk is the usual cause."
    " After a lost slot: `chitlaq backup run full`.",
)
async def archive(system: SystemView) -> Outcome:
    _need_archive(system)
    rows = await system.postgres.rows("archive", postgres.RECEIVER, BACKUP)
    state, mode, behind, slot, kept = rows[0]
    values = {}
    if kept is not None:
        values["kept"] = Value(kept, "bytes")
    if slot == "lost":
        return outcome(
            "the log was not received for so long that PostgreSQL gave it up: nothing after the last"
            " base backup can be restored",
            values,
            least=Verdict.CRITICAL,
        )
    if state is None:
        return outcome(
            "nobody receives the log: what is written now would be lost with this machine",
            values,
            least=Verdict.CRITICAL,
        )
    values["behind"] = judged(behind, "bytes", BEHIND_BYTES)
    how = "before it is acknowledged" if mode == "sync" else "as it is written"
    said = f"the log is received {how}, {size(behind)} on the way"
    if slot == "unreserved":
        return outcome(f"{said}; it is close to being given up", values, least=Verdict.WARNING)
    if state != "streaming":
        return outcome(f"{said}; it is {state}", values, least=Verdict.WARNING)
    return outcome(said, values)


@check(
    "backup.configuration",
    "Backup of the configuration",
    section=Section.BACKUPS,
    looks_at="the records beside the backups",
    commands=(
        "ls -la {backups}/config_*.tar.gz",
        "tar -tzf {backups}/config_latest.tar.gz",
    ),
    remedy="`chitlaq backup run configuration`; secrets are in it once `chitlaq backup key` has made a"
    " key.",
)
async def configuration(system: SystemView) -> Outcome:
    found = await _status(system)
    standing = found.of("configuration")
    if broken := _broken(standing):
        return broken
    newest = standing.newest
    if newest is None:
        return _none(found, "backup of the configuration")
    values = _values(system, standing, newest)
    said = f"the newest is {duration(_age(newest.created_at))} old, {size(newest.bytes)}"
    if newest.verified is None:
        return outcome(
            f"{said}; nobody has looked at it since",
            values,
            _table(standing),
            least=Verdict.WARNING,
        )
    if not system.settings.backups.recipients:
        return outcome(
            f"{said}; without secrets, since there is no key to encrypt them to",
            values,
            _table(standing),
            least=Verdict.WARNING,
        )
    return outcome(f"{said}: {newest.verified.detail}", values, _table(standing))


@check(
    "backup.copies",
    "Copies elsewhere",
    section=Section.BACKUPS,
    looks_at="the records beside the backups",
    commands=("chitlaq backup list",),
    remedy="`chitlaq backup run` copies what it makes, and says what the place answers.",
)
async def copies(system: SystemView) -> Outcome:
    where = system.settings.backups.copy_to
    if not where:
        raise NotHere("no place for copies is set: backups.copy_to")
    found = await _status(system)
    newest = [one.newest for one in found.kinds if one.newest is not None]
    if not newest:
        return _none(found, "backup to copy")
    values = {"uncopied": Value(len(found.uncopied))}
    if found.refusal:
        return outcome(found.refusal, values, least=Verdict.CRITICAL)
    if barman.is_wanted(system.settings):
        if found.wal_copied_at is None:
            return outcome(f"the log was never copied to {where}", values, least=Verdict.CRITICAL)
        values["log"] = judged(_age(found.wal_copied_at) / 3600, "hours", COPIED_HOURS)
    if found.uncopied:
        named = ", ".join(one.id for one in found.uncopied)
        return outcome(f"not at {where}: {named}", values, least=Verdict.CRITICAL)
    oldest = max(_age(one.copied.at) for one in newest if one.copied)
    return outcome(
        f"the newest of each kind is at {where}, encrypted and read back, the last"
        f" {duration(oldest)} ago",
        values,
    )


def _need_archive(system: SystemView) -> None:
    """Raise where there is nothing to look at."""
    if not system.settings.embeds("postgres"):
        raise NotHere("the database is elsewhere (DATABASE_URL), and so are its base backups")
    if not barman.is_wanted(system.settings):
        raise NotHere("backups.archive is off")
