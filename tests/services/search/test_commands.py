"""Operators see why a search finds whom it finds, and write its index anew."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from tests.conftest import Member, Stack, eventually
from tests.services.websocket.chat.talking import conversation, say

Join = Callable[[], Awaitable[Member]]


async def test_explain_says_what_was_meant_and_reindex_repairs_what_was_lost(
    stack: Stack, join: Join
) -> None:
    own, viewer = await join(), await join()
    await own.patch("/api/users/me", {"display_name": "Wendelgard Ostrowitzki"})

    async def explained(text: str) -> Any:
        arguments = ("search", "explain", text, "--as", viewer.username, "--json")
        answer = await asyncio.to_thread(stack.command, *arguments)
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    async def reindexed() -> Any:
        done = await asyncio.to_thread(stack.command, "search", "reindex", "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    found = await explained("WENDELGRAD ostrow")
    assert found["folded"] == "wendelgrad ostrow"
    way = found["ways"][-1]
    assert way["why"] == "mistyped"
    assert way["members"][0]["username"] == own.username
    assert "nwendelgard" in way["words"][0]["means"]
    assert {"search.members_by_tokens", "search.words_by_keys"} <= way["indexes"].keys()
    assert "search.words_by_keys" not in found["ways"][0]["indexes"]
    assert (await explained("wxndxlgard"))["ways"][-1]["why"] == "mistyped twice"
    # A word may outlive the last member who had it (its hash is another's), so others' words go first.
    await reindexed()
    await stack.sql("DELETE FROM search.members WHERE member_id = $1", own.id)
    await stack.sql("DELETE FROM search.words WHERE word = 'ostrowitzki'")
    await stack.sql("INSERT INTO search.words (word) VALUES ('leftoverword')")
    assert (await explained("wendelgard"))["ways"][0]["members"] == []
    assert (await reindexed())["removed"] == 1
    way = (await explained("ostrowtzki"))["ways"][-1]
    assert way["members"][0]["username"] == own.username
    shown = await asyncio.to_thread(stack.command, "search", "explain", "Wendelgard")
    assert own.username in shown.stdout
    assert "search.members_by_tokens (1 time)" in shown.stdout


async def test_explain_and_reindex_know_posts_and_messages(stack: Stack, join: Join) -> None:
    own, other = await join(), await join()
    post = await own.write(f"Zeppeline über {own.username}")
    talk = await conversation(own, other)
    await say(own, talk["id"], f"Zeppeline {own.username}")
    message = "SELECT FROM websocket.message_words WHERE conversation_id = $1"
    await eventually(lambda: stack.sql(message, talk["id"]))
    text = f"zeppelin {own.username}"
    arguments = ("search", "explain", text, "--posts", "--as", other.username)
    answer = await asyncio.to_thread(stack.command, *arguments, "--json")
    (way,) = json.loads(answer.stdout)["ways"]
    assert [one["id"] for one in way["posts"]] == [post["id"]]
    assert "zeppelin" in way["wanted"]
    assert {"feed.post_words_by_word", "feed.posts_pkey"} <= way["indexes"].keys()
    shown = await asyncio.to_thread(stack.command, *arguments)
    assert own.username in shown.stdout, shown.stderr
    assert "feed.post_words_by_word (" in shown.stdout
    latest = ("search", "explain", f"from:{own.username}", "--posts", "--as", other.username)
    answer = await asyncio.to_thread(stack.command, *latest, "--json")
    (way,) = json.loads(answer.stdout)["ways"]
    assert [one["id"] for one in way["posts"]] == [post["id"]]
    answer = await asyncio.to_thread(
        stack.command, "search", "explain", "from:", "--posts", "--json"
    )
    assert json.loads(answer.stdout)["ways"] == [], "nothing is left to search for"
    await stack.sql("DELETE FROM feed.post_words WHERE post_id = $1", post["id"])
    await stack.sql("DELETE FROM websocket.message_words WHERE conversation_id = $1", talk["id"])
    # An interrupted run goes on: what is before its place is not looked at again.
    await stack.sql(
        "INSERT INTO search.text_reindexing VALUES ('posts', $1, 0), ('messages', $2, 0)",
        post["id"], talk["id"],
    )  # fmt: skip
    done = await asyncio.to_thread(stack.command, "search", "reindex", "--json")
    assert done.returncode == 0, done.stderr
    assert await stack.sql("SELECT FROM feed.post_words WHERE post_id = $1", post["id"]) == []
    assert len(await stack.sql(message, talk["id"])) == 1
    done = await asyncio.to_thread(stack.command, "search", "reindex", "--new")
    assert done.returncode == 0, done.stderr
    assert len(await stack.sql("SELECT FROM feed.post_words WHERE post_id = $1", post["id"])) == 1
