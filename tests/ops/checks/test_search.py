"""The check of search's index."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from chitlaq.ops.checks.model import Table, Verdict
from tests.conftest import Member, Stack
from tests.ops.checks.conftest import RunOnStack
from tests.services.websocket.chat.talking import conversation, say

Join = Callable[[], Awaitable[Member]]


async def test_entry_that_is_not_what_it_is_made_of_is_critical_until_it_is_repaired(
    stack: Stack, join: Join, run_on_stack: RunOnStack
) -> None:
    """Of few rows, all are looked at."""
    member, other = await join(), await join()
    posts = [await member.write(text) for text in ("missing", "stale", "deleted")]
    talk = await conversation(member, other)
    said = [await say(member, talk["id"], text) for text in ("changed", "deleted")]
    path = f"/api/conversations/{talk['id']}/messages"
    await member.patch(f"{path}/1", {"text": "stale"})
    await member.delete(f"{path}/2")
    await member.delete(f"/api/posts/{posts[2]['id']}")
    ids = {one["id"] for one in (*posts, *said)} | {member.id}

    async def faults() -> set[tuple[str, str, str]]:
        rows = await stack.sql("SELECT kind, id::text, fault FROM search.index_faults(1000000)")
        return {(row["kind"], row["id"], row["fault"]) for row in rows if row["id"] in ids}

    async def repair() -> None:
        await stack.sql(
            "INSERT INTO websocket.indexed_messages VALUES ($1, 2)"
            " ON CONFLICT (conversation_id) DO UPDATE SET seq = 2", talk["id"],
        )  # fmt: skip
        await stack.sql("UPDATE feed.members SET bio = bio || '!' WHERE id = $1", member.id)
        await stack.sql(
            "UPDATE feed.posts SET text = text || '!' WHERE id = ANY ($1)",
            [one["id"] for one in posts[:2]],
        )
        await stack.sql(
            "UPDATE websocket.messages SET text = text || '!' WHERE id = $1", said[0]["id"]
        )

    await repair()
    assert await faults() == set()
    for statement, one in (
        ("DELETE FROM feed.post_words WHERE post_id = $1", posts[0]),
        ("UPDATE feed.post_words SET words = 'a' WHERE post_id = $1", posts[1]),
        ("INSERT INTO feed.post_words VALUES ($1, 'a')", posts[2]),
        ("DELETE FROM websocket.message_words WHERE message_id = $1", said[0]),
        ("UPDATE websocket.message_words SET words = 'a' WHERE message_id = $1", said[1]),
        ("DELETE FROM search.members WHERE member_id = $1", {"id": member.id}),
    ):
        await stack.sql(statement, one["id"])
    try:
        assert await faults() == {
            ("post", posts[0]["id"], "missing"), ("post", posts[1]["id"], "stale"),
            ("post", posts[2]["id"], "left over"), ("message", said[0]["id"], "missing"),
            ("message", said[1]["id"], "left over"), ("member", member.id, "missing"),
        }  # fmt: skip
        found = await run_on_stack("search.index")
        assert found.verdict is Verdict.CRITICAL
        assert isinstance(found.evidence[0], Table)
    finally:
        await stack.sql("DELETE FROM feed.post_words WHERE post_id = $1", posts[2]["id"])
        await stack.sql(
            "UPDATE websocket.message_words SET words = '' WHERE message_id = $1", said[1]["id"]
        )
        await repair()
    assert await faults() == set()
