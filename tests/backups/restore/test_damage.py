"""Damage of every kind in every kind of file is found, and never called good.

WAL, base backups, dumps, configuration backups and their off-site copies are changed by a byte at fifty
random positions each, truncated, emptied and deleted.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import BackupKind, Record
from chitlaq.backups.context import BackupContext
from chitlaq.backups.offsite import copies, encryption, fetch
from chitlaq.backups.offsite.remote_copies import open_copies
from chitlaq.backups.postgres import base_backup
from chitlaq.backups.proof import drill, verify
from chitlaq.backups.wal import archive
from chitlaq.core.installation.home import Home
from chitlaq.stack.servers import barman
from tests.backups.backed_up_stack import author, context_of, newest, run, start_backed_up_stack
from tests.conftest import Stack, short_form, stop_stack

COPIED = ("full", "incremental", "dump", "configuration", "record", "log")
# Each position costs a fetch of all copies, and the encryption covers every byte alike: fewer will do.
FETCHED = 2
# Not covered by pg_verifybackup; a restore rewrites it.
WRITTEN_ANEW = {"postgresql.auto.conf"}


@pytest.fixture(scope="module")
def key() -> tuple[str, str]:
    return encryption.generate_keys()


@pytest.fixture(scope="module")
async def backed_up_stack(
    key: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """An installation with a full and an incremental backup, a dump, and off-site copies."""
    stack = start_backed_up_stack(
        CHITLAQ_BACKUPS_RECIPIENTS=key[1],
        CHITLAQ_BACKUPS_COPY_TO=str(tmp_path_factory.mktemp("elsewhere")),
    )
    try:
        async with author(stack) as ada:
            for number in range(5):
                await ada.write(f"post {number}")
        await asyncio.to_thread(run, stack, "run", "full", "dump", "configuration")
        for _ in range(3):
            await stack.sql("SELECT pg_switch_wal(), pg_logical_emit_message(true, 'test', 'x')")
        await asyncio.to_thread(run, stack, "run", "incremental")
        yield stack
    finally:
        stop_stack(stack)


@pytest.fixture(scope="module")
def context(backed_up_stack: Stack) -> BackupContext:
    return context_of(backed_up_stack)


@contextmanager
def changed(path: Path, change: Callable[[bytearray], object]) -> Iterator[None]:
    """Change a file's content within a block."""
    before = path.read_bytes()
    content = bytearray(before)
    change(content)
    try:
        path.write_bytes(bytes(content))
        yield
    finally:
        path.write_bytes(before)


def flipped(place: int) -> Callable[[bytearray], object]:
    def flip(content: bytearray) -> None:
        content[place] ^= 1 << (place % 8)

    return flip


