"""Disaster recovery: the database's disk is lost, rows were deleted, a restore is interrupted.

Attacks the promises that a synchronous archive loses no acknowledged write, that any point in time can be
restored, and that a killed step can be repeated.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import yoyo

from chitlaq.backups.catalog import records
from chitlaq.backups.context import BackupContext
from chitlaq.backups.postgres import dump
from chitlaq.core.installation.secret_values import SecretUrl
from tests.backups.backed_up_stack import (
    Talkers,
    Writers,
    author,
    backups_of,
    context_of,
    newest,
    posts_in,
    run,
    said_in,
    servers_in,
    start_backed_up_stack,
    up,
)
from tests.conftest import Stack, eventually, short_form, stop_stack
from tests.services.websocket.chat.talking import conversation

MIGRATIONS = Path(__file__).parents[3] / "src" / "chitlaq" / "migrations"


@pytest.fixture(scope="module")
async def synchronous() -> AsyncIterator[Stack]:
    stack = start_backed_up_stack(CHITLAQ_BACKUPS_ARCHIVE="synchronous")
    try:
        yield stack
    finally:
        stop_stack(stack)


@pytest.fixture(scope="module")
async def backed_up_stack() -> AsyncIterator[Stack]:
    stack = start_backed_up_stack()
    try:
        async with author(stack) as ada:
            for number in range(10):
                await ada.write(f"post {number}")
        await asyncio.to_thread(run, stack, "run", "full", "dump")
        yield stack
    finally:
        stop_stack(stack)


def lose_the_disk(stack: Stack) -> None:
    """Delete the data directory under a running server, and kill the server."""
    data = stack.home / "postgres"
    pid = int((data / "postmaster.pid").read_text().split()[0])
    while data.exists():
        # It writes new files meanwhile.
        shutil.rmtree(data, ignore_errors=True)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


async def test_acknowledged_writes_survive_loss_of_the_disk(synchronous: Stack) -> None:
    stack = synchronous
    async with author(stack) as ada, author(stack, "barbara") as barbara:
        begun = (await conversation(ada, barbara))["id"]
        async with Writers(ada) as writers, Talkers(stack, barbara, begun) as talkers:
            await eventually(lambda: len(writers.acknowledged) > 50 and len(talkers.said) > 20)
            await asyncio.to_thread(run, stack, "run", "full")
            before, said_before = len(writers.acknowledged), len(talkers.said)
            await eventually(
                lambda: (
                    len(writers.acknowledged) > before + 200
                    and len(talkers.said) > said_before + 100
                )
            )
            await asyncio.to_thread(lose_the_disk, stack)
            acknowledged, said = list(writers.acknowledged), dict(talkers.said)
    stack.command("down")
    # No empty database takes the place of the lost one.
    answer = stack.command("up", "--detach")
    assert answer.returncode == os.EX_CONFIG
    assert "chitlaq backup restore" in answer.stdout + answer.stderr
    assert not (stack.home / "postgres" / "PG_VERSION").exists()

    answer_ = await asyncio.to_thread(run, stack, "restore", "--yes")
    assert "Restored from full_" in answer_
    await asyncio.to_thread(up, stack)
    assert set(acknowledged) <= await posts_in(stack)
    assert said.items() <= (await said_in(stack, begun)).items()
    # The archive continues without a gap: the next backup is taken and drilled on the new timeline.
    await asyncio.to_thread(run, stack, "run", "full")
    await asyncio.to_thread(run, stack, "drill", newest(stack, "full").id)


async def test_synchronous_archive_that_is_down_delays_writes_and_loses_nothing(
    synchronous: Stack,
) -> None:
    """A write is not acknowledged before the archive has it: without a receiver it waits."""
    stack = synchronous
    pid = stack.ps()["wal-archive"]["pid"]
    family = [pid, *children(pid)]
    for one in family:
        os.kill(one, signal.SIGSTOP)
    try:
        writing = asyncio.create_task(
            stack.sql("SELECT pg_logical_emit_message(true, 'test', 'x')")
        )
        _, waiting = await asyncio.wait([writing], timeout=1)
        assert waiting
    finally:
        for one in family:
            os.kill(one, signal.SIGCONT)
    await asyncio.wait_for(writing, 20)


async def test_archive_has_wal_that_the_server_lost(synchronous: Stack) -> None:
    """The server is killed and its last segment is zeroed on disk; the archive has all of it."""
    stack = synchronous
    async with author(stack, "linus") as linus:
        await asyncio.to_thread(run, stack, "run", "full")
        acknowledged = {(await linus.write(f"post {number}"))["id"] for number in range(20)}
    (row,) = await stack.sql("SELECT pg_walfile_name(pg_current_wal_lsn()) AS name")
    data = stack.home / "postgres"
    os.kill(int((data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    stack.command("down")
    (data / "postmaster.pid").unlink(missing_ok=True)
    path = data / "pg_wal" / row["name"]
    with path.open("r+b") as file:
        # Its first page is as it was.
        file.seek(8192)
        file.write(bytes(path.stat().st_size - 8192))
    shutil.rmtree(data / "base")
    said = await asyncio.to_thread(run, stack, "restore", "--yes")
    assert "which was used" in said
    await asyncio.to_thread(up, stack)
    assert acknowledged <= await posts_in(stack)


def children(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


async def test_disk_loss_with_an_asynchronous_archive(backed_up_stack: Stack) -> None:
    """All but the last seconds survive; here everything, since WAL is received at once."""
    stack = backed_up_stack
    async with author(stack, "linus") as linus, Writers(linus) as writers:
        await eventually(lambda: len(writers.acknowledged) > 100)
        at = time.monotonic()
        acknowledged_before = len(writers.acknowledged)
        await eventually(lambda: time.monotonic() - at > 1)
        await asyncio.to_thread(lose_the_disk, stack)
        acknowledged = list(writers.acknowledged)
    await asyncio.to_thread(run, stack, "restore", "--yes")
    await asyncio.to_thread(up, stack)
    there = await posts_in(stack)
    assert set(acknowledged[:acknowledged_before]) <= there
    # At most a second of writes may be in flight.
    assert len(set(acknowledged) - there) <= len(acknowledged) - acknowledged_before


async def test_rows_deleted_by_mistake_come_back_and_later_ones_do_not(
    backed_up_stack: Stack,
) -> None:
    stack = backed_up_stack
    await asyncio.to_thread(run, stack, "run", "full")
    async with author(stack, "grace") as grace:
        kept = (await grace.write("from before the mistake"))["id"]
        (row,) = await stack.sql("SELECT clock_timestamp() AS now")
        moment = row["now"].astimezone(UTC)
        await stack.sql("DELETE FROM feed.posts")
        later = (await grace.write("from after the mistake"))["id"]
    assert await posts_in(stack) == {later}
    said = await asyncio.to_thread(run, stack, "restore", "--to-time", moment.isoformat(), "--yes")
    assert "kept" in said or "is in" in said
    await asyncio.to_thread(up, stack)
    there = await posts_in(stack)
    assert kept in there
    assert later not in there
    assert len(there) > 10
    # The previous data is kept until it is discarded.
    aside = list(stack.home.glob("postgres.before-*"))
    assert len(aside) == 1
    assert "Nothing was deleted" in await asyncio.to_thread(run, stack, "discard")
    assert aside[0].exists()
    await asyncio.to_thread(run, stack, "discard", "--yes")
    assert not aside[0].exists()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("yesterday", "Write '2026-11-24 02:15:00'"),
        ("2020-01-01", "Write '2026-11-24 02:15:00'"),
        ("2020-02-30 14:03", "Write '2026-11-24 02:15:00'"),
        ("2020-01-01 14:03 CET", "Write '2026-11-24 02:15:00'"),
        ("2020-01-01 14:03", "There is no usable base backup from before that time"),
        ("2999-01-01 00:00Z", "is in the future"),
    ],
)
def test_unrestorable_time_is_refused_before_anything_is_done(
    backed_up_stack: Stack, text: str, complaint: str
) -> None:
    answer = backed_up_stack.command("backup", "restore", "--to-time", text, "--yes")
    assert answer.returncode == 1
    assert complaint in answer.stderr
    assert backed_up_stack.is_healthy()


def test_restore_asks_and_does_nothing_without_a_yes(backed_up_stack: Stack) -> None:
    answer = backed_up_stack.command("backup", "restore", input="n\n")
    assert answer.returncode == 1
    assert "which is kept as" in answer.stdout
    assert backed_up_stack.is_healthy()


async def killed_when(stack: Stack, condition: Callable[[], object], *words: str) -> None:
    """Start ``chitlaq backup WORDS`` and kill it and its children as soon as a condition holds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "chitlaq", "backup", *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=stack.environment,
    )  # fmt: skip
    try:
        while not condition():
            assert process.poll() is None, "it ended before it could be killed"
            await asyncio.sleep(0.001)
    finally:
        family = [process.pid, *children(process.pid)]
        for pid in family:
            os.kill(pid, signal.SIGKILL)
        process.wait()


