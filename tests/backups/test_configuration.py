"""Configuration backups: no secret is in them unencrypted, however it is written, and none is lost."""

from __future__ import annotations

import io
import sqlite3
import tarfile
import tomllib
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chitlaq.backups import configuration
from chitlaq.backups.context import BackupContext
from chitlaq.backups.errors import InconclusiveError
from chitlaq.backups.offsite import encryption, object_store
from chitlaq.core import ids
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.ops.database.database import OpsDatabase, Statement, statement
from tests.backups.machines import machine

# Settings as an operator writes them, and the secrets among them.
SECRET_LINES = {
    'database_url = "postgresql://owner:HUNTER2secret@db/chitlaq"': "HUNTER2secret",
    'database_url = "postgresql://owner@db/chitlaq?password=HUNTER2secret"': "HUNTER2secret",
    'redis_url = "redis://:p%40ssw0rd@cache:6379/0"': "p%40ssw0rd",
    '[smtp]\npassword = "quo\\"te"': 'quo\\"te',
    '[smtp]\npassword = "\\u0068idden"': "idden",
    '[operations]\nnotify = ["slack://tokenA/tokenB"]': "tokenA",
    '[backups]\ns3_secret_access_key = "s3cr3t"\ns3_endpoint = "https://s3.example.edu"': "s3cr3t",
}


@pytest.fixture
def key() -> tuple[str, str]:
    return encryption.generate_keys()


def installed(root: Path, file: str, **settings: str) -> BackupContext:
    root.mkdir(parents=True, exist_ok=True)
    (root / "chitlaq.toml").write_text(file)
    return machine(root, **settings)


def archive_of(context: BackupContext) -> Path:
    return context.folder / configuration.take(context).path


def everything_in(path: Path) -> bytes:
    with tarfile.open(path) as archive:
        return b"".join(
            name.encode() + archive.extractfile(name).read()  # type: ignore[union-attr]
            for name in archive.getnames()
        )


@pytest.mark.parametrize("line", SECRET_LINES)
@pytest.mark.parametrize("has_key", [True, False], ids=["key", "no key"])
def test_secret_settings_are_in_no_plain_backup(
    tmp_path: Path, key: tuple[str, str], line: str, *, has_key: bool
) -> None:
    recipient = {"CHITLAQ_BACKUPS_RECIPIENTS": key[1]} if has_key else {}
    context = installed(tmp_path / "one", f'host = "0.0.0.0"\n{line}\n', **recipient)
    path = archive_of(context)
    assert SECRET_LINES[line].encode() not in everything_in(path)
    back = tmp_path / "two"
    back.mkdir()
    done = configuration.restore(path, back, key[0])
    if has_key:
        assert done == ["chitlaq.toml"]
        file = context.home.settings_file
        assert (back / "chitlaq.toml").read_bytes() == file.read_bytes()
    else:
        # Other settings are kept, and the redacted file is marked as such.
        assert done == []
        with tarfile.open(path) as archive:
            found = archive.extractfile(configuration.REDACTED)
            assert found is not None
            assert tomllib.loads(found.read().decode())["host"] == "0.0.0.0"


def test_settings_without_a_secret_are_backed_up_in_plain(tmp_path: Path) -> None:
    path = archive_of(installed(tmp_path / "one", 'redis_url = "redis://cache:6379/0"\n'))
    with tarfile.open(path) as archive:
        assert "chitlaq.toml" in archive.getnames()


def test_unreadable_settings_are_treated_as_secret(tmp_path: Path) -> None:
    context = installed(tmp_path / "one", "")
    context.home.settings_file.write_text('[smtp]\npassword = "HUNTER2\n')
    assert b"HUNTER2" not in everything_in(archive_of(context))


def test_secret_is_found_anywhere_in_a_large_file(tmp_path: Path, key: tuple[str, str]) -> None:
    context = installed(tmp_path / "one", "", CHITLAQ_BACKUPS_RECIPIENTS=key[1])
    context.home.secrets.mkdir()
    (context.home.secrets / "superuser").write_text("HUNTER2secret")
    nginx = context.home.root / "nginx"
    nginx.mkdir(exist_ok=True)
    # Across the boundary of two reads.
    for number, before in enumerate((0, (1 << 20) - 6, 3 << 20)):
        (nginx / f"{number}.conf").write_bytes(bytes(before) + b"HUNTER2secret" + bytes(100))
    (nginx / "other.conf").write_bytes(bytes(2 << 20))
    with tarfile.open(archive_of(context)) as archive:
        assert [name for name in archive.getnames() if "nginx" in name] == ["nginx/other.conf"]


@pytest.mark.parametrize(
    "name", ["../cron", "/etc/cron.d/x", "postgres/pg_hba.conf", "secrets/../../x"]
)
def test_archive_with_foreign_files_is_refused(
    tmp_path: Path, key: tuple[str, str], name: str
) -> None:
    """Anyone with the public key and write access could have put it there."""
    target = tmp_path / "config.tar.gz"
    inner, sealed = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w") as archive:
        configuration._add(archive, name, io.BytesIO(b"* * * * * root evil"))
    inner.seek(0)
    encryption.encrypt_stream(inner, sealed, [key[1]])
    with tarfile.open(target, "w:gz") as archive:
        digest = configuration._add(archive, configuration.SECRETS, sealed)
        manifest = f'{{"{configuration.SECRETS}": "{digest}"}}'.encode()
        configuration._add(archive, configuration.MANIFEST, io.BytesIO(manifest))
    home = tmp_path / "deep" / "home"
    home.mkdir(parents=True)
    with pytest.raises(OperatorError, match="is not ours"):
        configuration.restore(target, home, key[0])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [target]


