"""The check of members' pictures notices a store that takes nothing, and a picture that waits."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest

from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database
from chitlaq.monitoring.exporter import pictures
from chitlaq.ops.checks import media
from chitlaq.ops.checks.model import Table, Verdict
from chitlaq.ops.checks.runner import Result
from tests.conftest import Member, Stack
from tests.disks import fill, small_disk
from tests.ops.checks.conftest import RunOnStack
from tests.services.feed.pictures import encoded, picture, uploaded

CHECK = "media.store"


@pytest.fixture(autouse=True, scope="module")
async def without_pictures_of_other_tests(stack: Stack) -> None:
    """Some of theirs have no files."""
    await stack.sql("UPDATE feed.media SET deleted_at = now() WHERE deleted_at IS NULL")


async def test_stack_can_store_pictures(run_on_stack: RunOnStack) -> None:
    assert (await run_on_stack(CHECK)).verdict is Verdict.OK


async def test_picture_that_waits_too_long_is_a_finding(
    stack: Stack, run_on_stack: RunOnStack, join: Callable[[], Awaitable[Member]]
) -> None:
    ada = await join()
    for waited, verdict in ((400, Verdict.WARNING), (3700, Verdict.CRITICAL)):
        await stack.sql(
            "INSERT INTO feed.media (owner_id, purpose, state, name, alt, width, height, is_animated, bytes,"
            " sha256, created_at) VALUES ($1, 'post', 'processing', md5(random()::text), '', 1, 1, false, 1,"
            " sha256(''), now() - make_interval(secs => $2))",
            ada.id,
            waited,
        )
        found = await run_on_stack(CHECK)
        assert (found.verdict, "has waited for" in found.summary) == (verdict, True)
    await stack.sql("UPDATE feed.media SET deleted_at = now() WHERE owner_id = $1", ada.id)


async def test_full_disk_is_critical(run_on_stack: RunOnStack, tmp_path: Path) -> None:
    with small_disk(1, tmp_path) as disk:
        assert (await run_on_stack(CHECK, CHITLAQ_MEDIA_URL=str(disk))).verdict is Verdict.OK
        fill(disk)
        found = await run_on_stack(CHECK, CHITLAQ_MEDIA_URL=str(disk))
        assert (found.verdict, "cannot be written" in found.summary) == (Verdict.CRITICAL, True)
        assert [one.name for one in disk.iterdir()] == ["filler"]


async def test_folder_that_lacks_the_pictures_is_critical(
    stack: Stack,
    run_on_stack: RunOnStack,
    join: Callable[[], Awaitable[Member]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when its disk is not mounted: the folder is there, or is made anew, and takes what is written."""
    # A sample may have none but the deleted ones of other tests.
    for module in (media, pictures):
        monkeypatch.setattr(module, "LOOKED_FOR", 100_000)
    await uploaded(await join(), encoded(picture()))
    assert (await run_on_stack(CHECK)).verdict is Verdict.OK
    database = Database(
        stack.dsn("chitlaq_ops"),
        "test",
        postgres.load_queries("chitlaq.monitoring.exporter", "test"),
    )
    try:
        (there,) = await pictures.missing(database, stack.home / "media")
        for folder in (tmp_path, tmp_path / "none"):
            found = await run_on_stack(CHECK, CHITLAQ_MEDIA_URL=str(folder))
            assert (found.verdict, "lacks" in found.summary) == (Verdict.CRITICAL, True)
            (lost,) = await pictures.missing(database, folder)
            assert [one.samples[0].value for one in (there, lost)] == [0, 1]
    finally:
        await database.close()


async def test_bucket_that_does_not_answer_is_critical(run_on_stack: RunOnStack) -> None:
    found = await run_on_stack(
        CHECK,
        CHITLAQ_MEDIA_URL="s3://pictures",
        CHITLAQ_MEDIA_S3_ENDPOINT="http://127.0.0.1:9",
        CHITLAQ_MEDIA_S3_ACCESS_KEY_ID="a",
        CHITLAQ_MEDIA_S3_SECRET_ACCESS_KEY="b",
    )
    assert found.verdict is Verdict.CRITICAL


def _rows(found: Result) -> list[list[str]]:
    (table,) = found.evidence
    assert isinstance(table, Table)
    return [list(row) for row in table.rows]


async def test_file_that_the_store_lacks_is_named(
    stack: Stack,
    run_on_stack: RunOnStack,
    join: Callable[[], Awaitable[Member]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Other tests have pictures, too.
    monkeypatch.setattr(media, "SAMPLED", 100_000)
    monkeypatch.setattr(media, "SHOWN", 1000)
    ada = await join()
    name = uuid4().hex
    await stack.sql(
        "INSERT INTO feed.media (owner_id, purpose, state, name, alt, width, height, is_animated, bytes,"
        " sha256) VALUES ($1, 'post', 'processing', $2, '', 1, 1, false, 4, sha256(''))",
        ada.id,
        name,
    )
    original = stack.home / "media" / "originals" / name
    original.parent.mkdir(parents=True, exist_ok=True)
    # Else the tests after this could store no picture.
    for folder in (original.parent, original.parent.parent):
        shutil.chown(folder, stack.home.stat().st_uid, stack.home.stat().st_gid)
    try:
        found = await run_on_stack("media.files")
        assert found.verdict is Verdict.CRITICAL
        assert [f"originals/{name}", "missing", "4 B"] in _rows(found)
        original.write_bytes(b"abc")
        found = await run_on_stack("media.files")
        assert [f"originals/{name}", "3 B", "4 B"] in _rows(found)
        original.write_bytes(b"abcd")
        found = await run_on_stack("media.files")
        assert not any(name in row[0] for row in _rows(found))
    finally:
        await stack.sql("UPDATE feed.media SET deleted_at = now() WHERE owner_id = $1", ada.id)
        original.unlink(missing_ok=True)