STEPS: dict[str, tuple[Callable[[BackupContext], object], tuple[str, ...]]] = {
    "dump": (lambda context: list(context.folder.glob("*.sql.*.draft")), ("run", "dump")),
    "base backup": (
        lambda context: len(list(context.folder.glob("physical/chitlaq/base/*/data/base"))) > fulls(context),
        ("run", "full"),
    ),
    "scratch server": (lambda context: servers_in(context.home.backup), ("drill",)),
}  # fmt: skip


def fulls(context: BackupContext) -> int:
    return len(records.read(context.folder).of("full", "incremental"))


@pytest.mark.parametrize("step", short_form(STEPS, "dump", "scratch server"))
async def test_killed_backup_or_drill_leaves_nothing_and_can_be_repeated(
    backed_up_stack: Stack, step: str
) -> None:
    condition, words = STEPS[step]
    context = context_of(backed_up_stack)
    before = [record.id for record in backups_of(backed_up_stack).good]
    await killed_when(backed_up_stack, lambda: condition(context), *words)
    assert [record.id for record in backups_of(backed_up_stack).good] == before
    await asyncio.to_thread(run, backed_up_stack, *words)
    assert not list(context.folder.glob("*.draft"))
    assert not list((context.home.backup / "scratch").glob("*"))
    assert servers_in(context.home.backup) == []
    assert fulls(context) == len(list(context.folder.glob("physical/chitlaq/base/*")))
    assert backed_up_stack.is_healthy()