def test_name_of_the_machine_is_in_no_backup(tmp_path: Path, key: tuple[str, str]) -> None:
    """A machine that restores another's configuration does not take its identity."""
    context = installed(tmp_path / "one", "", CHITLAQ_BACKUPS_RECIPIENTS=key[1])
    name = object_store.machine_id(context.home)
    path = archive_of(context)
    back = tmp_path / "two"
    back.mkdir()
    configuration.restore(path, back, key[0])
    assert not any(name in one.read_text() for one in back.rglob("*") if one.is_file())


async def test_operations_database_is_backed_up_while_it_is_written_to(tmp_path: Path) -> None:
    context = installed(tmp_path / "one", "")
    now = datetime.now(UTC)
    with OpsDatabase(context.home) as database:
        await database.write(
            statement("add_note", ids.new(), "x.y", "note", "seen", "ada", now, None)
        )
        # What was written last is still in its log, not in the file.
        path = archive_of(context)
        assert "unchanged" in configuration.verify(path)
    back = tmp_path / "two"
    back.mkdir()
    assert configuration.OPERATIONS in configuration.restore(path, back, None)
    with OpsDatabase(Home(back)) as restored:
        assert [row["text"] for row in await restored.rows("notes", None, 10)] == ["seen"]


def test_damaged_operations_database_is_not_called_backed_up(tmp_path: Path) -> None:
    context = installed(tmp_path / "one", "")
    context.home.ops_database.parent.mkdir(parents=True)
    context.home.ops_database.write_bytes(b"no database " * 1000)
    with pytest.raises(OperatorError, match="cannot be copied"):
        archive_of(context)


def locked_for_ever(path: Path) -> sqlite3.Connection:
    holding = sqlite3.connect(path, isolation_level=None)
    holding.execute("PRAGMA locking_mode = EXCLUSIVE")
    holding.execute("BEGIN EXCLUSIVE")
    return holding


async def test_locked_operations_database_ends_the_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configuration, "BUSY_SECONDS", 0.3)
    context = installed(tmp_path / "one", "")
    with OpsDatabase(context.home) as database:
        await database.rows("notes", None, 10)
    path = archive_of(context)
    with (
        closing(locked_for_ever(context.home.ops_database)),
        pytest.raises(InconclusiveError, match="locked by another process"),
    ):
        archive_of(context)
    back = Home(tmp_path / "two")
    back.ops_database.parent.mkdir(parents=True)
    with (
        closing(locked_for_ever(back.ops_database)),
        pytest.raises(InconclusiveError, match="locked by another process"),
    ):
        configuration.restore(path, back.root, None)


async def test_restored_operations_database_takes_nothing_from_the_lost_one(
    tmp_path: Path,
) -> None:
    """The log that a lost file left behind is not replayed into it, and who has it open goes on."""
    context = installed(tmp_path / "one", "")
    file = context.home.ops_database
    log = Path(f"{file}-wal")

    def note(text: str) -> Statement:
        return statement("add_note", ids.new(), "x.y", "note", text, "ada", datetime.now(UTC), None)

    with OpsDatabase(context.home, is_keeper=True) as running:
        await running.write(note("kept"))
        path = archive_of(context)
        await running.write(note("lost"))
        left = log.read_bytes()
        assert left
        file.unlink()
        log.write_bytes(left)
        assert configuration.restore(path, context.home.root, None) == [configuration.OPERATIONS]
        assert [row["text"] for row in await running.rows("notes", None, 10)] == ["kept"]
        await running.write(note("new"))
    with closing(sqlite3.connect(file)) as opened:
        assert opened.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    # What is there stays.
    assert configuration.restore(path, context.home.root, None) == []


async def test_archive_with_an_unreadable_operations_database_is_bad(tmp_path: Path) -> None:
    """Its header is sound, its schema is not."""
    target = tmp_path / "config.tar.gz"
    file = tmp_path / "operations.sqlite"
    with closing(sqlite3.connect(file)) as opened:
        opened.execute("CREATE TABLE one (n)")
        opened.execute("PRAGMA writable_schema = 1")
        opened.execute("UPDATE sqlite_master SET sql = 'CREATE TABLE ('")
        opened.commit()
    with tarfile.open(target, "w:gz") as archive:
        with file.open("rb") as content:
            digest = configuration._add(archive, configuration.OPERATIONS, content)
        manifest = f'{{"{configuration.OPERATIONS}": "{digest}"}}'.encode()
        configuration._add(archive, configuration.MANIFEST, io.BytesIO(manifest))
    with pytest.raises(OperatorError, match="has a damaged operations database: malformed"):
        configuration.verify(target)


def test_channels_of_people_are_backed_up_encrypted_only_and_restored_for_their_owner(
    tmp_path: Path, key: tuple[str, str]
) -> None:
    identity, recipient = key
    said = '[people.ada]\nchannels = [{ url = "slack://HUNTER2secret/b/c" }]\n'
    for name, settings in (("without", {}), ("with", {"CHITLAQ_BACKUPS_RECIPIENTS": recipient})):
        context = installed(tmp_path / name, "", **settings)
        context.home.oncall_file.write_text(said)
        assert b"HUNTER2secret" not in everything_in(archive_of(context))
    restored = tmp_path / "restored"
    restored.mkdir()
    assert "oncall.toml" in configuration.restore(archive_of(context), restored, identity)
    assert (restored / "oncall.toml").read_text() == said
    assert (restored / "oncall.toml").stat().st_mode & 0o777 == 0o600