CUT = {
    "cut short": lambda content: content.__delitem__(slice(len(content) // 2, None)),
    "empty": lambda content: content.clear(),
    "longer": lambda content: content.extend(b"x"),
}


def places(path: Path, count: int) -> list[int]:
    """Positions in a file; the same in every run for the same length."""
    size = path.stat().st_size
    chosen = random.Random(size)
    return [chosen.randrange(size) for _ in range(count)]


def is_found_good(context: BackupContext, record: Record) -> bool:
    verdict = verify.verify(context, record)
    assert verdict is not None
    records.write(context.folder, record)
    return verdict.is_good


@pytest.mark.parametrize("count", short_form([8, 50], "8"))
@pytest.mark.parametrize("kind", ["dump", "configuration"])
def test_changed_byte_is_found_anywhere(
    backed_up_stack: Stack, context: BackupContext, kind: BackupKind, count: int
) -> None:
    record = newest(backed_up_stack, kind)
    path = context.folder / record.path
    assert is_found_good(context, record)
    for place in places(path, count):
        with changed(path, flipped(place)):
            assert not is_found_good(context, record), f"byte {place}"
    assert is_found_good(context, record)


@pytest.mark.parametrize("count", short_form([8, 50], "8"))
@pytest.mark.parametrize("kind", ["full", "incremental"])
def test_changed_byte_of_a_base_backup_is_found(
    backed_up_stack: Stack, context: BackupContext, kind: BackupKind, count: int
) -> None:
    record = newest(backed_up_stack, kind)
    data = context.folder / record.path
    files = [
        path
        for path in sorted(data.rglob("*"))
        if path.is_file() and path.stat().st_size and path.name not in WRITTEN_ANEW
    ]
    chosen = random.Random(len(files))
    for _ in range(count):
        path = chosen.choice(files)
        with changed(path, flipped(chosen.randrange(path.stat().st_size))):
            assert not is_found_good(context, record), path
    assert is_found_good(context, record)


def test_damaged_full_backup_makes_its_incremental_ones_bad(
    backed_up_stack: Stack, context: BackupContext
) -> None:
    full, incremental = newest(backed_up_stack, "full"), newest(backed_up_stack, "incremental")
    manifest = context.folder / full.path / base_backup.MANIFEST
    with changed(manifest, flipped(1000)):
        assert not is_found_good(context, incremental)
    with gone(context.folder / "records" / f"{full.id}.json"):
        assert not is_found_good(context, incremental)


@contextmanager
def gone(path: Path) -> Iterator[None]:
    away = path.with_name(f"{path.name}.away")
    path.rename(away)
    try:
        yield
    finally:
        away.rename(path)


def archived(context: BackupContext) -> Path:
    """A segment in the middle of the WAL archive."""
    folder = barman.folder(context.home, context.settings)
    begin = records.read(context.folder).of("full")[-1].begin_wal
    assert begin is not None
    later = [path for path in archive.archived_files(folder) if path.name > begin]
    assert len(later) >= 2
    return later[0]


@pytest.mark.parametrize("count", short_form([8, 50], "8"))
def test_changed_byte_of_archived_wal_is_found(
    backed_up_stack: Stack, context: BackupContext, count: int
) -> None:
    full = newest(backed_up_stack, "full")
    path = archived(context)
    for place in places(path, count):
        with changed(path, flipped(place)):
            assert not is_found_good(context, full), f"byte {place}"
    assert is_found_good(context, full)


def test_missing_wal_segment_is_a_named_gap(backed_up_stack: Stack, context: BackupContext) -> None:
    full = newest(backed_up_stack, "full")
    path = archived(context)
    with gone(path):
        verdict = verify.verify(context, full)
        assert verdict is not None
        assert not verdict.is_good
        assert path.name in verdict.detail
        drilled = drill.drill(context, full)
        assert drilled is not None
        assert not drilled.is_good
        assert path.name in drilled.detail
    records.write(context.folder, full)


@pytest.mark.parametrize("how", CUT)
def test_truncated_empty_or_longer_file_is_found(
    backed_up_stack: Stack, context: BackupContext, how: str
) -> None:
    full, dump = newest(backed_up_stack, "full"), newest(backed_up_stack, "dump")
    settings = newest(backed_up_stack, "configuration")
    data = context.folder / full.path
    for record, path in (
        (dump, context.folder / dump.path),
        (settings, context.folder / settings.path),
        (full, data / "global" / "pg_control"),
        (full, data / "backup_label"),
        (full, data / base_backup.MANIFEST),
        (full, archived(context)),
    ):
        with changed(path, CUT[how]):
            assert not is_found_good(context, record), path
            if record is dump:
                drilled = drill.drill(context, record)
                assert drilled is not None
                assert not drilled.is_good
                records.write(context.folder, record)
    for record, path in ((dump, context.folder / dump.path), (full, data / "base")):
        with gone(path):
            assert not is_found_good(context, record), path


def test_restore_does_not_choose_a_damaged_dump(
    backed_up_stack: Stack, context: BackupContext
) -> None:
    dump = newest(backed_up_stack, "dump")
    with changed(context.folder / dump.path, flipped(2000)):
        answer = backed_up_stack.command("backup", "verify", dump.id)
        assert answer.returncode == 3
        assert "has changed since it was made" in answer.stdout
        assert backed_up_stack.command("backup", "status").returncode == 3
        shown = backed_up_stack.command("backup", "restore", input="n\n").stdout
        assert dump.id not in shown
        assert "incremental_" in shown
    run(backed_up_stack, "verify", dump.id)


def fetched(context: BackupContext, root: Path, identity: str) -> tuple[list[Record], set[str]]:
    """What a new machine fetches, and what it reports as failed."""
    backups = msgspec.structs.replace(context.settings.backups, folder=str(root / "backups"))
    there = BackupContext(Home(root), msgspec.structs.replace(context.settings, backups=backups))
    with open_copies(there, context.settings.backups.copy_to, identity) as remote:
        fetch.fetch_settings(there, remote)
        brought = fetch.fetch_backups(there, remote)
        return brought, set(remote.failed)


@pytest.mark.parametrize("kind", short_form(COPIED, "full", "record", "log"))
def test_damaged_copy_is_named_and_does_not_block_others(
    backed_up_stack: Stack, context: BackupContext, key: tuple[str, str], tmp_path: Path, kind: str
) -> None:
    copies.copy_wal(context)
    target = Path(context.settings.backups.copy_to)
    if kind == "log":
        begin = newest(backed_up_stack, "full").begin_wal or ""
        path = next(one for one in sorted((target / "log").glob("*/*.age")) if one.stem > begin)
    elif kind == "record":
        path = target / "records" / f"{newest(backed_up_stack, 'dump').id}.age"
    else:
        path = target / "backups" / f"{newest(backed_up_stack, kind).id}.age"  # type: ignore[arg-type]
    name = str(path.relative_to(target))
    whole, failed = fetched(context, tmp_path / "whole", key[0])
    assert failed == set()
    for place in places(path, FETCHED):
        root = tmp_path / str(place)
        with changed(path, flipped(place)):
            brought, failed = fetched(context, root, key[0])
        assert failed == {name}, place
        hurt = {path.stem}
        if kind == "full":
            hurt.add(newest(backed_up_stack, "incremental").id)
        ids = {one.id for one in brought}
        assert {one.id for one in whole} - hurt == ids
        assert kind != "log" or not list((root / "backups").glob(f"physical/*/wals/*/{path.stem}"))
        shutil.rmtree(root)


def test_live_server_is_untouched(backed_up_stack: Stack) -> None:
    assert backed_up_stack.is_healthy()
    assert newest(backed_up_stack, "dump").tables["feed.posts"].rows == 5
