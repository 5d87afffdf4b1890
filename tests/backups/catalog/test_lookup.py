"""The backup that an operator names: by its ID, by its file, or by an identical file."""

from __future__ import annotations

from pathlib import Path

import pytest

from chitlaq.backups.catalog import lookup, records
from chitlaq.backups.catalog.records import Record
from chitlaq.backups.context import BackupContext
from chitlaq.core.errors import OperatorError
from tests.backups.machines import machine, make


@pytest.fixture
def context(tmp_path: Path) -> BackupContext:
    return machine(tmp_path / "one")


@pytest.fixture
def dump(context: BackupContext) -> Record:
    make(context, "full")
    return make(context, "dump")


def find(context: BackupContext, name: str | Path) -> lookup.Match:
    return lookup.find(context.folder, records.read(context.folder), str(name))


def test_backup_is_found_by_its_id_its_file_and_a_link_to_it(
    context: BackupContext, dump: Record
) -> None:
    link = context.folder / "latest_backup.sql"
    link.symlink_to(dump.path)
    for name in (dump.id, context.folder / dump.path, link):
        assert find(context, name) == (dump, None)


def test_backup_folder_behind_a_link_is_the_same_folder(
    context: BackupContext, dump: Record, tmp_path: Path
) -> None:
    alias = tmp_path / "alias"
    alias.symlink_to(context.folder)
    catalog = records.read(alias)
    assert lookup.find(alias, catalog, str(context.folder / dump.path)) == (dump, None)


def test_identical_file_outside_the_folder_is_found_and_named(
    context: BackupContext, dump: Record, tmp_path: Path
) -> None:
    same = tmp_path / "same.sql"
    same.write_bytes((context.folder / dump.path).read_bytes())
    assert find(context, same) == (dump, same)


def test_unknown_name_is_refused(context: BackupContext, dump: Record, tmp_path: Path) -> None:
    other = tmp_path / "other.sql"
    other.write_bytes((context.folder / dump.path).read_bytes()[:-1])
    for name, message in {
        "full_20200101T000000": "There is no backup",
        "gone.sql": "There is no file",
        str(tmp_path / "gone"): "There is no file",
        str(other): "matches no recorded backup",
        str(tmp_path): "matches no recorded backup",
    }.items():
        with pytest.raises(OperatorError, match=message):
            find(context, name)
