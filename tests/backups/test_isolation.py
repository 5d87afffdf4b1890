"""Drills and restores do not touch the live server, whatever its WAL contains, and neither lose nor wait.

One installation whose administrator, after the base backup, made a tablespace, raised the settings that a
standby needs, and owns tables that are not ours.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from chitlaq.backups import waiting
from chitlaq.backups.catalog import records
from chitlaq.backups.context import BackupContext
from chitlaq.backups.errors import InconclusiveError
from chitlaq.backups.postgres import base_backup, dump, fingerprint, tablespaces
from chitlaq.backups.proof import drill, verify
from chitlaq.backups.restore import plan
from chitlaq.backups.wal import receiver
from chitlaq.core.data import postgres
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import landlock
from chitlaq.core.installation.secrets import BACKUP
from chitlaq.stack.install import preflight, users
from chitlaq.stack.servers import barman
from tests.backups.backed_up_stack import (
    context_of,
    newest,
    run,
    start_backed_up_stack,
    up,
)
from tests.conftest import Stack, eventually, stop_stack

# What must not be smaller on a server that replays than on the one that wrote the WAL.
RAISED = {
    "max_connections": 150,
    "max_worker_processes": 17,
    "max_wal_senders": 19,
    "max_prepared_transactions": 5,
    "max_locks_per_transaction": 99,
}
ROWS = 3000
SEEN = """
BEGIN
    IF session_user = 'postgres' THEN
        INSERT INTO public.logins VALUES (now());
    END IF;
END
"""


@pytest.fixture(scope="module")
async def backed_up_stack() -> AsyncIterator[Stack]:
    stack = start_backed_up_stack()
    try:
        await asyncio.to_thread(run, stack, "run", "full")
        data = stack.home / "postgres"
        settings = data / "local.conf"
        settings.write_text("".join(f"{name} = {value}\n" for name, value in RAISED.items()))
        shutil.chown(settings, data.owner(), data.group())
        assert stack.command("restart", "postgres").returncode == 0
        await eventually(lambda: stack.sql("SELECT 1"))
        elsewhere(stack).mkdir()
        if user := users.service_user():
            os.chown(elsewhere(stack), user.pw_uid, user.pw_gid)
        with psycopg.connect(stack.dsn("postgres"), autocommit=True) as administrator:
            for statement in (
                f"CREATE TABLESPACE elsewhere LOCATION '{elsewhere(stack)}'",
                "CREATE TABLE public.moved (n int, text text) TABLESPACE elsewhere",
                "ALTER TABLE public.moved OWNER TO chitlaq",
                f"INSERT INTO public.moved SELECT n, repeat('x', 500) FROM generate_series(1, {ROWS}) n",
                # Tables of other owners: the superuser, and a role that is not ours.
                "CREATE TABLE public.private AS SELECT 1 AS n",
                "ALTER TABLE public.private ENABLE ROW LEVEL SECURITY",
                "CREATE ROLE registrar",
                "CREATE SCHEMA registry AUTHORIZATION registrar",
                "CREATE TABLE registry.students AS SELECT 1 AS n",
                "ALTER TABLE registry.students OWNER TO registrar",
                # Settings of roles outrank those of the configuration: in a copy, this would add rows.
                "CREATE TABLE public.logins (at timestamptz)",
                f"CREATE FUNCTION public.seen() RETURNS event_trigger LANGUAGE plpgsql AS $${SEEN}$$",
                "CREATE EVENT TRIGGER seen ON login EXECUTE FUNCTION public.seen()",
                "ALTER EVENT TRIGGER seen ENABLE ALWAYS",
                "ALTER ROLE postgres IN DATABASE chitlaq SET event_triggers = on",
                # A name is no record.
                "SELECT pg_create_restore_point('x, desc: PARAMETER_CHANGE max_connections=999999')",
                "CHECKPOINT",
                # It stays prepared in the copy, which needs max_prepared_transactions for it.
                "BEGIN; INSERT INTO public.moved VALUES (0, 'p'); PREPARE TRANSACTION 'p'",
            ):
                administrator.execute(statement)
        yield stack
    finally:
        stop_stack(stack)


@pytest.fixture(scope="module")
def context(backed_up_stack: Stack) -> BackupContext:
    return context_of(backed_up_stack)


def elsewhere(stack: Stack) -> Path:
    return stack.home / 'elsewhere, desc: CREATE 1 ""'


@contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """The files of a folder are the same afterwards: inode, owner, mode, both times and content."""

    def state() -> dict[Path, object]:
        found: dict[Path, object] = {}
        for path in (folder, *sorted(folder.rglob("*"))):
            is_ = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            found[path] = (
                is_.st_ino, is_.st_uid, is_.st_mode, is_.st_mtime_ns, is_.st_ctime_ns, content
            )  # fmt: skip
        return found

    before = state()
    assert any(path.is_file() and path.stat().st_size > 100_000 for path in before)
    yield
    assert state() == before


async def test_drill_replays_a_tablespace_without_touching_the_live_one(
    backed_up_stack: Stack, context: BackupContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that are written and flushed while the copy replays would be overwritten by it.

    As on an old kernel, which has no Landlock to prevent it.
    """
    monkeypatch.setattr(landlock, "version", lambda: 0)
    with untouched(elsewhere(backed_up_stack)):
        found = await asyncio.to_thread(drill.drill, context, newest(backed_up_stack, "full"))
    assert found.is_good, found.detail
    assert "rows identical" in found.detail
    (row,) = await backed_up_stack.sql("SELECT count(*) AS n FROM public.moved")
    assert row["n"] == ROWS


