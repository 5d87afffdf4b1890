"""Restores of damaged backups, to several points in time in turn, and killed at each step.

Attacks the promises that a restore never passes off a part as the whole, that any point in time can be
restored whatever was restored before, that a failure leaves the current data unchanged, and that a killed
step is repeated or finished.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import ProofResult, Record
from chitlaq.backups.context import BackupContext
from chitlaq.backups.errors import InconclusiveError
from chitlaq.backups.postgres import base_backup
from chitlaq.backups.proof import drill
from chitlaq.backups.restore import pending, plan, restore
from chitlaq.backups.wal import archive
from chitlaq.cli.backup.session import INCONCLUSIVE
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.stack.install import systemd
from chitlaq.stack.servers import barman, postgres
from tests.backups.backed_up_stack import (
    backups_of,
    context_of,
    newest,
    posts_in,
    run,
    servers_in,
    start_backed_up_stack,
    up,
)
from tests.backups.killed_command import killed_at, leftovers, own_temporary_folder
from tests.conftest import Stack, eventually, short_form, stop_stack

ROOT = Path(__file__).parents[3]
# Not covered by pg_verifybackup; a restore rewrites it.
WRITTEN_ANEW = {"postgresql.auto.conf"}


@pytest.fixture(scope="module")
async def backed_up_stack() -> AsyncIterator[Stack]:
    """An installation with a full and an incremental backup, some archived WAL, and a dump."""
    stack = start_backed_up_stack()
    own_temporary_folder(stack)
    try:
        await stack.sql("CREATE TABLE public.notes (id serial PRIMARY KEY, text text)")
        await stack.sql("ALTER TABLE public.notes OWNER TO chitlaq")
        await asyncio.to_thread(run, stack, "run", "full", "dump", "configuration")
        for number in range(4):
            await note(stack, f"segment {number}")
            await stack.sql("SELECT pg_switch_wal()")
        await asyncio.to_thread(run, stack, "archive")
        await asyncio.to_thread(run, stack, "run", "incremental")
        yield stack
    finally:
        stop_stack(stack)


@pytest.fixture(scope="module")
def context(backed_up_stack: Stack) -> BackupContext:
    return context_of(backed_up_stack)


async def note(stack: Stack, text: str) -> datetime:
    """Write a note; returns a point in time at which it is the last one."""
    await stack.sql("INSERT INTO public.notes (text) VALUES ($1)", text)
    (row,) = await stack.sql("SELECT clock_timestamp() AS now")
    now: datetime = row["now"]
    return now.astimezone(UTC)


async def notes(stack: Stack) -> list[str]:
    return [row["text"] for row in await stack.sql("SELECT text FROM public.notes ORDER BY id")]


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << (place % 8)
    path.write_bytes(bytes(content))


# Damage.


def test_damage_is_named_before_anything_is_stopped(
    backed_up_stack: Stack, context: BackupContext, tmp_path: Path
) -> None:
    """Flip a bit at random positions of the files that a restore reads: none is accepted."""
    chosen = random.Random(7)
    full, incremental, dump = (
        newest(backed_up_stack, kind) for kind in ("full", "incremental", "dump")
    )
    base = [
        path
        for record in (full, incremental)
        for path in sorted((context.folder / record.path).rglob("*"))
        if path.is_file() and path.stat().st_size and path.name not in WRITTEN_ANEW
    ]
    assert full.begin_wal is not None
    folder = barman.folder(context.home, context.settings)
    segments = [path for path in archive.archived_files(folder) if path.name >= full.begin_wal]
    assert len(segments) >= 2
    # On a machine without the server's own WAL, which would stand in for the archive's.
    other = BackupContext(Home(tmp_path), context.settings)
    for files, name in (
        (base, incremental.id),
        (segments, full.id),
        ([context.folder / dump.path], dump.id),
    ):
        for _ in range(8):
            path = chosen.choice(files)
            before = path.read_bytes()
            flip(path, chosen.randrange(len(before)))
            try:
                with pytest.raises(OperatorError) as error:
                    restore.preflight(other, plan.choose(other, name))
            finally:
                path.write_bytes(before)
            assert path.name in str(error.value), path
    restore.preflight(other, plan.choose(other))
    path = context.folder / full.path / "global" / "pg_control"
    before = path.read_bytes()
    flip(path, 100)
    answer = backed_up_stack.command("backup", "restore", "--yes")
    path.write_bytes(before)
    assert answer.returncode == 1
    assert "global/pg_control" in answer.stderr
    assert backed_up_stack.is_healthy()


async def test_changes_after_damage_are_never_dropped_silently(
    backed_up_stack: Stack, context: BackupContext
) -> None:
    """In WAL that is not in the ledger yet: the end of the received WAL, with the data directory lost."""
    await note(backed_up_stack, "before the damage")
    (row,) = await backed_up_stack.sql("SELECT pg_current_wal_insert_lsn() - '0/0' AS at")
    await note(backed_up_stack, "in the damage")
    expected = await notes(backed_up_stack)
    streaming = barman.streaming(context.home, context.settings)
    (partial,) = streaming.glob("*.partial")
    await backed_up_stack.sql("SELECT pg_logical_emit_message(true, 'test', repeat('x', 20000))")

    async def is_received() -> bool:
        (row,) = await backed_up_stack.sql(
            "SELECT write_lsn >= pg_current_wal_flush_lsn() AS is_received FROM pg_stat_replication"
        )
        return bool(row["is_received"])

    await eventually(is_received)
    backed_up_stack.command("down")
    live, away = context.home.postgres_data, context.home.root / "away"
    live.rename(away)
    before = partial.read_bytes()
    flip(partial, int(row["at"]) % archive.SEGMENT_BYTES + 40)

    answer = backed_up_stack.command("backup", "restore", "--yes")
    assert answer.returncode == 1
    assert partial.name.removesuffix(".partial") in answer.stderr
    assert "is damaged there" in answer.stderr
    assert not live.exists()
    assert not context.home.pending_restore.exists()
    # Nor does it claim that nothing changed before that time.
    answer = backed_up_stack.command(
        "backup", "restore", "--yes", "--to-time", datetime.now(UTC).isoformat(" ")
    )
    assert answer.returncode == 1
    assert "is damaged there" in answer.stderr

    # Unless the operator accepts that.
    said = await asyncio.to_thread(run, backed_up_stack, "restore", "--up-to-damage", "--yes")
    assert "Changes after that are lost" in said
    await asyncio.to_thread(up, backed_up_stack)
    assert await notes(backed_up_stack) == expected[:-1]

    # The server's own WAL reaches further, and is used if it survives.
    backed_up_stack.command("down")
    shutil.rmtree(live)
    away.rename(live)
    (left,) = streaming.with_name("left-behind").glob(f"{partial.name}")
    assert left.read_bytes() != before
    said = await asyncio.to_thread(run, backed_up_stack, "restore", "--timeline", "1", "--yes")
    await asyncio.to_thread(up, backed_up_stack)
    assert await notes(backed_up_stack) == expected
    await asyncio.to_thread(run, backed_up_stack, "run", "full", "dump")


# Points in time.


async def test_any_moment_can_be_restored_whatever_was_restored_before(
    backed_up_stack: Stack, context: BackupContext
) -> None:
    earlier = await note(backed_up_stack, "earlier")
    wanted = await note(backed_up_stack, "wanted")
    await asyncio.to_thread(run, backed_up_stack, "run", "full")
    abandoned = newest(backed_up_stack, "full")
    latest = await note(backed_up_stack, "a mistake")
    before = await notes(backed_up_stack)

    # Too early. The newest backup is later than this, so an older one is used.
    await asyncio.to_thread(
        run, backed_up_stack, "restore", "--to-time", earlier.isoformat(" "), "--yes"
    )
    await asyncio.to_thread(up, backed_up_stack)
    assert await notes(backed_up_stack) == before[:-2]
    after = await note(backed_up_stack, "after the first restore")

    # The backup on the abandoned timeline is as good as before.
    await asyncio.to_thread(run, backed_up_stack, "verify", abandoned.id)
    answer = backed_up_stack.command("backup", "drill", abandoned.id)
    assert answer.returncode == INCONCLUSIVE
    assert "left its timeline behind" in answer.stdout
    verified = newest(backed_up_stack, "full")
    assert not verified.is_bad
    # The next incremental backup is not based on it.
    await asyncio.to_thread(run, backed_up_stack, "run", "incremental")
    assert newest(backed_up_stack, "full", "incremental").kind == "full"

    # Then the right time, on the timeline that the first restore left behind.
    said = await asyncio.to_thread(
        run, backed_up_stack, "restore", "--to-time", wanted.isoformat(" "), "--yes"
    )
    assert "along timeline" in said
    await asyncio.to_thread(up, backed_up_stack)
    assert await notes(backed_up_stack) == before[:-1]
    # From the backup taken just before, and the end of the abandoned timeline.
    await asyncio.to_thread(
        run, backed_up_stack, "restore", "--to-time", latest.isoformat(" "), "--yes"
    )
    await asyncio.to_thread(up, backed_up_stack)
    assert await notes(backed_up_stack) == before
    # And the changes between the two restores.
    await asyncio.to_thread(
        run, backed_up_stack, "restore", "--to-time", after.isoformat(" "), "--yes"
    )
    await asyncio.to_thread(up, backed_up_stack)
    assert (await notes(backed_up_stack))[-1] == "after the first restore"
    await asyncio.to_thread(run, backed_up_stack, "run", "full", "dump")
    await asyncio.to_thread(run, backed_up_stack, "discard", "--yes")


async def test_time_after_the_last_change_restores_the_last_change(backed_up_stack: Stack) -> None:
    await note(backed_up_stack, "the last change")
    expected = await notes(backed_up_stack)
    backed_up_stack.command("down")
    moment = datetime.now(UTC).isoformat(" ")
    said = await asyncio.to_thread(run, backed_up_stack, "restore", "--to-time", moment, "--yes")
    assert "no later change before the requested time" in said
    await asyncio.to_thread(up, backed_up_stack)
    assert await notes(backed_up_stack) == expected


def test_dump_restores_its_own_moment_only(backed_up_stack: Stack) -> None:
    name = newest(backed_up_stack, "dump").id
    now = f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"
    answer = backed_up_stack.command("backup", "restore", name, "--to-time", now, "--yes")
    assert answer.returncode == 1
    assert "is a dump, from" in answer.stderr
    answer = backed_up_stack.command("backup", "restore", "--timeline", "77", "--yes")
    assert "no timeline 77" in answer.stderr
    assert backed_up_stack.is_healthy()


# Records and results.


def test_lost_records_cost_no_backup(backed_up_stack: Stack, context: BackupContext) -> None:
    """A complete backup gets a new, unproved record; an incomplete one is deleted."""
    before = {one.id: one for one in backups_of(backed_up_stack).of("full", "incremental")}
    known = context.folder / "records"
    known.rename(context.folder / "records.away")
    half = barman.folder(context.home, context.settings) / "base" / "20200101T000000"
    (half / "data" / "base").mkdir(parents=True)
    try:
        base_backup.reconcile(context)
        after = {one.id: one for one in backups_of(backed_up_stack).of("full", "incremental")}
        assert not half.exists()
        assert after.keys() == before.keys()
        for name, record in after.items():
            assert (context.folder / record.path / base_backup.MANIFEST).exists()
            assert record.verified is None
            for field in ("kind", "parent", "begin_wal", "end_wal", "timeline", "sha256", "bytes"):
                assert getattr(record, field) == getattr(before[name], field), field
        restore.preflight(context, plan.choose(context))
    finally:
        shutil.rmtree(known)
        (context.folder / "records.away").rename(known)


def judged(record: Record, *, is_good: bool) -> Record:
    return msgspec.structs.replace(
        record, drilled=ProofResult(datetime.now(UTC), is_good, "posts differ", 1.0)
    )


def test_bad_backups_are_not_chosen_and_a_named_one_is_reported(
    backed_up_stack: Stack, context: BackupContext
) -> None:
    record = newest(backed_up_stack, "full", "incremental")
    records.write(context.folder, judged(record, is_good=False))
    try:
        assert plan.choose(context).backup != record.id
        shown = backed_up_stack.command("backup", "restore", record.id, input="n\n").stdout
        assert "KNOWN TO BE BAD" in shown
        assert "posts differ" in shown
        assert "drill at" not in shown
    finally:
        records.write(context.folder, record)


def test_backup_that_could_not_be_examined_is_not_bad(
    backed_up_stack: Stack, context: BackupContext
) -> None:
    physical_, dump = (
        newest(backed_up_stack, "full", "incremental"),
        newest(backed_up_stack, "dump"),
    )
    # The live database is down.
    (port,) = [backed_up_stack.ports["edge"]]
    ports = msgspec.structs.replace(context.settings.ports, postgres=port)
    away = BackupContext(
        Home(context.home.root),
        msgspec.structs.replace(context.settings, ports=ports),
        context.report_progress,
    )
    socket_ = context.home.postgres_socket
    socket_.rename(socket_.with_name("postgres.away"))
    try:
        with pytest.raises(InconclusiveError, match="is down"):
            drill.drill(away, physical_)
    finally:
        socket_.with_name("postgres.away").rename(socket_)
    # The disk is too small.
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 64; exec {sys.executable} -m chitlaq backup drill {dump.id}"],
        capture_output=True, text=True, env=backed_up_stack.environment, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == INCONCLUSIVE, done.stdout + done.stderr
    assert "INCONCLUSIVE" in done.stdout
    assert newest(backed_up_stack, "full", "incremental") == physical_
    assert newest(backed_up_stack, "dump") == dump


@pytest.mark.parametrize("left", ["physical/chitlaq/base/20261124T023000", "chitlaq_1.sql"])
def test_no_empty_database_is_created_if_backups_exist(
    context: BackupContext, tmp_path: Path, left: str
) -> None:
    settings = msgspec.structs.replace(
        context.settings,
        backups=msgspec.structs.replace(context.settings.backups, folder=str(tmp_path / "backups")),
    )
    postgres.refuse_without_data(Home(tmp_path), settings)
    (tmp_path / "backups" / left).mkdir(parents=True)
    with pytest.raises(OperatorError, match="chitlaq backup restore"):
        postgres.refuse_without_data(Home(tmp_path), settings)


# Obstacles.


def test_nothing_is_stopped_while_another_backup_job_runs(
    backed_up_stack: Stack, context: BackupContext
) -> None:
    from chitlaq.backups.context import exclusive_lock

    with exclusive_lock(context.home, "drill"):
        answer = backed_up_stack.command("backup", "restore", "--yes")
    assert answer.returncode == 1
    assert "Another backup job is running" in answer.stderr
    assert backed_up_stack.is_healthy()


def test_data_of_a_running_server_is_not_replaced(
    backed_up_stack: Stack, context: BackupContext
) -> None:
    with pytest.raises(OperatorError, match="still runs"):
        restore.execute(context, plan.choose(context))
    assert not context.home.pending_restore.exists()
    assert backed_up_stack.is_healthy()


def test_supervisor_counts_as_stopped_only_when_it_says_so(
    tmp_path: Path, context: BackupContext
) -> None:
    home = Home(tmp_path)
    home.run.mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(home.control_socket))
        listening.listen()

        def hang_up() -> None:
            listening.accept()[0].close()

        answering = threading.Thread(target=hang_up)
        answering.start()
        with pytest.raises((OperatorError, OSError)):
            restore.stop_stack(BackupContext(home, context.settings))
        answering.join()


# Kills.


async def test_failed_restore_says_how_to_start_the_previous_data(
    backed_up_stack: Stack, context: BackupContext
) -> None:
    """The disk is too small: files may not exceed 64 kB."""
    expected = await notes(backed_up_stack)
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 64; exec {sys.executable} -m chitlaq backup restore --yes"],
        capture_output=True, text=True, env=backed_up_stack.environment, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode != 0
    assert "`chitlaq up` starts it with the previous data" in done.stderr
    assert leftovers(backed_up_stack) == []
    await asyncio.to_thread(up, backed_up_stack)
    assert await notes(backed_up_stack) == expected


async def test_killed_restore_command_leaves_no_server(
    backed_up_stack: Stack, context: BackupContext
) -> None:
    """Killed while PostgreSQL recovers: the server exits too, and the next restore is unaffected."""
    expected = await notes(backed_up_stack)
    process = subprocess.Popen(
        [sys.executable, "-m", "chitlaq", "backup", "restore", "--yes"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=backed_up_stack.environment,
    )  # fmt: skip
    target = context.home.restoring_data
    while not (target / "postmaster.pid").exists():
        assert process.poll() is None, "it ended before it could be killed"
        await asyncio.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    await eventually(lambda: servers_in(target) == [])
    # The current data is unchanged, and not started by accident while a restore is pending.
    assert (context.home.postgres_data / "PG_VERSION").exists()
    refused = backed_up_stack.command("up", "--detach")
    # The unit for systemd knows it as what only a person ends, and does not try again.
    unit = systemd.unit(systemd.Installation(context.home.root, "daemon", False))
    assert f"RestartPreventExitStatus={refused.returncode}\n" in unit
    assert "--resume" in refused.stdout + refused.stderr
    # A plan that was not written completely is refused.
    pending = context.home.pending_restore.read_bytes()
    context.home.pending_restore.write_bytes(pending[: len(pending) // 2])
    answer = backed_up_stack.command("backup", "restore", "--resume", "--yes")
    assert answer.returncode == 1
    assert "start again" in answer.stderr
    context.home.pending_restore.write_bytes(pending)
    await asyncio.to_thread(run, backed_up_stack, "restore", "--resume", "--yes")
    assert not target.exists()
    assert leftovers(backed_up_stack) == []
    await asyncio.to_thread(up, backed_up_stack)
    assert await notes(backed_up_stack) == expected


SWAP = [
    # Before the first rename, between the two, and while the archive is extended.
    ("os.rename", "postgres.before-"),
    ("os.rename", "postgres.restoring"),
    ("os.rename", "arriving"),
    ("shutil.rmtree", "postgres/restored"),
]


async def test_restore_killed_during_the_swap_is_finished(
    backed_up_stack: Stack, context: BackupContext
) -> None:
    """And no other takes its place, not even one that was planned before."""
    expected = await notes(backed_up_stack)
    planned = plan.choose(context)
    resume: tuple[str, ...] = ()
    for call, part in SWAP:
        await asyncio.to_thread(killed_at, backed_up_stack, call, part, "restore", *resume, "--yes")
        resume = ("--resume",)
    interrupted = pending.load(context)
    assert interrupted is not None
    assert "--resume" in backed_up_stack.command("up", "--detach").stderr
    answer = backed_up_stack.command("backup", "restore", "--yes")
    assert answer.returncode == 1
    assert "--resume" in answer.stderr
    with pytest.raises(OperatorError, match="--resume"):
        restore.preflight(context, planned)
    said = await asyncio.to_thread(run, backed_up_stack, "restore", "--resume", "--yes")
    assert ": 0 rows" not in said
    assert not (backed_up_stack.home / "postgres" / "restored").exists()
    assert (context.home.root / interrupted.aside).exists()
    await asyncio.to_thread(up, backed_up_stack)
    assert await notes(backed_up_stack) == expected
    await asyncio.to_thread(run, backed_up_stack, "run", "full")
    await asyncio.to_thread(run, backed_up_stack, "drill", newest(backed_up_stack, "full").id)


STEPS: list[tuple[str, str, str, tuple[str, ...]]] = [
    ("a base backup that adds to another, before its record", "os.rename", "records/incremental_",
     ("run", "incremental")),
    ("the archive, before the ledger has what came", "open", "ledger.jsonl", ("archive", "--send")),
    ("a configuration, before it has its name", "os.rename", "config_", ("run", "configuration")),
    ("discarding what was kept", "os.rmdir", "pg_wal", ("discard", "--yes")),
]  # fmt: skip


@pytest.mark.parametrize(
    "step", short_form(STEPS, *(one[0] for one in STEPS[::3]), name=lambda one: one[0])
)
async def test_killed_step_can_be_repeated(
    backed_up_stack: Stack, context: BackupContext, step: tuple[str, str, str, tuple[str, ...]]
) -> None:
    _, call, part, words = step
    await note(backed_up_stack, "to be archived")
    await backed_up_stack.sql("SELECT pg_switch_wal()")
    before = {one.id for one in backups_of(backed_up_stack).good}
    await asyncio.to_thread(killed_at, backed_up_stack, call, part, *words)
    assert {one.id for one in backups_of(backed_up_stack).good} == before
    await asyncio.to_thread(run, backed_up_stack, *words)
    assert not list(context.folder.glob("*.draft"))
    bases = {path.name for path in context.folder.glob("physical/chitlaq/base/*")}
    assert bases == {
        base_backup.barman_id(one) for one in backups_of(backed_up_stack).of("full", "incremental")
    }
    assert backed_up_stack.is_healthy()
    await asyncio.to_thread(run, backed_up_stack, "verify")


async def test_killed_prune_leaves_nothing_that_looks_complete(
    backed_up_stack: Stack, context: BackupContext
) -> None:
    found = backups_of(backed_up_stack)
    parents = {one.parent for one in found.good}
    first = next(one for one in found.of("full") if one.id not in parents)
    assert first != found.newest("full")
    await asyncio.to_thread(
        killed_at, backed_up_stack, "os.remove", f"records/{first.id}", "prune", first.id, "--yes"
    )
    answer = backed_up_stack.command("backup", "verify", first.id)
    assert answer.returncode == 3
    assert "is missing" in answer.stdout
    await asyncio.to_thread(run, backed_up_stack, "prune", first.id, "--yes")
    assert backups_of(backed_up_stack).get(first.id) is None
    await asyncio.to_thread(run, backed_up_stack, "verify")


async def test_killed_restore_of_a_dump_leaves_no_stale_records(
    backed_up_stack: Stack, context: BackupContext
) -> None:
    """Killed while it loads the dump, and at each step of putting the old archive aside."""
    dump = newest(backed_up_stack, "dump")
    expected = dump.tables["public.notes"].rows
    words = ("restore", dump.id, "--yes")
    process = subprocess.Popen(
        [sys.executable, "-m", "chitlaq", "backup", *words],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=backed_up_stack.environment,
    )  # fmt: skip
    while not list((context.home.backup / "scratch").glob("*/postgres/postmaster.pid")):
        assert process.poll() is None, "it ended before it could be killed"
        await asyncio.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    await asyncio.to_thread(
        killed_at, backed_up_stack, "os.rename", "chitlaq/records/", "restore", "--resume", "--yes"
    )
    await asyncio.to_thread(
        killed_at, backed_up_stack, "os.rename", "chitlaq.before-", "restore", "--resume", "--yes"
    )
    # The state after a kill at the very end.
    pending = context.home.pending_restore.read_bytes()
    said = await asyncio.to_thread(run, backed_up_stack, "restore", "--resume", "--yes")
    assert ": 0 rows" not in said
    context.home.pending_restore.write_bytes(pending)
    await asyncio.to_thread(run, backed_up_stack, "restore", "--resume", "--yes")
    assert not backups_of(backed_up_stack).of("full", "incremental")
    assert leftovers(backed_up_stack) == []
    await asyncio.to_thread(up, backed_up_stack)
    assert len(await notes(backed_up_stack)) == expected
    assert await posts_in(backed_up_stack) == set()
