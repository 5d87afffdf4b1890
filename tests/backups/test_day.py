"""A day of backups of a live installation: taken, verified, drilled, copied, and shown."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator, Iterator
from datetime import date
from pathlib import Path

import httpx
import msgspec
import psutil
import psycopg
import pytest

from chitlaq.backups import daily
from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import Record
from chitlaq.backups.context import BackupContext
from chitlaq.backups.offsite import encryption
from chitlaq.backups.postgres import dump, scratch
from chitlaq.backups.proof import drill
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import SecretUrl
from tests.backups.backed_up_stack import (
    author,
    backups_of,
    context_of,
    newest,
    posts_in,
    run,
    said_in,
    servers_in,
    start_backed_up_stack,
)
from tests.conftest import PASSWORD, PORTS, Stack, eventually, free_ports, stop_stack
from tests.services.websocket.chat.talking import conversation, say

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The file with a private key, and the public key."""
    private, public = encryption.generate_keys()
    path = tmp_path_factory.mktemp("stick") / "chitlaq-backup.key"
    path.write_text(f"# public key: {public}\n{private}\n")
    return path, public


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup folder that is not the default."""
    return tmp_path_factory.mktemp("disk") / "backups"


@pytest.fixture(scope="module")
async def backed_up_stack(
    key: tuple[Path, str], elsewhere: Path, disk: Path
) -> AsyncIterator[Stack]:
    """An installation with some posts and a settings file, after its first daily job."""
    file = f"""\
