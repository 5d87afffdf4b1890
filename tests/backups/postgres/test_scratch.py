"""Nothing in a backup makes its scratch server act on the outside, and no wait for it is without end."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from chitlaq.backups import waiting
from chitlaq.backups.catalog import records
from chitlaq.backups.context import BackupContext
from chitlaq.backups.errors import InconclusiveError
from chitlaq.backups.postgres import scratch
from chitlaq.backups.postgres.scratch import ScratchFolder, ScratchServer
from chitlaq.backups.proof import drill
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import landlock
from chitlaq.core.installation import secrets, settings_loading
from chitlaq.core.installation.home import Home

needs_landlock = pytest.mark.skipif(not landlock.version(), reason="the kernel has no Landlock")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> BackupContext:
    home = Home(tmp_path_factory.mktemp("home", numbered=False))
    secrets.ensure(home)
    return BackupContext(home, settings_loading.load(home, {"CHITLAQ_HOME": str(home.root)}))


@pytest.fixture(scope="module")
def made(context: BackupContext) -> Iterator[ScratchFolder]:
    """A data directory; the tests only add settings to it and remove them again."""
    with scratch.scratch_folder(context) as folder:
        scratch.init_empty(folder)
        yield folder


@pytest.fixture
def without_landlock(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on an old kernel: nothing but the configuration isolates."""
    monkeypatch.setattr(landlock, "version", lambda: 0)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that everybody may write to."""
    tmp_path.chmod(0o777)
    return tmp_path


@contextmanager
def started(
    made: ScratchFolder, *, is_scratch: bool = True, database: str = "postgres"
) -> Iterator[ScratchServer]:
    with scratch.running_server(
        made.context, made.data, made.sockets, database=database, is_scratch=is_scratch
    ) as server:
        yield server


# What an administrator may have written for the live server: it must not act in a copy.
HAZARDS = (
    "include = '{outside}/more.conf'",
    "include_dir = '{outside}'",
    "archive_mode = on\narchive_command = 'touch {outside}/archived; false'\narchive_timeout = 1",
    "restore_command = 'touch {outside}/restored; false'",
    "archive_cleanup_command = 'touch {outside}/cleaned'",
    "recovery_end_command = 'touch {outside}/ended'",
    "logging_collector = on\nlog_directory = '{outside}'",
    "external_pid_file = '{outside}/pid'",
    "unix_socket_directories = '{outside}'",
    "data_directory = '{outside}'",
    "hba_file = '{outside}/hba'",
    "ident_file = '{outside}/ident'",
    "shared_preload_libraries = 'pg_cron'",
    "session_preload_libraries = 'no_such_library'",
    "local_preload_libraries = 'no_such_library'",
    "archive_library = 'basic_archive'\nbasic_archive.archive_directory = '{outside}'",
    "primary_conninfo = 'host={outside}'\nprimary_slot_name = 'chitlaq_backup'",
    "sync_replication_slots = on",
    "synchronous_standby_names = '*'",
    "listen_addresses = '*'",
    "default_tablespace = 'elsewhere'\ntemp_tablespaces = 'elsewhere'",
    "ssl = on\nssl_cert_file = '{outside}/cert'",
    "temp_file_limit = nonsense",
)


@pytest.mark.usefixtures("without_landlock")
@pytest.mark.parametrize("is_scratch", [True, False])
def test_no_setting_of_a_backup_acts_in_its_scratch_server(
    made: ScratchFolder, outside: Path, is_scratch: bool
) -> None:
    """In each file that PostgreSQL could read them from; the server that stays finds them as they were."""
    text = "\n".join(HAZARDS).format(outside=outside) + "\n"
    files = [made.data / name for name in ("postgresql.conf", "postgresql.auto.conf", "local.conf")]
    before = {path: path.read_bytes() for path in files if path.exists()}
    try:
        for path in files:
            path.write_text(text)
        with started(made, is_scratch=is_scratch) as server, server.connect() as connection:
            written = connection.execute(
                "SELECT DISTINCT sourcefile FROM pg_settings WHERE sourcefile IS NOT NULL"
            ).fetchall()
            connection.execute("SELECT pg_switch_wal()")
            connection.execute("CHECKPOINT")
        kept = [path.read_text() for path in files]
    finally:
        for path in files:
            path.unlink()
        for path, content in before.items():
            path.write_bytes(content)
    assert written == [(str(made.sockets / "postgresql.conf"),)]
    assert kept == [text] * len(files)
    assert list(outside.iterdir()) == []


@pytest.mark.usefixtures("without_landlock")
def test_no_worker_of_a_backup_runs_in_its_scratch_server(made: ScratchFolder) -> None:
    with started(made) as server, server.connect() as connection:
        workers = {
            name for (name,) in connection.execute("SELECT backend_type FROM pg_stat_activity")
        }
        assert not {one for one in workers if "replication" in one or "archiver" in one}
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


@pytest.mark.usefixtures("without_landlock")
def test_no_trigger_runs_in_a_copy_that_is_discarded(made: ScratchFolder) -> None:
    """It might write to a foreign table, which is the live server's."""
    with started(made) as server, server.connect() as connection:
        connection.execute(
            """
            CREATE TABLE pg_temp.watched (n int);
            CREATE FUNCTION pg_temp.fail() RETURNS trigger LANGUAGE plpgsql
                AS $$ BEGIN RAISE 'the trigger ran'; END $$;
            CREATE TRIGGER fail BEFORE INSERT ON pg_temp.watched FOR EACH ROW
                EXECUTE FUNCTION pg_temp.fail();
            INSERT INTO pg_temp.watched VALUES (1)
            """
        )