async def test_backup_of_the_previous_schema_is_restored_and_migrated_forwards(
    backed_up_stack: Stack,
) -> None:
    stack = backed_up_stack
    names = sorted(path.stem for path in MIGRATIONS.glob("*.sql") if path.stem[0].isdigit())
    await stack.sql("CREATE DATABASE old OWNER chitlaq TEMPLATE template0")
    url = stack.dsn("chitlaq", "old")
    backend = yoyo.get_backend(url.replace("postgresql://", "postgresql+psycopg://", 1))
    try:
        every = yoyo.read_migrations(str(MIGRATIONS))
        backend.apply_migrations(every.filter(lambda one: one.id != names[-1]))
    finally:
        backend.connection.close()
    context = context_of(stack)
    old = BackupContext(
        context.home, msgspec.structs.replace(context.settings, database_url=SecretUrl(url))
    )
    record = await asyncio.to_thread(dump.take, old)
    assert record.migration == names[-2]
    await asyncio.to_thread(run, stack, "drill", record.id)
    await asyncio.to_thread(run, stack, "restore", record.id, "--yes")
    await asyncio.to_thread(up, stack)
    (row,) = await stack.sql("SELECT max(migration_id) AS last FROM public._yoyo_migration")
    assert row["last"] == names[-1]
    assert stack.is_healthy()
    # The previous server's archive was put aside; a new one begins.
    assert not backups_of(stack).of("full")
    await asyncio.to_thread(run, stack, "run", "full")
    await asyncio.to_thread(run, stack, "drill", newest(stack, "full").id)
    assert newest(stack, "full").created_at > datetime.now(UTC).replace(year=2020)