[backups]
folder = "{disk}"
recipients = ["{key[1]}"]
copy_to = "{elsewhere}"
"""
    stack = start_backed_up_stack(file, CHITLAQ_BACKUPS_FOLDER=str(disk))
    del stack.environment["CHITLAQ_BACKUPS_FOLDER"]
    del stack.environment["CHITLAQ_BACKUPS_ARCHIVE"]
    try:
        async with author(stack) as ada:
            for number in range(20):
                await ada.write(f"post {number}, of the first day")
            async with author(stack, "emmy") as emmy:
                begun = await conversation(ada, emmy)
                for number in range(20):
                    await say(ada, begun["id"], f"message {number}")
            await asyncio.to_thread(run, stack, "run", "--daily")
            yield stack
    finally:
        stop_stack(stack)


@pytest.fixture
def restored(record_of_dump: Record, backed_up_stack: Stack) -> Iterator[Record]:
    yield record_of_dump
    records.write(context_of(backed_up_stack).folder, record_of_dump)


@pytest.fixture
def record_of_dump(backed_up_stack: Stack) -> Record:
    return newest(backed_up_stack, "dump")


def test_first_day_leaves_one_of_each_kind_verified_drilled_and_copied(
    backed_up_stack: Stack, elsewhere: Path
) -> None:
    found = backups_of(backed_up_stack)
    assert sorted(one.kind for one in found.good) == ["configuration", "dump", "full"]
    for record in found.good:
        assert record.verified is not None
        assert record.verified.is_good, record.verified.detail
        assert record.copied is not None
        assert (elsewhere / "backups" / f"{record.id}.age").stat().st_size == record.copied.bytes
        if record.kind != "configuration":
            assert record.drilled is not None
            assert record.drilled.is_good, record.drilled.detail
            assert record.drilled.seconds > 0
            assert record.drilled.lost_seconds is not None
            # What a base backup would lose is what its WAL lags; a dump loses all since it was taken.
            at_most = record.drilled.seconds
            if not record.is_physical:
                at_most = (record.drilled.at - record.created_at).total_seconds()
            assert 0 <= record.drilled.lost_seconds <= at_most
    assert any((elsewhere / "log").glob("*/*.age"))


def test_list_has_the_documented_columns(backed_up_stack: Stack) -> None:
    for row in backed_up_stack.json("backup", "list"):
        assert {"id", "kind", "created_at", "bytes", "verified", "drilled", "path"} <= row.keys()
        assert Path(row["path"]).exists()


def test_dump_is_readable_by_postgresqls_own_tools(backed_up_stack: Stack) -> None:
    context = context_of(backed_up_stack)
    link = context.folder / "latest_backup.sql"
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    text = subprocess.run(
        [context.program("pg_restore"), "--list", str(link)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "TABLE DATA feed posts" in text
    assert newest(backed_up_stack, "dump").tables["feed.posts"].rows == 20


def test_configuration_backup_is_a_tar_archive_without_plain_secrets(
    backed_up_stack: Stack,
) -> None:
    link = context_of(backed_up_stack).folder / "config_latest.tar.gz"
    with tarfile.open(link) as archive:
        names = archive.getnames()
        texts = [archive.extractfile(name).read() for name in names]  # type: ignore[union-attr]
    assert "secrets.tar.age" in names
    assert not any(name.startswith("secrets/") for name in names)
    for path in (backed_up_stack.home / "secrets").iterdir():
        secret = path.read_bytes().strip()
        assert not any(secret in text for text in texts), path.name


def test_checks_and_metrics_report_the_backups(backed_up_stack: Stack) -> None:
    run_ = backed_up_stack.json("backup", "status")
    verdicts = {one["check"]: one["verdict"] for one in run_["results"]}
    assert verdicts == dict.fromkeys(
        ("backup.database", "backup.physical", "backup.archive", "backup.configuration",
         "backup.copies"),
        "OK",
    ), run_  # fmt: skip
    text = httpx.get(f"http://127.0.0.1:{backed_up_stack.ports['ops']}/metrics").text
    for line in (
        'backup_last_success_timestamp_seconds{kind="dump"}',
        'backup_last_drilled_timestamp_seconds{kind="physical"}',
        'backup_bad{kind="configuration"} 0.0',
        "backup_log_receiving 1.0",
        "backup_uncopied 0.0",
    ):
        assert line in text


def test_incremental_backup_builds_on_the_last_and_is_drilled_too(backed_up_stack: Stack) -> None:
    full = newest(backed_up_stack, "full")
    run(backed_up_stack, "run", "incremental")
    incremental = newest(backed_up_stack, "incremental")
    assert incremental.parent == full.id
    assert incremental.bytes < full.bytes
    run(backed_up_stack, "drill", incremental.id)
    drilled = newest(backed_up_stack, "incremental").drilled
    assert drilled is not None
    assert drilled.is_good


def test_scripts_of_the_runbook_work_as_it_calls_them(backed_up_stack: Stack) -> None:
    file = context_of(backed_up_stack).folder / "latest_backup.sql"
    for script in ("verify-backup.sh", "test-restore.sh"):
        done = subprocess.run(
            [ROOT / "backup-scripts" / script, file],
            capture_output=True, text=True, env=backed_up_stack.environment, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"ok  {'verify' if 'verify' in script else 'drill'} chitlaq_" in done.stdout
        assert ("chitlaq_test held" in done.stdout) == (script == "test-restore.sh")
        assert ("20 posts, 20 messages" in done.stdout) == (script == "test-restore.sh")
        assert ("2 accounts kept as users" in done.stdout) == (script == "test-restore.sh")
        usage = subprocess.run([ROOT / "backup-scripts" / script], capture_output=True, check=False)
        assert usage.returncode == 2
    # The runbook's next line, as it is written there.
    line = ("psql", "-U", "postgres", "-d", "chitlaq_test", "-At")
    counted = backed_up_stack.command(
        "exec", "postgres", *line, "-c", "SELECT count(*) FROM users;"
    )
    assert counted.stdout.strip() == "2", counted.stderr


def test_named_file_is_the_one_that_is_verified(backed_up_stack: Stack, tmp_path: Path) -> None:
    """A file is judged by its own content, not by a backup of the same name."""
    folder = context_of(backed_up_stack).folder
    record = newest(backed_up_stack, "dump")
    garbage, same = tmp_path / record.path, tmp_path / "renamed.sql"
    garbage.write_text("garbage")
    shutil.copy(folder / record.path, same)
    same.chmod(0o644)
    said = {
        garbage: "matches no recorded backup",
        tmp_path / "gone" / record.path: "There is no file",
    }
    for word in ("verify", "drill"):
        for path, complaint in said.items():
            answer = backed_up_stack.command("backup", word, str(path))
            assert answer.returncode == 1, answer.stdout
            assert complaint in answer.stderr
    done = run(backed_up_stack, "verify", str(same))
    assert f"{same} is identical to {folder / record.path}" in done
    # With a relative path, as an operator types it.
    asked = subprocess.run(
        [ROOT / "backup-scripts" / "verify-backup.sh", "latest_backup.sql"],
        capture_output=True, text=True, env=backed_up_stack.environment, check=False, cwd=folder,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert f"ok  verify {record.id}" in asked.stdout


def test_drill_leaves_nothing_and_does_not_touch_the_live_server(backed_up_stack: Stack) -> None:
    context = context_of(backed_up_stack)
    assert servers_in(context.home.backup) == []
    assert list((context.home.backup / "scratch").iterdir()) == []
    postmaster = (context.home.postgres_data / "postmaster.pid").read_text().split()[0]
    run(backed_up_stack, "drill", newest(backed_up_stack, "dump").id)
    assert (context.home.postgres_data / "postmaster.pid").read_text().split()[0] == postmaster


def test_drill_finds_changed_content(backed_up_stack: Stack, restored: Record) -> None:
    """An intact dump whose record says something else, of several tables in different ways."""
    was = restored.tables
    changed = (
        ("feed.posts", {"rows": was["feed.posts"].rows + 1}),
        ("auth.accounts", {"newest": "2030-01-01"}),
        ("websocket.messages", {"content": "1"}),
    )
    said = {name: msgspec.structs.replace(was[name], **fields) for name, fields in changed}
    other = msgspec.structs.replace(restored, tables={**was, **said})
    records.write(context_of(backed_up_stack).folder, other)
    answer = backed_up_stack.command("backup", "drill", restored.id)
    assert answer.returncode == 3
    for complaint in (
        "feed.posts has 20 rows instead of 21",
        "instead of 2030-01-01",
        "websocket.messages has other content in its 20 rows",
    ):
        assert complaint in answer.stdout
    assert backed_up_stack.command("backup", "status").returncode == 3


def test_drill_in_the_live_data_directory_is_refused(backed_up_stack: Stack) -> None:
    context = context_of(backed_up_stack)
    with (
        scratch.scratch_folder(context) as made,
        pytest.raises(OperatorError, match="live"),
        scratch.running_server(context, context.home.postgres_data, made.sockets),
    ):
        raise AssertionError("it was started")


def test_only_one_backup_job_runs_at_a_time(backed_up_stack: Stack) -> None:
    context = context_of(backed_up_stack)
    with (context.home.backup / "lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write("drill, process 1")
        lock.flush()
        answer = backed_up_stack.command("backup", "run", "dump")
    assert answer.returncode == 1
    assert "Another backup job is running (drill, process 1)" in answer.stderr
    assert len(backups_of(backed_up_stack).of("dump")) == 1


def test_dump_without_disk_space_leaves_nothing(backed_up_stack: Stack) -> None:
    """Writing fails midway: files may not exceed 4 kB."""
    context = context_of(backed_up_stack)
    before = {path.name for path in context.folder.iterdir()}
    for kind in ("dump", "full"):
        done = subprocess.run(
            ["bash", "-c", f"ulimit -f 4; exec {ROOT}/.venv/bin/chitlaq backup run {kind}"],
            capture_output=True, text=True, env=backed_up_stack.environment, check=False,
        )  # fmt: skip
        assert done.returncode != 0
        assert "failed" in done.stdout + done.stderr
    assert {path.name for path in context.folder.iterdir()} == before
    assert len(backups_of(backed_up_stack).of("dump", "full")) == 2
    # The next run is unaffected.
    run(backed_up_stack, "run", "dump")
    assert len(backups_of(backed_up_stack).of("dump")) == 2
    assert backed_up_stack.is_healthy()


def test_prune_shows_first_and_never_deletes_the_newest_proved(backed_up_stack: Stack) -> None:
    run(backed_up_stack, "run", "dump")
    first, *_ = backups_of(backed_up_stack).of("dump")
    said = run(backed_up_stack, "prune")
    assert "Nothing has expired" in said
    proved = [one for one in backups_of(backed_up_stack).of("dump") if one.is_proved][-1]
    assert "stays" in run(backed_up_stack, "prune", proved.id, "--yes")
    assert backups_of(backed_up_stack).get(proved.id) is not None
    said = run(backed_up_stack, "prune", first.id)
    assert "Nothing was deleted" in said
    assert backups_of(backed_up_stack).get(first.id) is not None
    run(backed_up_stack, "prune", first.id, "--yes")
    assert backups_of(backed_up_stack).get(first.id) is None
    assert not (context_of(backed_up_stack).folder / first.path).exists()
    assert not (context_of(backed_up_stack).folder / "records" / f"{first.id}.json").exists()


def test_actions_are_recorded_with_operator_and_outcome(
    backed_up_stack: Stack,
) -> None:
    run(backed_up_stack, "run", "configuration", "--as", "ada")
    done = [one for one in backed_up_stack.json("ops", "actions") if one["action"] == "backup"]
    assert any(
        one["operator"] == "ada" and "configuration" in str(one) and one["succeeded"]
        for one in done
    ), done[:2]


async def test_recent_wal_is_archived_and_copied(backed_up_stack: Stack, elsewhere: Path) -> None:
    before = set((elsewhere / "log").glob("*/*.age"))
    await backed_up_stack.sql("SELECT pg_logical_emit_message(true, 'test', repeat('x', 1000))")
    await asyncio.to_thread(run, backed_up_stack, "archive", "--send")
    assert set((elsewhere / "log").glob("*/*.age")) > before


async def test_idle_wal_is_not_waited_for(backed_up_stack: Stack) -> None:
    await backed_up_stack.sql("SELECT pg_switch_wal()")
    await asyncio.to_thread(run, backed_up_stack, "archive", "--send")


async def test_external_database_is_dumped_and_drilled(backed_up_stack: Stack) -> None:
    """A dump of an external database (`DATABASE_URL`) is compared with that database's content."""
    context = context_of(backed_up_stack)
    settings = msgspec.structs.replace(
        context.settings, database_url=SecretUrl(backed_up_stack.dsn("chitlaq"))
    )
    there = BackupContext(context.home, settings)
    assert daily.kinds_due(there, date(2026, 11, 24)) == ["dump", "configuration"]
    record = await asyncio.to_thread(dump.take, there)
    assert record.tables["feed.posts"].rows >= 20
    drilled = await asyncio.to_thread(drill.drill, there, record)
    assert drilled.is_good, drilled.detail


