"""Find the backup that an operator names: by its ID, or by a file."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import NamedTuple

from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import Catalog, Record
from chitlaq.core.errors import OperatorError


class Match(NamedTuple):
    """A backup; ``identical_file`` is a file outside the backup folder with the same content."""

    record: Record
    identical_file: Path | None = None


def find(folder: Path, catalog: Catalog, name: str) -> Match:
    """Find a backup by its ID, its file, or a byte-identical copy of its file.

    Args:
        folder: the backup folder.
        catalog: its records.
        name: an ID or a path.

    Raises:
        OperatorError: there is no such backup, or the file's content is in no record.
    """
    record = catalog.get(name)
    if record is not None:
        return Match(record)
    try:
        return _of_file(folder, catalog, name)
    except PermissionError:
        raise OperatorError(
            f"{name} cannot be read by the user {getpass.getuser()}: copy it to where that user may"
            " read it."
        ) from None


def _of_file(folder: Path, catalog: Catalog, name: str) -> Match:
    path = Path(name)
    if not path.exists():
        if "/" in name or name.endswith((".sql", ".tar.gz")):
            raise OperatorError(f"There is no file {path.absolute()}.")
        raise OperatorError(f"There is no backup {name}: see `chitlaq backup list`.")
    file = path.resolve()
    for record in catalog.good:
        if file == (folder / record.path).resolve():
            return Match(record)
    if file.is_file():
        digest = records.digest(file)
        for record in catalog.of("dump", "configuration"):
            if record.sha256 == digest:
                return Match(record, file)
    raise OperatorError(
        f"{file} matches no recorded backup: it was not recorded when it was made, or it has changed"
        " since. It cannot be verified."
    )