def test_base_backup_that_would_be_incomplete_is_refused_with_the_remedy(
    backed_up_stack: Stack, context: BackupContext
) -> None:
    before = newest(backed_up_stack, "full", "incremental")
    for kind in ("full", "incremental"):
        answer = backed_up_stack.command("backup", "run", kind)
        assert answer.returncode == 1
        assert "The tablespace elsewhere is outside the data directory" in answer.stdout
        assert "`DROP TABLESPACE elsewhere`" in answer.stdout
    assert newest(backed_up_stack, "full", "incremental") == before
    found = preflight.examine(context.home, context.settings, is_running=True)
    # So does `chitlaq doctor`.
    assert ("tablespaces", "warning") in [(one.name, one.state) for one in found]
    status = backed_up_stack.command("backup", "status").stdout
    assert "no base backup can be taken while there is the tablespace elsewhere" in " ".join(
        status.split()
    )


def test_tables_of_other_owners_and_tablespaces_are_dumped_and_restored(
    backed_up_stack: Stack,
) -> None:
    run(backed_up_stack, "run", "dump")
    record = newest(backed_up_stack, "dump")
    assert record.roles == ("registrar",)
    assert record.tables["public.private"].rows == 1
    assert record.tables["registry.students"].rows == 1
    assert record.tables["public.moved"].rows == ROWS
    run(backed_up_stack, "drill", record.id)


def test_incomplete_base_backup_is_bad_and_passed_over_with_the_reason(
    backed_up_stack: Stack, context: BackupContext, tmp_path: Path
) -> None:
    """As an earlier version took it."""
    record = newest(backed_up_stack, "full")
    link = context.folder / record.path / "pg_tblspc" / "16385"
    link.symlink_to(tmp_path)
    try:
        with pytest.raises(OperatorError, match="had a tablespace"):
            tablespaces.require_none(context.folder / record.path)
        assert not verify.verify(context, record).is_good
        # A dump lacks later changes: it does not silently stand in for the base backup.
        with pytest.raises(
            OperatorError, match=r"No base backup is usable\..*had a tablespace"
        ) as no:
            plan.choose(context)
        assert f"`chitlaq backup restore {newest(backed_up_stack, 'dump').id}`" in str(no.value)
    finally:
        link.unlink()
        records.write(context.folder, record)
    assert plan.choose(context).backup == record.id


def test_locked_table_ends_the_wait_and_names_the_holder(
    backed_up_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint, "LOCK_SECONDS", 1)
    url = backed_up_stack.dsn("postgres")
    with psycopg.connect(url) as holding, psycopg.connect(url) as reading:
        holding.execute("LOCK TABLE public.private IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(InconclusiveError, match=r"public\.private has been locked") as locked:
            fingerprint.take(reading)
        assert f"process: {holding.info.backend_pid}" in str(locked.value)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "STALL_SECONDS", 1)


@pytest.mark.usefixtures("impatient")
def test_query_of_a_server_that_is_stopped_is_given_up(context: BackupContext) -> None:
    """As by SIGSTOP, a frozen container, or a disk that does not answer."""
    url = postgres.dsn(context.settings, context.home, BACKUP, "postgres")
    with (
        pytest.raises(InconclusiveError, match="PostgreSQL has done nothing for 1 s"),
        waiting.connect(url) as connection,
        stopped(psutil.Process(connection.info.backend_pid)),
    ):
        connection.execute("SELECT 1")
    assert connection.closed


@pytest.mark.usefixtures("impatient")
def test_query_that_takes_long_is_waited_for(context: BackupContext) -> None:
    """Without a byte of an answer: what counts is that the server works."""
    url = postgres.dsn(context.settings, context.home, BACKUP, "postgres")
    with waiting.connect(url) as connection:
        begun = time.monotonic()
        connection.execute(
            "DO $$ BEGIN WHILE clock_timestamp() < now() + interval '3 s' LOOP END LOOP; END $$"
        )
    assert time.monotonic() > begun + 2