@pytest.fixture(autouse=True, scope="module")
def cleared(backed_up_stack: Stack) -> Iterator[None]:
    yield
    shutil.rmtree(str(backed_up_stack.home) + "-new", ignore_errors=True)


async def test_receiver_that_stands_still_is_unable_and_far_behind_a_warning(
    backed_up_stack: Stack,
) -> None:
    receiver = psutil.Process(backed_up_stack.ps()["wal-archive"]["pid"])
    stopped = [receiver, *receiver.children(recursive=True)]
    for process in stopped:
        process.suspend()
    try:
        # Little is written, and PostgreSQL still calls it a receiver.
        await backed_up_stack.sql("SELECT pg_logical_emit_message(true, 'test', 'one')")
        await eventually(lambda: archive_is(backed_up_stack, "unable"), 60)
        reason = backed_up_stack.ps()["wal-archive"]["reason"]
        assert re.fullmatch("has received nothing for .* s, while PostgreSQL writes", reason)
        said = await asyncio.to_thread(backed_up_stack.command, "backup", "status")
        assert "WARNING  backup.archive" in said.stdout
        assert "the receiver has received nothing for" in said.stdout
        await backed_up_stack.sql(
            "SELECT count(pg_logical_emit_message(false, 'test', repeat('x', 1000000)))"
            " FROM generate_series(1, 80)"
        )
        said = await asyncio.to_thread(backed_up_stack.command, "backup", "status")
        assert re.search(r"WARNING  backup.archive .*\n?.*behind", said.stdout)
    finally:
        for process in stopped:
            process.resume()
    # Until something is written again: it is not what arrived late that shows it.
    await eventually(lambda: archive_is(backed_up_stack, "healthy"), 60)


