"""The memory of operations loses nothing: not to a full disk, damage, kill -9, or another process."""

from __future__ import annotations

import asyncio
import errno
import itertools
import multiprocessing
import os
import resource
import shutil
import signal
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from uuid import UUID

import pytest

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.ops.database import overflow
from chitlaq.ops.database.database import (
    BUSY_SECONDS,
    OpsDatabase,
    OpsDatabaseUnavailableError,
    Statement,
    statement,
)
from tests.conftest import eventually
from tests.disks import fill, small_disk

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def note(number: int) -> Statement:
    return statement("add_note", UUID(int=number), "x.y", "note", f"{number}", "ada", NOW, None)


async def noted(database: OpsDatabase) -> set[str]:
    return {row["text"] for row in await database.rows("notes", None, 100_000)}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    shutil.rmtree(overflow.folder(home), ignore_errors=True)


@pytest.fixture
def database(home: Home) -> Iterator[OpsDatabase]:
    with OpsDatabase(home) as database:
        yield database


@pytest.mark.parametrize("change", ["DROP TABLE alerts", "PRAGMA user_version = 1"])
async def test_file_of_a_version_that_was_never_released_is_said_to_be_one(
    home: Home, database: OpsDatabase, change: str
) -> None:
    """As many scripts ran, and other ones; or fewer, of which a later one has done the work."""
    await database.write(note(1))
    database.close()
    with closing(sqlite3.connect(home.ops_database)) as opened:
        opened.execute(change)
    with OpsDatabase(home) as again, pytest.raises(OpsDatabaseUnavailableError) as found:
        await again.rows("firing_alerts", "own")
    said = str(found.value)
    assert "does not have the tables of this version" in said
    assert f"move the folder {home.ops_database.parent} away" in said


@contextmanager
def no_room(home: Home) -> Iterator[None]:
    """No file of this process can grow: even root meets this limit, as it meets a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    used = max(path.stat().st_size for path in home.ops_database.parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (used, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)


async def test_file_is_for_its_owner_only(home: Home, database: OpsDatabase) -> None:
    await database.write(note(1))
    for path in home.ops_database.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


async def test_transaction_is_stored_whole_or_not_at_all(database: OpsDatabase) -> None:
    broken = statement("add_note", UUID(int=9), "x.y", "neither", "text", "ada", NOW, None)
    with pytest.raises(sqlite3.IntegrityError):
        await database.write(note(1), broken)
    assert await noted(database) == set()
    await database.write(note(2))
    assert await noted(database) == {"2"}


async def test_what_a_full_disk_keeps_out_is_stored_when_there_is_room(
    home: Home, database: OpsDatabase
) -> None:
    await database.write(note(0))
    with no_room(home):
        reasons = [await database.keep(note(number)) for number in range(1, 200)]
        refused = [str(number) for number, reason in enumerate(reasons, 1) if reason]
        assert refused, "the limit was not reached"
        with pytest.raises(OpsDatabaseUnavailableError):
            await database.write_overflow()
        assert len(overflow.waiting(home)) == len(refused)
        assert await noted(database) == {str(n) for n in range(200)} - set(refused)
    assert await database.write_overflow() == len(refused)
    assert await noted(database) == {str(n) for n in range(200)}
    assert await database.write_overflow() == 0


async def test_full_disk_and_full_memory_lose_nothing_that_was_kept(
    home: Home, database: OpsDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fits nowhere is refused with an error, and leaves nothing behind."""
    monkeypatch.setattr("chitlaq.ops.database.database.BUSY_SECONDS", 0.2)
    await database.write(note(0))
    with small_disk(1) as memory:
        monkeypatch.setattr(overflow, "MEMORY", memory)
        with locked(home.ops_database):
            assert await database.keep(note(1))
            filler = fill(memory)
            with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                await database.keep(note(2))
            assert len(list(overflow.folder(home).iterdir())) == 1, "no draft is left"
            with pytest.raises(OpsDatabaseUnavailableError):
                await database.write_overflow()
        assert await database.write_overflow() == 1, "a full memory keeps nothing from leaving it"
        assert await noted(database) == {"0", "1"}
        filler.unlink()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program locks the database for long, which writes nothing anywhere."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.close()


