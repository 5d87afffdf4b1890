"""What a replay of staged WAL would reach and what it needs, read before a byte is replayed.

Needed are the settings that must be as large as on the server that wrote the WAL: those in its control file,
and each later value, which it wrote to the WAL when it started with it.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chitlaq.backups.context import PROGRAM_SECONDS, BackupContext, run_program
from chitlaq.backups.errors import InconclusiveError
from chitlaq.backups.wal import archive
from chitlaq.backups.wal.archive import Segment
from chitlaq.backups.wal.in_place import make_tablespace_in_place
from chitlaq.backups.wal.staging import StagedWal
from chitlaq.core.host import programs

# How pg_controldata and pg_waldump shorten the names of settings.
_SHORTENED = {
    "max_prepared_xacts": "max_prepared_transactions",
    "max_locks_per_xact": "max_locks_per_transaction",
}
_CONTROL = re.compile(r"^(max_\w+) setting: +(\d+)$", re.MULTILINE)
_CHANGED = re.compile(r"\b(max_\w+)=(\d+)")
# From the beginning of a line: names and paths in a description may look like anything.
_RECORD = r"rmgr: {} +len[^,]*, tx: +\d+, lsn: ([0-9A-F]+/[0-9A-F]+), prev [0-9A-F/]+, desc: "
_TABLESPACE = re.compile(_RECORD.format("Tablespace") + "CREATE ")
_IN_PLACE = re.compile(_RECORD.format("Tablespace") + r'CREATE \d+ ""$')
_PARAMETERS = re.compile(_RECORD.format("XLOG") + "PARAMETER_CHANGE (.*)")
END_BYTES = 1000
# The end of the WAL, which pg_waldump reports as an error.
_END = re.compile(r"could not find a valid record|error in WAL record|could not find file")


def confine(context: BackupContext, data: Path, staged: StagedWal) -> dict[str, int]:
    """Make a staged data directory replay within itself; return the settings that it needs at least.

    Raises:
        OperatorError: the WAL cannot be read.
        InconclusiveError: the WAL could not be confined.
    """
    control = run_program([context.program("pg_controldata"), str(data)])
    needed = {_SHORTENED.get(name, name): int(value) for name, value in _CONTROL.findall(control)}
    places = []
    with _described(context, staged) as lines:
        for line in lines:
            if found := _TABLESPACE.match(line):
                places.append(archive.parse_lsn(found[1]))
            elif changed := _PARAMETERS.match(line):
                for name, value in _CHANGED.findall(changed[2]):
                    setting = _SHORTENED.get(name, name)
                    needed[setting] = max(needed.get(setting, 0), int(value))
    for place in places:
        make_tablespace_in_place(staged.folder, staged.segments, place)
    if places:
        _require_in_place(context, staged)
    return needed


def _require_in_place(context: BackupContext, staged: StagedWal) -> None:
    with _described(context, staged) as lines:
        for line in lines:
            if _TABLESPACE.match(line) and not _IN_PLACE.match(line.rstrip("\n")):
                raise InconclusiveError(
                    f"The WAL creates a tablespace outside the data directory ({line.strip()}), which would"
                    " be written to: nothing was replayed."
                )


@contextmanager
def _described(context: BackupContext, staged: StagedWal) -> Iterator[Iterator[str]]:
    """What pg_waldump says of the records of interest, line by line.

    It reads one timeline only, and a record may begin on one and end on the next: it gets links that name
    all segments alike.

    Raises:
        InconclusiveError: it did not read up to the end of the WAL.
    """
    with tempfile.TemporaryDirectory(dir=staged.folder) as folder, tempfile.TemporaryFile() as said:
        alike = [Segment(staged.segments[0].timeline, one.number).name for one in staged.segments]
        for name, segment in zip(alike, staged.segments, strict=True):
            Path(folder, name).symlink_to(staged.folder / segment.name)
        process = programs.start(
            [context.program("pg_waldump"), "--path", folder, "--rmgr=Tablespace", "--rmgr=XLOG",
             alike[0], alike[-1]],
            output=said,
            environment={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
        )  # fmt: skip
        try:
            code = process.wait(PROGRAM_SECONDS)
        finally:
            programs.stop(process, grace_seconds=0)
        said.seek(max(0, said.seek(0, os.SEEK_END) - END_BYTES))
        end = said.read().decode(errors="replace")
        if code != 0 and not _END.search(end):
            raise InconclusiveError(f"The WAL cannot be read: {programs.last_lines(end)}")
        said.seek(0)
        yield (line.decode(errors="replace") for line in said)
