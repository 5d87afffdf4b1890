"""Whether what was written is still there, byte by byte; restoring it is the drill's business."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import msgspec

from chitlaq.backups import configuration, dumps, log, physical, place, records
from chitlaq.backups.log import Segment
from chitlaq.backups.physical import MANIFEST
from chitlaq.backups.place import Place
from chitlaq.backups.records import Record, Verdict
from chitlaq.core.errors import OperatorError
from chitlaq.stack import barman


@dataclass(slots=True)
class Seen:
    """What was found unchanged just now: several backups stand on the same files."""

    backups: set[str] = field(default_factory=set)
    log: set[Path] = field(default_factory=set)


def verify(here: Place, record: Record, seen: Seen | None = None) -> Record:
    """Look at a backup, and write down what was found.

    Args:
        here: the installation.
        record: the backup.
        seen: what need not be read again, where all are looked at one after the other.
    """
    begun = monotonic()
    here.advance(f"verify {record.id}", 0, 1)
    try:
        detail, is_good = _look(here, record, seen or Seen()), True
    except (OperatorError, OSError) as error:
        detail, is_good = str(error), False
    here.advance(f"verify {record.id}", 1, 1)
    verdict = Verdict(datetime.now(UTC), is_good, detail, monotonic() - begun)
    judged = msgspec.structs.replace(record, verified=verdict)
    records.write(here.folder, judged)
    return judged


def _look(here: Place, record: Record, seen: Seen) -> str:
    if record.kind == "dump":
        return _look_at_dump(here, record)
    if record.kind == "configuration":
        return _look_at_configuration(here, record)
    return _look_at_physical(here, record, seen)


def _need_same(here: Place, record: Record) -> None:
    path = here.folder / record.path
    if not path.exists():
        raise OperatorError(f"{path} is gone.")
    size = path.stat().st_size
    if size != record.bytes:
        raise OperatorError(f"{path} has {size:,} bytes instead of {record.bytes:,}.")
    if records.digest(path) != record.sha256:
        raise OperatorError(f"{path} has changed since it was made: its SHA-256 is another.")


def _look_at_dump(here: Place, record: Record) -> str:
    _need_same(here, record)
    lines = dumps.table_of_contents(here, here.folder / record.path)
    tables = sum(" TABLE DATA " in line for line in lines)
    if tables < len(record.tables):
        raise OperatorError(f"It holds {tables} tables, and its manifest {len(record.tables)}.")
    rows = sum(table.rows for table in record.tables.values())
    return f"unchanged; {tables} tables with {rows:,} rows"


def _look_at_configuration(here: Place, record: Record) -> str:
    _need_same(here, record)
    try:
        return configuration.look(here.folder / record.path)
    except (tarfile.TarError, EOFError) as error:
        raise OperatorError(f"{record.path} cannot be read: {error}.") from None


def _look_at_physical(here: Place, record: Record, seen: Seen) -> str:
    try:
        chain = records.read(here.folder).chain(record)
    except KeyError as missing:
        raise OperatorError(f"It adds to {missing.args[0]}, which is gone.") from None
    for one in chain:
        if one.id in seen.backups:
            continue
        data = here.folder / one.path
        if not (data / MANIFEST).exists():
            raise OperatorError(f"{data / MANIFEST} is gone.")
        if records.digest(data / MANIFEST) != one.sha256:
            raise OperatorError(f"{data / MANIFEST} has changed since it was made.")
        place.run([here.program("pg_verifybackup"), "--no-parse-wal", "--quiet", str(data)])
        seen.backups.add(one.id)
    assert record.begin_wal is not None
    assert record.end_wal is not None
    system = physical.system_of(here.folder / record.path)
    count = verify_log(here, Segment.of(record.begin_wal), Segment.of(record.end_wal), system, seen)
    return f"unchanged; {len(chain)} of its chain, {count} segments of the log without a hole"


def verify_log(here: Place, begin: Segment, end: Segment, system: int, seen: Seen) -> int:
    """Look at the archived log from a segment to its end; returns how many segments follow.

    Args:
        here: the installation.
        begin: where a backup began, from which the log is replayed.
        end: where it ended: without that much log it cannot be restored.
        system: the server that it is of: another's log has the same names.
        seen: what need not be read again.

    Raises:
        OperatorError: one is missing, changed, or cannot be read.
    """
    found = physical.received(here)
    chain = found.chain(begin)
    if end not in chain:
        raise OperatorError(f"The log ends before segment {end.name}, which a restore needs.")
    folder = barman.folder(here.home, here.settings)
    known = log.ledger(folder)
    files = [found.segments[segment] for segment in chain]
    for path in files:
        # What is just being received may not have begun.
        if path in seen.log or path.suffix == ".partial":
            continue
        if (other := log.system_of(path)) != system:
            raise OperatorError(
                f"{path} is of another server ({other}) than the backup ({system})."
            )
    for path in [*files, *found.histories.values()]:
        if path in seen.log or "wals" not in path.relative_to(folder).parts:
            continue
        if path.name not in known:
            raise OperatorError(f"{path} is not in the ledger, or its line there was damaged.")
        if records.digest(path) != known[path.name]:
            raise OperatorError(f"{path} has changed since it came.")
        seen.log.add(path)
    return len(chain)