async def test_record_that_nobody_can_read_or_store_blocks_no_other(
    home: Home, database: OpsDatabase
) -> None:
    await database.write(note(0))
    overflow.put(home, [note(1)])
    folder = overflow.folder(home)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name, content in (
        ("0", '[["add_no'),
        ("1", '[["no_such_query",[]]]'),
        ("2", '[["add_note",["id","x.y","neither","t","ada","2026",null]]]'),
        ("3", '[["add_note",[]]]'),
    ):
        (folder / f"{name}.json").write_text(content)
    assert await database.write_overflow() == 1
    assert await noted(database) == {"0", "1"}
    assert {path.stem for path in folder.glob("*.broken")} == {"0", "1", "2", "3"}


async def test_shared_memory_of_somebody_else_is_neither_read_nor_written(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can make a folder that belongs to somebody else")
    monkeypatch.setattr(overflow, "MEMORY", tmp_path)
    folder = overflow.folder(home)
    folder.mkdir()
    (folder / "0.json").write_text("[]")
    os.chown(folder, 12345, 12345)
    assert overflow.waiting(home) == []
    with pytest.raises(PermissionError):
        overflow.put(home, [note(1)])


async def test_link_in_shared_memory_is_not_followed(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(overflow, "MEMORY", tmp_path)
    (tmp_path / "elsewhere").mkdir()
    overflow.folder(home).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError):
        overflow.put(home, [note(1)])
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_file_that_another_program_locks_delays_no_reader_and_no_other_thread(
    home: Home, database: OpsDatabase
) -> None:
    await database.write(note(0))
    other = sqlite3.connect(home.ops_database, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    started = monotonic()
    # More than the threads that a process has for all its waiting.
    writing = [asyncio.create_task(database.keep(note(number))) for number in range(1, 40)]
    await asyncio.sleep(0.2)
    assert await noted(database) == {"0"}
    await asyncio.to_thread(lambda: None)
    assert monotonic() - started < BUSY_SECONDS
    reasons = await asyncio.gather(*writing)
    assert all("locked" in reason for reason in reasons)
    assert monotonic() - started < 2 * BUSY_SECONDS, "each waited for the others"
    other.close()
    assert await database.write_overflow() == len(reasons)
    assert len(await noted(database)) == 40


async def test_opening_ends_no_lock_that_this_process_holds(home: Home) -> None:
    with OpsDatabase(home) as first, OpsDatabase(home) as second:
        await first.write(note(1))
        held = _locks(home.ops_database)
        assert held
        await second.write(note(2))
        assert _locks(home.ops_database) >= held


async def test_two_that_open_a_new_file_at_once_keep_their_lock(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def slowly(*args: Any, **named: Any) -> int:
        made = opened(*args, **named)
        sleep(0.2)
        return made

    monkeypatch.setattr(os, "open", slowly)
    with OpsDatabase(home) as first, OpsDatabase(home) as second:
        await asyncio.gather(first.write(note(1)), second.write(note(2)))
        assert _locks(home.ops_database)


async def test_what_ends_something_is_not_stored_before_it(
    home: Home, database: OpsDatabase
) -> None:
    """A session that waited for room, and was ended by somebody for whom there was some."""
    overflow.put(home, [statement("store_console_session", "key", "ada", 0, "::1", NOW, None)])
    await database.keep(statement("end_console_sessions", "ada", NOW))
    await database.write_overflow()
    assert await database.rows("console_session", "key") == []


def _locks(path: Path) -> set[str]:
    """The ranges of a file that this process has locked."""
    lines = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    inode = str(path.stat().st_ino)
    mine = str(os.getpid())
    return {" ".join(one[6:]) for one in lines if one[4] == mine and one[5].endswith(f":{inode}")}


@pytest.mark.parametrize("damage", ["first page", "not a database", "truncated"])
async def test_damaged_file_is_set_aside_by_ops_service_and_refused_by_commands(
    home: Home, damage: str
) -> None:
    with OpsDatabase(home) as database:
        await database.write(*(note(number) for number in range(500)))
        await database.rows("notes", None, 1)
    path = home.ops_database
    content = bytearray(path.read_bytes())
    match damage:
        case "first page":
            content[100:4000] = b"x" * 3900
        case "not a database":
            content[:] = b"whatever" * 1000
        case _:
            del content[len(content) // 2 :]
    path.write_bytes(content)
    with OpsDatabase(home) as command:
        if damage != "truncated":
            # SQLite notices missing pages only when it needs them, or when it is asked to check.
            with pytest.raises(OperatorError, match="is damaged"):
                await command.rows("notes", None, 1)
    log = Path(f"{path}-wal")
    log.write_bytes(b"of the damaged one")
    with OpsDatabase(home, is_keeper=True) as keeper:
        await keeper.write(note(7))
        assert await noted(keeper) == {"7"}
    (aside,) = home.damaged_ops_databases()
    assert (aside / path.name).read_bytes() == bytes(content)
    with OpsDatabase(home, is_keeper=True) as again:
        assert await noted(again) == {"7"}


async def test_damaged_file_on_a_full_disk_loses_no_record(home: Home) -> None:
    home.ops_database.parent.mkdir(parents=True)
    home.ops_database.write_bytes(b"whatever" * 100)
    with OpsDatabase(home, is_keeper=True) as keeper:
        with no_room(home):
            assert await keeper.keep(note(1))
            with pytest.raises(OpsDatabaseUnavailableError):
                await keeper.write_overflow()
        assert await keeper.write_overflow() == 1
        assert await noted(keeper) == {"1"}


async def test_damaged_file_that_cannot_be_set_aside_loses_no_record(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    home.ops_database.parent.mkdir(parents=True)
    home.ops_database.write_bytes(b"whatever" * 100)
    with OpsDatabase(home, is_keeper=True) as keeper:
        with monkeypatch.context() as dead_disk:
            dead_disk.setattr(files, "durable_rename", fail)
            assert "cannot be set aside" in await keeper.keep(note(1))
        assert await keeper.write_overflow() == 1
        assert await noted(keeper) == {"1"}


def _set_aside_until(number: int, home: Home) -> None:
    """Start as ops-service does, and die at the so-manieth call that touches a file of the database."""
    left = number

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if str(home.ops) in str(arguments):
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    async def run() -> None:
        with OpsDatabase(home, is_keeper=True) as keeper:
            await keeper.write(note(7))

    sys.addaudithook(hear)
    asyncio.run(run())


async def test_kill_9_while_a_damaged_file_is_set_aside_loses_nothing(tmp_path: Path) -> None:
    content = b"whatever" * 1000
    calls: set[str] = set()
    for number in itertools.count(1):
        home = Home(tmp_path / f"{number}")
        home.ops_database.parent.mkdir(parents=True)
        home.ops_database.write_bytes(content)
        starting = multiprocessing.get_context("fork").Process(
            target=_set_aside_until, args=(number, home)
        )
        starting.start()
        await asyncio.to_thread(starting.join)
        with OpsDatabase(home) as command, suppress(OpsDatabaseUnavailableError):
            # One that is quicker than the next start.
            await command.write(note(8))
            calls.add("new")
        with OpsDatabase(home, is_keeper=True) as keeper:
            await keeper.write(note(9))
            assert {"9"} <= await noted(keeper) <= {"7", "8", "9"}
        (aside,) = home.damaged_ops_databases()
        assert (aside / home.ops_database.name).read_bytes() == content
        calls.add("died" if starting.exitcode else "done")
        if not starting.exitcode:
            break
    assert calls == {"died", "new", "done"}
    assert number > 5


async def test_whoever_has_the_damaged_file_open_does_not_touch_the_new_one(home: Home) -> None:
    with OpsDatabase(home) as command, OpsDatabase(home, is_keeper=True) as keeper:
        await command.write(note(1))
        await keeper.write(note(2))
        with closing(sqlite3.connect(home.ops_database)) as opened:
            # Until then, all pages are in the log too, which makes up for the damage.
            opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = home.ops_database.read_bytes()
        home.ops_database.write_bytes(b"whatever" * (len(content) // 8))
        with OpsDatabase(home, is_keeper=True) as restarted:
            await restarted.write(note(3))
            # The others see that theirs was set aside, and end its log, not the new one's.
            await command.write(note(4))
            await keeper.write(note(5))
            assert await noted(restarted) == {"3", "4", "5"}
    with OpsDatabase(home, is_keeper=True) as later:
        assert await noted(later) == {"3", "4", "5"}
    assert len(home.damaged_ops_databases()) == 1


async def test_file_that_was_deleted_is_not_written_to(home: Home, database: OpsDatabase) -> None:
    await database.write(note(1))
    for path in home.ops_database.parent.iterdir():
        path.unlink()
    await database.write(note(2))
    with OpsDatabase(home) as other:
        assert await noted(other) == {"2"}


async def test_file_to_which_a_newer_version_only_added_is_used(home: Home) -> None:
    with OpsDatabase(home) as database:
        await database.write(note(1))
    with sqlite3.connect(home.ops_database) as opened:
        opened.execute("PRAGMA user_version = 999")
    with OpsDatabase(home, is_keeper=True) as database:
        await database.write(note(2))
        assert await noted(database) == {"1", "2"}


async def test_file_that_lacks_what_this_version_needs_is_left_alone(home: Home) -> None:
    with OpsDatabase(home) as database:
        await database.write(note(1))
    with sqlite3.connect(home.ops_database) as opened:
        opened.execute("PRAGMA user_version = 999")
        opened.execute("PRAGMA application_id = 998")
    with (
        OpsDatabase(home, is_keeper=True) as database,
        pytest.raises(OperatorError, match="newer version"),
    ):
        await database.write(note(2))
    assert not list(home.ops.glob("*.damaged-*"))


def _write_forever(home: Home, begin: int, said: multiprocessing.SimpleQueue[int]) -> None:
    async def run() -> None:
        with OpsDatabase(home) as database:
            for number in range(begin, begin + 100_000):
                await database.write(note(number))
                said.put(number)

    asyncio.run(run())


async def test_acknowledged_records_survive_kill_9_of_several_writers(home: Home) -> None:
    start = multiprocessing.get_context("spawn")
    queues = [start.SimpleQueue() for _ in range(3)]
    writers = [
        start.Process(target=_write_forever, args=(home, 1_000_000 * number, said))
        for number, said in enumerate(queues)
    ]
    for writer in writers:
        writer.start()
    acknowledged: set[str] = set()

    def drain() -> bool:
        for said in queues:
            while not said.empty():
                acknowledged.add(str(said.get()))
        begun = {int(number) // 1_000_000 for number in acknowledged}
        return len(begun) == len(writers) and len(acknowledged) > 60

    try:
        await eventually(drain)
    finally:
        for writer in writers:
            writer.kill()
            writer.join()
    drain()
    with OpsDatabase(home, is_keeper=True) as keeper:
        assert acknowledged <= await noted(keeper)
    assert not list(home.ops.glob("*.damaged-*"))


def test_migrations_are_numbered_one_by_one() -> None:
    """A file remembers how many it has seen: of two with one number, it might miss the first by name."""
    folder = resources.files("chitlaq.ops.database").joinpath("migrations")
    numbers = sorted(int(one.name[:4]) for one in folder.iterdir())
    assert numbers == list(range(1, len(numbers) + 1))