@pytest.mark.usefixtures("impatient")
def test_dump_that_stands_still_is_given_up(
    context: BackupContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, dumping = fingerprint.take, []

    def stop_pg_dump(connection: psycopg.Connection) -> object:
        (process,) = (one for one in psutil.Process().children() if one.name() == "pg_dump")
        process.suspend()
        dumping.append(process)
        return take(connection)

    monkeypatch.setattr(fingerprint, "take", stop_pg_dump)
    with pytest.raises(InconclusiveError, match="pg_dump has done nothing for 1 s"):
        dump.take(context)
    assert not dumping[0].is_running()


@contextmanager
def stopped(process: psutil.Process) -> Iterator[None]:
    process.suspend()
    try:
        yield
    finally:
        process.resume()


async def test_restore_brings_a_tablespace_back_inside_the_data_directory(
    backed_up_stack: Stack, context: BackupContext
) -> None:
    """Also after a cancelled restore: all rows are back, and the previous server's files are as they were.

    The next base backup succeeds once the tablespace is dropped.
    """
    stack = backed_up_stack
    stack.command("down")
    with untouched(elsewhere(stack)):
        cancel_restore(stack)
        await asyncio.to_thread(run, stack, "restore", "--yes")
    # Without the settings raised since the base backup, a server with prepared transactions would not start.
    stack.up()
    for name, value in RAISED.items():
        (row,) = await stack.sql(f"SELECT current_setting('{name}') AS now")
        assert row["now"] == str(value)
    await stack.sql("COMMIT PREPARED 'p'")
    (row,) = await stack.sql("SELECT count(*) AS n FROM public.moved")
    assert row["n"] == ROWS + 1
    data = context.home.postgres_data
    assert [path for path in data.rglob("*") if path.is_symlink()] == []
    await stack.sql("ALTER TABLE ALL IN TABLESPACE elsewhere SET TABLESPACE pg_default")
    await stack.sql("DROP TABLESPACE elsewhere")
    # In the first seconds, nothing receives the WAL yet.
    with nothing_receives_for(stack, 3):
        await asyncio.to_thread(run, stack, "run", "full")
    await asyncio.to_thread(up, stack)


def cancel_restore(stack: Stack) -> None:
    """Terminate a restore as soon as its server recovers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "chitlaq", "backup", "restore", "--yes"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=stack.environment,
    )  # fmt: skip
    while not (stack.home / "postgres.restoring" / "postmaster.pid").exists():
        assert process.poll() is None, "it ended before it could be cancelled"
        time.sleep(0.001)
    process.terminate()
    assert process.wait(60) != 0


@contextmanager
def nothing_receives_for(stack: Stack, seconds: float) -> Iterator[None]:
    """Kill the WAL receiver as often as it is started."""
    is_over = threading.Event()

    def kill() -> None:
        while not is_over.wait(0.05):
            if (pid := stack.ps()["wal-archive"]["pid"]) is None:
                continue
            with suppress(psutil.Error):
                receiver = psutil.Process(pid)
                for process in (*receiver.children(recursive=True), receiver):
                    process.kill()

    killing = threading.Thread(target=kill)
    ending = threading.Timer(seconds, is_over.set)
    killing.start()
    ending.start()
    try:
        yield
    finally:
        is_over.set()
        killing.join()


def test_wait_for_a_segment_ends_when_nothing_is_received(
    backed_up_stack: Stack, context: BackupContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "RECEIVE_SECONDS", 1)
    with pytest.raises(OperatorError, match="0000000100000F0000000001 did not arrive, and nothing"):
        receiver.wait_for_segment(context, "0000000100000F0000000001")
    assert base_backup.data_folders(context)


def test_base_backup_that_stands_still_is_given_up_while_wal_is_received(
    backed_up_stack: Stack, context: BackupContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(barman, "STALL_SECONDS", 2)
    is_over = threading.Event()

    def disturb() -> None:
        """Stop the copying, and go on writing."""
        with psycopg.connect(backed_up_stack.dsn("postgres"), autocommit=True) as writing:
            for turn in itertools.takewhile(lambda _: not is_over.wait(0.02), itertools.count()):
                for process in psutil.Process().children(recursive=True):
                    with suppress(psutil.Error):
                        if process.name() == "pg_basebackup":
                            process.suspend()
                if turn % 50 == 0:
                    writing.execute("SELECT pg_create_restore_point('busy'), pg_switch_wal()")

    receiver.wait_for_connection(context)
    disturbing = threading.Thread(target=disturb)
    disturbing.start()
    try:
        with pytest.raises(OperatorError, match="barman backup has made no progress for 2 s"):
            barman.run(
                context.home, context.settings, "backup", "--immediate-checkpoint", barman.SERVER
            )
    finally:
        is_over.set()
        disturbing.join()