@needs_landlock
def test_kernel_keeps_a_scratch_server_from_writing_outside(
    made: ScratchFolder, outside: Path
) -> None:
    """Whatever the copy contains: here a superuser tries."""
    (outside / "file").write_text("live")
    (outside / "file").chmod(0o666)
    attempts = (
        f"COPY (SELECT 1) TO '{outside}/new'",
        f"COPY (SELECT 1) TO '{outside}/file'",
        f"COPY (SELECT 1) TO PROGRAM 'echo x > {outside}/new'",
        f"COPY (SELECT 1) TO PROGRAM 'rm {outside}/file'",
        f"COPY (SELECT 1) TO PROGRAM 'mv {outside}/file {outside}/moved'",
        f"CREATE TABLESPACE outside LOCATION '{outside}'",
    )
    with started(made) as server, psycopg.connect(server.url(), autocommit=True) as connection:
        for statement in attempts:
            with pytest.raises(psycopg.Error):
                connection.execute(statement)
    assert {path.name: path.read_text() for path in outside.iterdir()} == {"file": "live"}


@needs_landlock
def test_kernel_keeps_a_scratch_server_from_the_network(made: ScratchFolder) -> None:
    """A foreign server or a subscription may name the live server."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        port = listening.getsockname()[1]
        with started(made) as server, psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS dblink")
            with pytest.raises(psycopg.Error, match="Permission denied"):
                connection.execute(
                    f"SELECT dblink_connect('host=127.0.0.1 port={port} user=postgres connect_timeout=5')"
                )
        with pytest.raises(BlockingIOError):
            listening.accept()


@pytest.mark.parametrize("place", ["pg_tblspc/16385", "base/1/link", "pg_wal/archive_status/link"])
def test_data_that_leads_outside_is_not_started(
    made: ScratchFolder, outside: Path, place: str
) -> None:
    link = made.data / place
    link.symlink_to(outside)
    try:
        with pytest.raises(OperatorError, match=f"{place} leads to {outside}"), started(made):
            raise AssertionError("it was started")
    finally:
        link.unlink()


def test_server_that_makes_no_progress_is_given_up(
    made: ScratchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen at its start, as by a disk that does not answer."""
    monkeypatch.setattr(scratch, "STALL_SECONDS", 1)
    monkeypatch.setattr(scratch, "_is_ready", freeze)
    with pytest.raises(OperatorError, match="has made no progress for 1 s"), started(made):
        raise AssertionError("it is ready")


def freeze(data: Path) -> bool:
    running = scratch.server_on(data)
    if running is not None:
        os.kill(running.pid, signal.SIGSTOP)
    return False


def load_dump(made: ScratchFolder, server: ScratchServer) -> None:
    dump = records.Record("chitlaq_x", "dump", datetime.now(UTC), 1, "chitlaq_x.sql", 1, "")
    drill.load_dump(made.context, server, dump, made.data)


def query_feed_service(made: ScratchFolder, server: ScratchServer) -> None:
    drill._query_feed_service(made.context, made, server)


@pytest.mark.parametrize(
    ("migrate", "frozen"), [(load_dump, "server"), (query_feed_service, "backend")]
)
def test_migrations_do_not_wait_for_a_frozen_server(
    made: ScratchFolder,
    monkeypatch: pytest.MonkeyPatch,
    migrate: Callable[[ScratchFolder, ScratchServer], None],
    frozen: str,
) -> None:
    """The libraries that run them wait in a way of their own."""
    real = psycopg.Connection.execute

    def freezing(self: psycopg.Connection, *arguments: Any, **options: Any) -> Any:
        if not isinstance(self, waiting.Connection):
            frozen_pid = server.process.pid if frozen == "server" else self.info.backend_pid
            os.kill(frozen_pid, signal.SIGSTOP)
        return real(self, *arguments, **options)

    database = "copy" if migrate is load_dump else "postgres"
    with started(made, database=database) as server:
        monkeypatch.setattr(scratch, "STALL_SECONDS", 1)
        monkeypatch.setattr(psycopg.Connection, "execute", freezing)
        with pytest.raises(InconclusiveError, match="has done nothing for 1 s"):
            migrate(made, server)
    (made.data / "postmaster.pid").unlink()


def test_server_that_makes_progress_is_waited_for(
    made: ScratchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than a server without progress would be: its log grows."""
    monkeypatch.setattr(scratch, "STALL_SECONDS", 0.5)
    asked: list[Path] = []

    def is_ready(data: Path) -> bool:
        asked.append(data)
        with (made.sockets / "postgres.log").open("a") as log:
            log.write(f"redo in progress, current LSN: 0/{len(asked):X}\n")
        return len(asked) > 20

    seen: list[int] = []
    monkeypatch.setattr(scratch, "_is_ready", is_ready)
    with scratch.running_server(made.context, made.data, made.sockets, tell=seen.append):
        pass
    assert seen == sorted(seen)
    assert len(seen) == 20


def test_no_server_is_left(made: ScratchFolder) -> None:
    with started(made):
        running = scratch.server_on(made.data)
        assert running is not None
    assert not psutil.pid_exists(running.pid)
