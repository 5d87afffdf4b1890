"""Chat: a message is stored before it is acknowledged, and reaches who takes part, in order and once."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import websockets

from chitlaq.core.data import named_queries
from tests.conftest import Member, Stack
from tests.services.websocket.chat.talking import (
    Join,
    connected,
    conversation,
    history,
    received,
    say,
    send,
)
from tests.services.websocket.test_websocket import signed_in, url


async def test_message_reaches_the_other_and_the_senders_other_device(
    stack: Stack, join: Join
) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    async with (
        connected(stack, ada) as phone,
        connected(stack, ada) as laptop,
        connected(stack, ben) as other,
    ):
        await send(phone, found["id"], "hello", client_id="a")
        ack = await received(phone, "ack")
        assert (ack["client_id"], ack["seq"], ack["conversation_id"]) == ("a", 1, found["id"])
        at_ben = await received(other, "message")
        assert (at_ben["text"], at_ben["seq"], at_ben["sender"]["username"]) == (
            "hello", 1, ada.username,
        )  # fmt: skip
        assert "client_id" not in at_ben
        assert (await received(laptop, "message"))["client_id"] == "a"
    assert [one["text"] for one in await history(ben, found["id"])] == ["hello"]


async def test_sending_again_sends_once(stack: Stack, join: Join) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    async with connected(stack, ada) as socket, connected(stack, ada) as other:
        for one in (socket, other, socket):
            await send(one, found["id"], "once", client_id="same")
        acks = [await received(one, "ack") for one in (socket, other, socket)]
    assert {(ack["id"], ack["seq"]) for ack in acks} == {(acks[0]["id"], 1)}
    # What is stored is answered, not what is sent again.
    body = {"text": "changed @ben", "client_id": "same", "reply_to": 1}
    again = await ada.post(f"/api/conversations/{found['id']}/messages", body)
    assert again.status_code == 200
    assert [again.json()] == await history(ada, found["id"])
    (kept,) = await history(ben, found["id"])
    assert (kept["id"], kept["text"]) == (acks[0]["id"], "once")


async def test_pair_has_one_conversation_whoever_begins_it(join: Join) -> None:
    ada, ben = await join(), await join()
    found = await asyncio.gather(*(conversation(*pair) for pair in ((ada, ben), (ben, ada)) * 5))
    assert len({one["id"] for one in found}) == 1


async def test_messages_of_many_have_numbers_without_gaps_and_one_order_for_all(
    stack: Stack, join: Join
) -> None:
    members = [await join() for _ in range(4)]
    found = await conversation(members[0], *members[1:], kind="group", name="four")
    each = 20

    async def talk(member: Member) -> list[tuple[int, str]]:
        async with connected(stack, member) as socket:
            await asyncio.sleep(0)
            heard = []
            for number in range(each):
                await send(socket, found["id"], f"{member.username} {number}")
                ack = await received(socket, "ack")
                heard.append(ack["seq"])
            return heard

    async with connected(stack, members[0]) as listener:
        numbers = await asyncio.gather(*map(talk, members))
        seen = [(await received(listener, "message"))["seq"] for _ in range(each * len(members))]
    assert seen == list(range(1, each * len(members) + 1))
    assert sorted(seq for own in numbers for seq in own) == seen
    assert all(own == sorted(own) for own in numbers)


async def test_resume_replays_what_was_missed_in_order(stack: Stack, join: Join) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    for number in range(5):
        body = {"text": str(number), "client_id": str(number)}
        assert (
            await ada.post(f"/api/conversations/{found['id']}/messages", body)
        ).status_code == 201
    async with connected(stack, ben) as socket:
        await socket.send(json.dumps({"type": "resume", "conversations": {found["id"]: 2}}))
        frames: list[dict[str, Any]] = []
        while not frames or frames[-1]["type"] != "resumed":
            frames.append(json.loads(await socket.recv()))
    assert [one.get("seq") for one in frames if one["type"] != "read"] == [3, 4, 5, None]


@pytest.mark.parametrize("who", ["stranger", "signed out", "blocked"])
async def test_who_may_not_send_is_told_and_nothing_is_stored(
    stack: Stack, join: Join, who: str
) -> None:
    ada, ben, eve = await join(), await join(), await join()
    found = await conversation(ada, ben)
    async with websockets.connect(url(stack)) as socket:
        if who == "stranger":
            await signed_in(socket, eve)
        elif who == "blocked":
            await ada.put(f"/api/users/{ben.username}/block")
            await signed_in(socket, ben)
        await send(socket, found["id"], "let me in", client_id="not a reply", reply_to=0)
        invalid = await received(socket, "error")
        await send(socket, found["id"], "let me in", client_id="malformed", reply_to=0)
        malformed = await received(socket, "error")
        await send(socket, found["id"], "let me in", client_id="x")
        refused = await received(socket, "error")
    expected = {"stranger": 404, "signed out": 401, "blocked": 403}
    assert (refused["client_id"], refused["status"]) == ("x", expected[who])
    # Who waits for the answer to a message finds it, unless its name is no name.
    assert (malformed["client_id"], malformed["status"]) == ("malformed", 400)
    assert ("client_id" in invalid, invalid["status"]) == (False, 400)
    assert await history(ada, found["id"]) == []


async def test_unread_is_what_others_wrote_after_the_read_marker(join: Join) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    for author, text in ((ada, "1"), (ben, "2"), (ada, "3")):
        await author.post(
            f"/api/conversations/{found['id']}/messages", {"text": text, "client_id": text}
        )

    async def unread(member: Member) -> int:
        (one,) = (await member.get("/api/conversations")).json()["items"]
        number: int = one["unread"]
        return number

    assert (await unread(ada), await unread(ben)) == (1, 2)
    assert (await ben.post(f"/api/conversations/{found['id']}/read", {"seq": 1})).status_code == 204
    assert await unread(ben) == 1
    await ben.post(f"/api/conversations/{found['id']}/read", {"seq": 0})
    assert await unread(ben) == 1


async def test_member_marks_messages_unread_and_counts_the_conversations(join: Join) -> None:
    ada, ben, eve = [await join() for _ in range(3)]
    found = await conversation(ada, ben)
    path = f"/api/conversations/{found['id']}"

    async def totals() -> dict[str, int]:
        counted: dict[str, int] = (await ben.get("/api/conversations/unread")).json()
        return counted

    assert await totals() == {"conversations": 0, "requests": 0}
    for text in ("1", "2", "3"):
        await say(ada, found["id"], text)
    # Who does not follow the writer is asked.
    asked = await conversation(eve, ben, strangers=True)
    await say(eve, asked["id"], "hello")
    assert await totals() == {"conversations": 1, "requests": 1}
    await ben.post(f"{path}/read", {"seq": 3})
    assert (await totals())["conversations"] == 0
    assert (await ben.post(f"{path}/unread", {"seq": 2})).status_code == 204
    one = (await ben.get(path)).json()
    assert (one["read_seq"], one["unread"]) == (1, 2)
    # It moves back alone, and to no less than before.
    await ben.post(f"{path}/unread", {"seq": 3})
    assert (await ben.get(path)).json()["read_seq"] == 1
    assert (await totals())["conversations"] == 1
    await ben.patch(path, {"muted_until": "2099-01-01T00:00:00Z"})
    assert (await totals())["conversations"] == 0


async def test_conversations_are_listed_with_one_plan(stack: Stack, join: Join) -> None:
    """To plan a page of them takes PostgreSQL several times as long as to read it."""
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    ids = [UUID(found["id"])]
    queries = {one.name: one for one in named_queries.load("chitlaq.services.websocket.chat")}
    connection = await asyncpg.connect(stack.dsn("chitlaq_websocket"))
    try:
        for name, arguments in {
            "conversation": (ada.id, *ids),
            "conversations_of_member": (ada.id, None, 0, 21, "inbox"),
            "participants": (ids, ada.id),
            "last_messages": (ada.id, ids),
        }.items():
            statement = await connection.prepare(queries[name].sql)
            for _ in range(7):
                await statement.fetch(*arguments)
            (plans,) = await connection.fetch(
                "SELECT generic_plans FROM pg_prepared_statements WHERE statement = $1",
                queries[name].sql,
            )
            assert (plans["generic_plans"], queries[name].is_prepared) == (2, True), name
    finally:
        await connection.close()
