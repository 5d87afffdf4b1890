"""The check of members' pictures notices a store that takes nothing, and a picture that waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from chitlaq.ops.checks.model import Verdict
from tests.conftest import Member, Stack
from tests.disks import fill, small_disk
from tests.ops.checks.conftest import RunOnStack

CHECK = "media.store"


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


async def test_bucket_that_does_not_answer_is_critical(run_on_stack: RunOnStack) -> None:
    found = await run_on_stack(
        CHECK,
        CHITLAQ_MEDIA_URL="s3://pictures",
        CHITLAQ_MEDIA_S3_ENDPOINT="http://127.0.0.1:9",
        CHITLAQ_MEDIA_S3_ACCESS_KEY_ID="a",
        CHITLAQ_MEDIA_S3_SECRET_ACCESS_KEY="b",
    )
    assert found.verdict is Verdict.CRITICAL
