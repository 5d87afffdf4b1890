"""The pictures' folder is copied, compared with the database, and put back."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest

from chitlaq.backups import pictures
from chitlaq.backups.context import BackupContext
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from tests.conftest import Member, Stack
from tests.services.feed.pictures import put_in_store

DAY = date(2026, 11, 26)


@pytest.fixture
def context(stack: Stack, tmp_path: Path) -> BackupContext:
    settings = stack.environment | {"CHITLAQ_BACKUPS_FOLDER": str(tmp_path / "backups")}
    return BackupContext(Home(stack.home), settings_loading.load(Home(stack.home), settings))


@pytest.fixture
async def file(stack: Stack, join: Callable[[], Awaitable[Member]]) -> Path:
    """The only file of a picture that a member has."""
    ada = await join()
    content = os.urandom(5000)
    (row,) = await stack.sql(
        "WITH m AS (INSERT INTO feed.media (owner_id, purpose, state, name, alt, width, height,"
        "  is_animated, bytes, sha256, blurhash, has_original, is_used)"
        " VALUES ($1, 'avatar', 'ready', md5(random()::text), '', 1, 1,"
        "  false, 5000, $2, 'LEHV6n', false, true)"
        " RETURNING id, name), f AS ("
        " INSERT INTO feed.media_files SELECT id, 'large', 'webp', 5000, $2 FROM m) SELECT name FROM m",
        ada.id,
        hashlib.sha256(content).digest(),
    )
    return put_in_store(stack, row["name"], content)


def test_folder_is_copied_once_and_read_back(context: BackupContext, file: Path) -> None:
    assert "new" in pictures.copy(context, DAY)
    copy = context.folder / "media" / file.relative_to(context.home.media)
    assert copy.read_bytes() == file.read_bytes()
    assert pictures.copy(context, DAY).startswith("0 new")
    copy.write_bytes(bytes(5000))
    with pytest.raises(OperatorError, match="is changed"):
        pictures.copy(context, DAY)
    copy.unlink()
    assert pictures.copy(context, DAY).startswith("1 new")


def test_file_that_is_nowhere_is_a_finding(
    stack: Stack, context: BackupContext, file: Path
) -> None:
    content = file.read_bytes()
    file.unlink()
    with pytest.raises(OperatorError, match="is missing"):
        pictures.copy(context, DAY)
    with psycopg.connect(stack.dsn()) as connection:
        with pytest.raises(OperatorError, match="is missing"):
            pictures.compare(context, connection)
        assert pictures.put_back(context, connection) == [
            "1 files of pictures are in no backup: they are lost."
        ]
        file.write_bytes(content)
        assert "present" in pictures.compare(context, connection)


def test_deleted_file_is_kept_as_long_as_a_backup_may_show_it(
    stack: Stack, context: BackupContext, file: Path
) -> None:
    content = file.read_bytes()
    pictures.copy(context, DAY)
    file.unlink()
    pictures.copy(context, DAY)
    with psycopg.connect(stack.dsn()) as connection:
        assert "present" in pictures.compare(context, connection)
        assert pictures.put_back(context, connection) == ["1 files of pictures were put back."]
    assert file.read_bytes() == content
    kept = context.folder / "media-removed" / DAY.isoformat()
    pictures.copy(context, DAY + timedelta(days=30))
    assert kept.exists()
    pictures.copy(context, DAY + timedelta(days=31))
    assert not kept.exists()