def archive_is(stack: Stack, state: str) -> bool:
    return bool(stack.ps()["wal-archive"]["state"] == state)


def test_replication_connection_of_barman_needs_no_rare_codec(backed_up_stack: Stack) -> None:
    """It has no database and so no encoding, and Python would load the codec of SQL_ASCII for it."""
    text = (backed_up_stack.home / "backup" / "barman.conf").read_text()
    (words,) = re.findall(r"^streaming_conninfo = (.+)$", text, re.MULTILINE)
    home = Home(backed_up_stack.home)
    place = f"host={home.postgres_socket} passfile={home.backup / 'pgpass'}"
    with psycopg.connect(f"{words} {place} replication=true", autocommit=True) as connection:
        assert connection.info.parameter_status("client_encoding") == "UTF8"


async def test_killed_receiver_restarts_and_misses_nothing(
    backed_up_stack: Stack,
) -> None:
    pid = backed_up_stack.ps()["wal-archive"]["pid"]
    os.kill(pid, 9)
    await backed_up_stack.sql("SELECT pg_logical_emit_message(true, 'test', repeat('x', 1000))")
    await eventually(lambda: backed_up_stack.ps()["wal-archive"]["state"] == "healthy", 30)
    await asyncio.to_thread(
        run, backed_up_stack, "drill", newest(backed_up_stack, "full", "incremental").id
    )


