"""Edits, deletions, reactions, read markers: every device of everybody shows the same in the end."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chitlaq.core.http.problems import Problem
from chitlaq.services.websocket.chat import texts
from tests.conftest import Stack
from tests.services.websocket.chat.talking import (
    Join,
    connected,
    conversation,
    history,
    quiet,
    received,
    say,
)


async def test_edit_reaches_every_device_and_keeps_what_was_said(stack: Stack, join: Join) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    path = f"/api/conversations/{found['id']}/messages"
    await say(ada, found["id"], "first", client_id="mine")
    async with connected(stack, ada) as own, connected(stack, ben) as other:
        answer = await ada.patch(f"{path}/1", {"text": f"second @{ben.username}"})
        assert answer.json()["mentions"] == [ben.username]
        for socket, client_id in ((own, "mine"), (other, None)):
            frame = await received(socket, "message_changed")
            assert (frame["seq"], frame["text"]) == (1, f"second @{ben.username}")
            assert frame["edited_at"] is not None
            assert frame.get("client_id") == client_id
    edits = (await ben.get(f"{path}/1/history")).json()
    assert [one["text"] for one in edits] == ["first"]
    assert (await ben.patch(f"{path}/1", {"text": "not mine"})).status_code == 403
    await stack.sql(
        "UPDATE websocket.messages SET sent_at = now() - interval '25 hours' WHERE conversation_id = $1",
        found["id"],
    )
    assert (await ada.patch(f"{path}/1", {"text": "too late"})).status_code == 409


async def test_deletion_leaves_a_tombstone_and_nothing_of_the_text(
    stack: Stack, join: Join
) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    path = f"/api/conversations/{found['id']}/messages"
    await say(ada, found["id"], "secret one")
    await ada.patch(f"{path}/1", {"text": "secret two"})
    await ben.put(f"{path}/1/reactions/👍")
    async with connected(stack, ben) as other:
        assert (await ben.delete(f"{path}/1")).status_code == 403
        assert (await ada.delete(f"{path}/1")).status_code == 204
        while not (frame := await received(other, "message_changed"))["deleted"]:
            pass  # the reaction
        assert (frame["text"], frame["reactions"]) == ("", {})
    assert (await ada.delete(f"{path}/1")).status_code == 204
    assert (await ada.patch(f"{path}/1", {"text": "again"})).status_code == 409
    assert (await ben.put(f"{path}/1/reactions/👍")).status_code == 409
    kept = await stack.sql(
        "SELECT m.text, (SELECT count(*) FROM websocket.message_edits e"
        " WHERE e.conversation_id = m.conversation_id)"
        " FROM websocket.messages m WHERE m.conversation_id = $1",
        found["id"],
    )
    assert [tuple(row) for row in kept] == [("", 0)]
    assert [one["seq"] for one in await history(ben, found["id"])] == [1]


async def test_reactions_are_counted_and_each_sees_their_own(stack: Stack, join: Join) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    path = f"/api/conversations/{found['id']}/messages/1/reactions"
    await say(ada, found["id"], "hello")
    async with connected(stack, ada) as socket:
        for _ in range(2):
            assert (await ben.put(f"{path}/👍")).status_code == 204
        frame = await received(socket, "message_changed")
        assert frame["reactions"] == {"👍": {"count": 1, "mine": False}}
    assert (await ada.put(f"{path}/👍")).status_code == 204
    (message,) = await history(ben, found["id"])
    assert message["reactions"] == {"👍": {"count": 2, "mine": True}}
    for _ in range(2):
        assert (await ben.delete(f"{path}/👍")).status_code == 204
    (message,) = await history(ben, found["id"])
    assert message["reactions"] == {"👍": {"count": 1, "mine": False}}


async def test_message_has_a_bounded_number_of_kinds_of_reactions(join: Join) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    await say(ada, found["id"], "hello")
    path = f"/api/conversations/{found['id']}/messages/1/reactions"
    answers = [await ben.put(f"{path}/{chr(0x1F600 + number)}") for number in range(21)]
    assert [one.status_code for one in answers] == [204] * 20 + [409]
    assert (await ada.put(f"{path}/{chr(0x1F600)}")).status_code == 204


@pytest.mark.parametrize("emoji", ["a", "1", "👍👍", "❤", "%00", "🇩", "x" * 300, "👍a", " "])
async def test_what_is_no_emoji_is_refused(join: Join, emoji: str) -> None:
    ada = await join()
    path = "/api/conversations/00000000-0000-0000-0000-000000000000/messages/1/reactions/"
    answer = await ada.put(path + (emoji if "%" in emoji else quote(emoji)))
    assert answer.status_code in {400, 422}, answer.text


@pytest.mark.parametrize("emoji", ["👍", "👍🏽", "❤️", "🇩🇪", "1️⃣", "👨‍👩‍👧", "🏳️‍🌈", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "☝🏽"])
def test_emoji_sequences_are_emoji(emoji: str) -> None:
    texts.require_emoji(emoji)


@given(text=st.text(max_size=20))
def test_no_text_makes_the_checks_fail_otherwise_than_by_refusal(text: str) -> None:
    with suppress(Problem):
        texts.require_emoji(text)
    with suppress(Problem):
        texts.checked(text)


def test_length_is_counted_as_people_count() -> None:
    family = "👨‍👩‍👧"
    texts.checked("e\u0301" * 4000)
    texts.checked(family * 3000)
    for long in ("x" * 4001, "e\u0301" * 4001):
        with pytest.raises(Problem):
            texts.checked(long)


async def test_resume_replays_what_happened_to_messages_that_were_seen(
    stack: Stack, join: Join
) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    path = f"/api/conversations/{found['id']}/messages"
    for text in ("one", "two", "three"):
        await say(ada, found["id"], text)
    await stack.sql(
        "UPDATE websocket.messages SET sent_at = sent_at - interval '1 hour' WHERE conversation_id = $1",
        found["id"],
    )
    await ada.patch(f"{path}/1", {"text": "one, edited"})
    await ada.delete(f"{path}/2")
    await say(ada, found["id"], "four")
    async with connected(stack, ben) as socket:
        body = {"type": "resume", "conversations": {found["id"]: 3}}
        await socket.send(json.dumps(body))
        frames = [(one["type"], one.get("seq"), one.get("text")) for one in await quiet(socket)]
        # Who has seen more than there is, before a restore, gets what is written from now on.
        await socket.send(json.dumps({"type": "resume", "conversations": {found["id"]: 1000}}))
        gap = await received(socket, "gap")
        assert (gap["from_seq"], gap["to_seq"]) == (5, 4)
        await received(socket, "resumed")
        await say(ada, found["id"], "five")
        assert (await received(socket, "message"))["seq"] == 5
    assert frames == [
        ("message", 4, "four"),
        ("message_changed", 1, "one, edited"),
        ("message_changed", 2, ""),
        ("read", 0, None),
        ("resumed", None, None),
    ]


async def test_history_reads_on_in_both_directions_around_a_number_and_from_a_date(
    stack: Stack, join: Join
) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    for number in range(1, 13):
        await say(ada, found["id"], str(number))
    start = datetime(2026, 3, 1, tzinfo=UTC)
    await stack.sql(
        "UPDATE websocket.messages SET sent_at = $2::timestamptz + seq * interval '1 day'"
        " WHERE conversation_id = $1",
        found["id"], start,
    )  # fmt: skip
    path = f"/api/conversations/{found['id']}/messages"

    async def page(**params: Any) -> tuple[list[int], dict[str, Any]]:
        answer = await ben.get(path, params={"limit": 5, **params})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        return [one["seq"] for one in body["items"]], body

    numbers, body = await page()
    assert (numbers, body["has_earlier"], body["has_later"]) == ([8, 9, 10, 11, 12], True, False)
    numbers, body = await page(cursor=body["next_cursor"])
    assert numbers == [3, 4, 5, 6, 7]
    numbers, body = await page(cursor=body["next_cursor"])
    assert (numbers, body["next_cursor"]) == ([1, 2], None)
    assert (await page(around=6))[0] == [4, 5, 6, 7, 8]
    assert (await page(around=1))[0] == [1, 2, 3, 4, 5]
    assert (await page(around=12))[0] == [8, 9, 10, 11, 12]
    numbers, body = await page(at=(start + timedelta(days=4, hours=-1)).isoformat())
    assert numbers == [4, 5, 6, 7, 8]
    assert (await page(cursor=body["next_cursor"]))[0] == [9, 10, 11, 12]
    assert (await page(at="2030-01-01T00:00:00Z"))[0] == []
    assert (await page(after=11))[0] == [12]
    # Nothing is read: the first ones, and not the latest. Then the latest, or from a little before.
    assert (await page(unread="true"))[0] == [1, 2, 3, 4, 5]
    for read, expected in ((6, [5, 6, 7, 8, 9]), (8, [7, 8, 9, 10, 11]), (10, [8, 9, 10, 11, 12])):
        await ben.post(path.replace("/messages", "/read"), {"seq": read})
        numbers, body = await page(unread="true")
        assert (numbers, body["has_later"]) == (expected, expected[-1] < 12)
    for params in (
        {"after": 1, "before": 3},
        {"unread": "true", "after": 1},
        {"cursor": "after-x"},
        {"cursor": "sideways-3"},
        {"at": "noon"},
    ):
        answer = await ben.get(path, params=params)
        assert answer.status_code in {400, 422}, answer.text


async def test_read_marker_moves_on_all_devices_and_others_see_it_if_both_show_it(
    stack: Stack, join: Join
) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    path = f"/api/conversations/{found['id']}/read"
    for text in ("one", "two"):
        await say(ada, found["id"], text)
    async with connected(stack, ben) as own, connected(stack, ada) as other:
        assert (await ben.post(path, {"seq": 1})).status_code == 204
        frame = await received(own, "read")
        assert (frame["username"], frame["seq"], frame["unread"]) == (ben.username, 1, 1)
        frame = await received(other, "read")
        assert (frame["username"], frame["seq"], "unread" in frame) == (ben.username, 1, False)
        assert (
            await ada.put("/api/conversations/privacy", {"shares_read": False})
        ).status_code == 204
        await ben.post(path, {"seq": 2})
        assert (await received(own, "read"))["seq"] == 2
        assert await quiet(other) == []
    positions: dict[str, Any] = defaultdict(dict)
    for member in (ada, ben):
        body = (await member.get(f"/api/conversations/{found['id']}")).json()
        positions[member.username] = {one["username"]: one["read_seq"] for one in body["members"]}
    assert positions[ada.username][ben.username] is None
    assert positions[ben.username][ada.username] is None


async def test_who_is_blocked_does_not_see_how_far_one_has_read(stack: Stack, join: Join) -> None:
    ada, ben, eve = await join(), await join(), await join()
    found = await conversation(ada, ben, eve, kind="group", name="three")
    await say(eve, found["id"], "hello")
    await ada.put(f"/api/users/{ben.username}/block")
    async with connected(stack, ben) as at_ben, connected(stack, eve) as at_eve:
        await ada.post(f"/api/conversations/{found['id']}/read", {"seq": 1})
        assert (await received(at_eve, "read"))["username"] == ada.username
        assert await quiet(at_ben) == []
    for member, seen in ((ben, None), (eve, 1)):
        body = (await member.get(f"/api/conversations/{found['id']}")).json()
        positions = {one["username"]: one["read_seq"] for one in body["members"]}
        assert positions[ada.username] == seen
