"""Backups: whether they are made, restored and compared, archived, and copied off-site.

They judge the records that verification and restore drills write, since a file in a folder is no proof,
and whether the files are still there, of the same size and unchanged, since a record is no backup.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import msgspec

from chitlaq import inventory
from chitlaq.backups.catalog import status
from chitlaq.backups.catalog.records import Record
from chitlaq.backups.catalog.status import BackupStatus, KindStatus
from chitlaq.backups.context import BackupContext
from chitlaq.core.errors import NotApplicable, NotYet, UnknownResult
from chitlaq.core.formatting import count, duration, size
from chitlaq.core.installation.secrets import BACKUP
from chitlaq.ops.checks import decisions
from chitlaq.ops.checks.model import (
    CheckOutcome,
    Section,
    Table,
    Value,
    Verdict,
    check,
    outcome,
    worst,
)
from chitlaq.ops.checks.sources.system import SystemView
from chitlaq.stack.servers import barman, postgres

SHOWN = 5
FIRST_SECONDS = 900.0
"""After the first start, until the first backups are made and proved."""
# How far the WAL archive may lag, and how old the off-site copy of the WAL may be.
BEHIND_BYTES = (64e6, 1e9)
COPIED_HOURS = (1.0, 6.0)


async def _status(system: SystemView) -> BackupStatus:
    async def look() -> BackupStatus:
        context = BackupContext(system.home, system.settings)
        try:
            return await system.blocking(partial(status.read, context))
        except OSError as error:
            raise UnknownResult(f"cannot read {context.folder}: {error.strerror}") from None

    return await system.once("backups", look)


async def _proved(system: SystemView, name: str, what: str) -> CheckOutcome:
    """Judge a kind of backup that a drill restores and compares every day."""
    found = await _status(system)
    kind_status = found.of(name)
    if broken := _broken(kind_status):
        return broken
    newest = kind_status.newest
    if newest is None:
        return _none(system, found, what)
    values = _values(system, kind_status, newest)
    last = kind_status.last_drilled
    if last is None or last.drilled is None:
        _require_time(system, f"the first {what} is made; its restore drill is under way")
        return outcome(
            f"newest {what}: {duration(_age(newest.created_at))} old; no restore drill has run yet, so it is"
            " not known whether it can be restored",
            values,
            _table(kind_status),
            least=Verdict.WARNING,
        )
    drilled = _age(last.drilled.at)
    values["drilled"] = Value(drilled / 3600, "hours", *system.thresholds.backup_age_hours)
    values["restored_in"] = Value(last.drilled.seconds, "seconds")
    if last.drilled.lost_seconds is not None:
        values["lost"] = Value(last.drilled.lost_seconds, "seconds")
    return outcome(
        f"newest {what}: {duration(_age(newest.created_at))} old, {size(newest.bytes)}; last restored and"
        f" compared {duration(drilled)} ago, in {duration(last.drilled.seconds)}",
        values,
        _table(kind_status),
    )


def _broken(kind_status: KindStatus) -> CheckOutcome | None:
    """Report backups that are known to be bad, before they are needed."""
    said = [f"{one.id}: {one.last_failure.detail}" for one in kind_status.bad if one.last_failure]
    said += [f"{name}: its record is damaged" for name in kind_status.damaged]
    if not said:
        return None
    return outcome(
        f"{count(len(said), 'bad backup')}: {said[-1]}",
        {"bad": Value(len(said)), "backups": Value(len(kind_status.records))},
        _table(kind_status),
        least=Verdict.CRITICAL,
    )


def _require_time(system: SystemView, said: str) -> None:
    """Raise while the first backups are being made.

    Raises:
        NotYet: the installation is new.
    """
    if system.settings.operations.scheduled and system.is_new(FIRST_SECONDS):
        raise NotYet(said)


def _none(system: SystemView, found: BackupStatus, what: str) -> CheckOutcome:
    _require_time(
        system, f"the first {what} is made one minute after the first start, and soon ready"
    )
    return outcome(f"no {what} in {found.folder}", {"backups": Value(0)}, least=Verdict.CRITICAL)


def _values(system: SystemView, kind_status: KindStatus, newest: Record) -> dict[str, Value]:
    return {
        "age": Value(_age(newest.created_at) / 3600, "hours", *system.thresholds.backup_age_hours),
        "size": Value(newest.bytes, "bytes"),
        "backups": Value(len(kind_status.records)),
    }


def _table(kind_status: KindStatus) -> Table:
    return Table(
        f"newest of {count(len(kind_status.records), 'backup')}",
        ["backup", "age", "size", "verified", "restored and compared"],
        [
            [
                one.id,
                duration(_age(one.created_at)),
                size(one.bytes),
                _verified(one),
                one.drilled.detail if one.drilled else "never",
            ]
            for one in reversed(kind_status.records[-SHOWN:])
        ],
    )


def _verified(record: Record) -> str:
    if record.lost or record.changed_at:
        return record.lost or "changed since"
    return record.verified.detail if record.verified else "never"


def _changed(kind_status: KindStatus, found: CheckOutcome) -> CheckOutcome:
    """Warn of backups whose files were changed, which only verification can clear."""
    if not kind_status.changed:
        return found
    last = kind_status.changed[-1]
    assert last.changed_at is not None
    return msgspec.structs.replace(
        found,
        verdict=worst((found.verdict, Verdict.WARNING)),
        summary=f"files of {last.id} were changed {duration(_age(last.changed_at))} ago, after they were last"
        f" known to be good: `chitlaq backup verify {last.id}` says whether they still are;"
        f" {found.summary}",
    )


def _age(moment: datetime) -> float:
    return (datetime.now(UTC) - moment).total_seconds()


_REMEDY = "`chitlaq backup run`, then `chitlaq backup drill`; `chitlaq ops actions` shows what failed last."
_BAD = " Once a new one is proved, delete a bad one: `chitlaq backup prune NAME --yes`."


@check(
    "backup.database",
    "Database dump",
    section=Section.BACKUPS,
    looks_at="the records beside the backups, and size and time of the files",
    commands=("chitlaq backup list", "chitlaq backup drill"),
    remedy=_REMEDY + _BAD,
)
async def database(system: SystemView) -> CheckOutcome:
    found = await _proved(system, "dump", "dump")
    return _changed((await _status(system)).of("dump"), found)


@check(
    "backup.physical",
    "Base backup",
    section=Section.BACKUPS,
    looks_at="the records beside the backups, size and time of the files, and the server's tablespaces",
    commands=("chitlaq backup list", "chitlaq backup verify", "chitlaq backup drill"),
    remedy=_REMEDY + _BAD,
)
async def physical(system: SystemView) -> CheckOutcome:
    _require_archive(system)
    found = await _proved(system, "physical", "base backup")
    found = _changed((await _status(system)).of("physical"), found)
    # The records are judged without the server, too.
    with suppress(UnknownResult):
        if rows := await system.postgres.rows("tablespaces"):
            return msgspec.structs.replace(
                found,
                verdict=worst((found.verdict, Verdict.WARNING)),
                summary=f"no base backup can be taken while there is the tablespace {rows[0][0]}:"
                f" `chitlaq backup run full` says how to drop it; {found.summary}",
            )
    return found


@check(
    "backup.archive",
    "WAL archive",
    section=Section.BACKUPS,
    looks_at="pg_stat_replication, the archive's replication slot, and whether anything arrives",
    commands=("chitlaq exec postgres psql -c 'SELECT * FROM pg_stat_replication'", "chitlaq ps"),
    remedy="`chitlaq logs wal-archive` shows why it does not receive; the usual cause is a full disk."
    " After a lost slot: `chitlaq backup run full`.",
)
async def archive(system: SystemView) -> CheckOutcome:
    _require_archive(system)
    rows = await system.postgres.rows("archive", postgres.RECEIVER, BACKUP)
    state, mode, behind, slot, kept = rows[0]
    values = {}
    if kept is not None:
        values["kept"] = Value(kept, "bytes")
    if slot == "lost":
        return outcome(
            "PostgreSQL has dropped WAL that was not received for too long: nothing after the last base"
            " backup can be restored",
            values,
            least=Verdict.CRITICAL,
        )
    if state is None:
        return outcome(
            "nothing receives the WAL: new writes would be lost with this machine",
            values,
            least=Verdict.CRITICAL,
        )
    values["behind"] = Value(behind, "bytes", *BEHIND_BYTES)
    how = "synchronously" if mode == "sync" else "asynchronously"
    said = f"WAL is received {how}, {size(behind)} behind"
    if slot == "unreserved":
        return outcome(
            f"{said}; PostgreSQL is about to drop what was not received",
            values,
            least=Verdict.WARNING,
        )
    if state != "streaming":
        return outcome(f"{said}; state: {state}", values, least=Verdict.WARNING)
    if fault := await _receives_nothing(system):
        return outcome(f"{said}; the receiver {fault}", values, least=Verdict.WARNING)
    return outcome(said, values)


async def _receives_nothing(system: SystemView) -> str:
    """Return why the receiver cannot do its work, as far as is known: a connection does not show it."""
    with suppress(UnknownResult):
        for one in await system.statuses():
            if one.service == inventory.ARCHIVE and one.state == "unable":
                return one.reason
    return ""


@check(
    "backup.configuration",
    "Configuration backup",
    section=Section.BACKUPS,
    looks_at="the records beside the backups, and size and time of the files",
    commands=("ls -la {backups}/config_*.tar.gz", "tar -tzf {backups}/config_latest.tar.gz"),
    remedy="`chitlaq backup run configuration`. It contains secrets once `chitlaq backup key` has created a"
    " key.",
)
async def configuration(system: SystemView) -> CheckOutcome:
    found = await _status(system)
    kind_status = found.of("configuration")
    if broken := _broken(kind_status):
        return broken
    newest = kind_status.newest
    if newest is None:
        return _none(system, found, "configuration backup")
    values = _values(system, kind_status, newest)
    said = f"newest: {duration(_age(newest.created_at))} old, {size(newest.bytes)}"
    if newest.verified is None:
        _require_time(system, f"{said}; it is being verified")
        return outcome(
            f"{said}; not verified yet", values, _table(kind_status), least=Verdict.WARNING
        )
    said += f": {newest.verified.detail}"
    if await decisions.backup_key(system):
        said += f"; without secrets, because no key encrypts them ({decisions.WHERE})"
    return _changed(kind_status, outcome(said, values, _table(kind_status)))


@check(
    "backup.copies",
    "Off-site copies",
    section=Section.BACKUPS,
    looks_at="the records beside the backups",
    commands=("chitlaq backup list",),
    remedy="`chitlaq backup run` copies new backups, and reports errors of the remote storage.",
)
async def copies(system: SystemView) -> CheckOutcome:
    where = system.settings.backups.copy_to
    if not where:
        raise NotApplicable("backups.copy_to is not set")
    found = await _status(system)
    newest = [one.newest for one in found.kinds if one.newest is not None]
    if not newest:
        return _none(system, found, "backup to copy")
    values = {"uncopied": Value(len(found.uncopied))}
    if found.refusal:
        return outcome(found.refusal, values, least=Verdict.CRITICAL)
    if barman.is_wanted(system.settings):
        if found.wal_copied_at is None:
            return outcome(f"WAL has never been copied to {where}", values, least=Verdict.CRITICAL)
        values["log"] = Value(_age(found.wal_copied_at) / 3600, "hours", *COPIED_HOURS)
    if found.uncopied:
        named = ", ".join(one.id for one in found.uncopied)
        return outcome(f"not copied to {where}: {named}", values, least=Verdict.CRITICAL)
    oldest = max(_age(one.copied.at) for one in newest if one.copied)
    return outcome(
        f"the newest of each kind is at {where}, encrypted and verified, the oldest copied"
        f" {duration(oldest)} ago",
        values,
    )


def _require_archive(system: SystemView) -> None:
    """Raise if there is no archive to check."""
    if not system.settings.embeds("postgres"):
        raise NotApplicable(
            "the database is on another machine (DATABASE_URL), and so are its base backups"
        )
    if not barman.is_wanted(system.settings):
        raise NotApplicable("backups.archive is off")