async def test_new_machine_recovers_everything_after_a_disaster(
    backed_up_stack: Stack, elsewhere: Path, disk: Path, key: tuple[Path, str], tmp_path: Path
) -> None:
    """Three commands on a machine that has only the program, the off-site copies and the key."""
    async with author(backed_up_stack, "grace") as grace, author(backed_up_stack, "alan") as alan:
        post = await grace.write("written after the last backup")
        begun = await conversation(grace, alan)
        for text in ("said after the last backup", "answered"):
            await say(grace, begun["id"], text)
        await asyncio.to_thread(backed_up_stack.command, "ops", "check", "websocket.round_trip")
    await asyncio.to_thread(run, backed_up_stack, "run", "dump", "configuration")
    await asyncio.to_thread(run, backed_up_stack, "archive", "--send")
    expected = await posts_in(backed_up_stack)
    assert post["id"] in expected
    talk = await said_in(backed_up_stack, begun["id"])
    assert len(talk) == 2
    backed_up_stack.command("down")
    shutil.rmtree(backed_up_stack.home)
    shutil.rmtree(disk)
    copied = {path: path.read_bytes() for path in elsewhere.rglob("*") if path.is_file()}
    new = Stack(
        Path(str(backed_up_stack.home) + "-new"),
        {**backed_up_stack.environment, "CHITLAQ_HOME": str(backed_up_stack.home) + "-new"},
        dict(zip(PORTS, free_ports(len(PORTS)), strict=True)),
    )
    new.environment |= {f"CHITLAQ_PORTS_{n.upper()}": str(port) for n, port in new.ports.items()}
    # Members reach it at the same address as before.
    new.environment["CHITLAQ_PUBLIC_URL"] = backed_up_stack.issuer
    try:
        wrong = tmp_path / "wrong.key"
        wrong.write_text(encryption.generate_keys()[0])
        answer = new.command("backup", "fetch", str(elsewhere), "--identity", str(wrong))
        assert answer.returncode == 1
        assert "key" in answer.stderr
        assert not backups_of(new).good

        run(new, "fetch", str(elsewhere), "--identity", str(key[0]))
        # The settings were fetched first and name the backup folder, which is private.
        assert context_of(new).folder == disk
        files = [path for path in disk.glob("physical/*/*/**/*") if path.is_file()]
        for path in (disk, *disk.glob("*.sql"), *disk.glob("*.gz"), *files):
            assert path.stat().st_mode & 0o077 == 0, path
        newest_dump = newest(new, "dump")
        assert (disk / "latest_backup.sql").resolve() == disk / newest_dump.path
        assert (disk / "config_latest.tar.gz").exists()
        brought = backups_of(new).good
        said = run(new, "restore", "--yes")
        assert "Restored from" in said
        new.up()
        assert await posts_in(new) == expected
        assert await said_in(new, begun["id"]) == talk
        # Neither are the synthetic members lost, nor made twice.
        assert new.command("ops", "check", "websocket.round_trip").returncode == 0
        assert len(await new.sql("SELECT FROM auth.synthetic_accounts")) == 2
        async with httpx.AsyncClient(base_url=new.gateway, timeout=20) as client:
            body = {"login": "grace", "password": PASSWORD}
            answer_ = await client.post("/api/auth/login", json=body)
            # The signing keys were restored: an earlier token is still valid.
            assert answer_.status_code == 200
            status = await client.get("/api/feed/home", headers=grace.headers)
            assert status.status_code == 200

        # It might be a rehearsal: the off-site copies are unchanged until take-over.
        answer = new.command("backup", "run", "full")
        assert answer.returncode == 1
        assert "the copies of another machine" in answer.stdout
        verdicts = {
            one["check"]: (one["verdict"], one["summary"])
            for one in new.json("backup", "status")["results"]
        }
        assert verdicts["backup.copies"][0] == "CRITICAL"
        assert "another machine" in verdicts["backup.copies"][1]
        assert {one: one.read_bytes() for one in elsewhere.rglob("*") if one.is_file()} == copied
        # The new base backup is Barman's first: it deletes nothing that was fetched.
        run(new, "verify", *(one.id for one in brought))

        run(new, "take-over", "--yes")
        run(new, "run", "incremental")
        assert newest(new, "full", "incremental").kind == "incremental"
        run(new, "drill", newest(new, "incremental").id)
    finally:
        stop_stack(new)
