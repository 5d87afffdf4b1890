"""Message requests, privacy and blocks: nobody hears from whom they do not want to hear."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from chitlaq.services import websocket
from chitlaq.services.websocket.chat.sending import MAX_UNANSWERED
from tests.conftest import Member, Stack
from tests.services.websocket.chat.talking import (
    Join,
    connected,
    conversation,
    history,
    quiet,
    received,
    say,
    send,
    until,
)

ROOM = Path(websocket.__file__).parent


async def folder(member: Member, name: str) -> list[str]:
    items = (await member.get(f"/api/conversations?folder={name}")).json()["items"]
    return [one["id"] for one in items]


async def test_strangers_first_message_is_a_request_until_it_is_answered(
    stack: Stack, join: Join
) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben, strangers=True)
    assert await folder(ben, "requests") == [], "nothing was written yet"
    async with connected(stack, ben) as at_ben, connected(stack, ada) as at_ada:
        await send(at_ada, found["id"], "hello")
        await received(at_ada, "ack")
        frames = await until(at_ben, "conversation_changed") + await quiet(at_ben)
        assert [frame["type"] for frame in frames] == ["conversation_changed"]
        assert (await folder(ben, "inbox"), await folder(ben, "requests")) == ([], [found["id"]])
        assert [one["text"] for one in await history(ben, found["id"])] == ["hello"]
        await send(at_ben, found["id"], "hi")
        assert (await received(at_ben, "ack"))["seq"] == 2
        assert (await received(at_ada, "message"))["text"] == "hi"
        await send(at_ada, found["id"], "well")
        assert (await received(at_ben, "message"))["text"] == "well"
    assert (await folder(ben, "inbox"), await folder(ben, "requests")) == ([found["id"]], [])


async def test_request_is_accepted_or_declined_and_the_sender_is_not_told(
    stack: Stack, join: Join
) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben, strangers=True)
    await say(ada, found["id"], "hello")
    path = f"/api/conversations/{found['id']}/members/{ben.username}"
    before = (await ada.get(f"/api/conversations/{found['id']}")).json()
    async with connected(stack, ada) as at_ada, connected(stack, ben) as other_device:
        assert (await ben.delete(path)).status_code == 204
        await received(other_device, "conversation_changed")
        assert await quiet(at_ada) == []
    assert (await ada.get(f"/api/conversations/{found['id']}")).json() == before
    async with connected(stack, ben) as at_ben:
        await say(ada, found["id"], "are you there?")
        assert await quiet(at_ben) == []
    assert (await ben.put(path)).status_code == 404
    assert await folder(ben, "requests") == []
    async with connected(stack, ben) as at_ben:
        again = await conversation(ben, ada, strangers=True)
        assert (again["id"], again["state"]) == (found["id"], "joined")
        assert (await received(at_ben, "conversation_changed"))["version"] == again["version"]
        await say(ada, found["id"], "there you are")
        assert (await received(at_ben, "message"))["seq"] == 3
    assert len(await history(ben, found["id"])) == 3


@pytest.mark.parametrize("is_declined", [False, True])
async def test_only_few_messages_are_written_into_a_request_until_it_is_accepted(
    join: Join, is_declined: bool
) -> None:
    """Also of those that arrive in the same moment; and whether it was declined cannot be found out."""
    ada, ben = await join(), await join()
    found = await conversation(ada, ben, strangers=True)
    if is_declined:
        await ben.delete(f"/api/conversations/{found['id']}/members/{ben.username}")
    path = f"/api/conversations/{found['id']}/messages"
    bodies = [
        {"text": str(number), "client_id": str(number)} for number in range(2 * MAX_UNANSWERED)
    ]
    answers = await asyncio.gather(*(ada.post(path, body) for body in bodies))
    refused = [answer for answer in answers if answer.status_code != 201]
    assert len(refused) == MAX_UNANSWERED
    for answer in refused:
        assert (answer.status_code, answer.json()["detail"]) == (
            403, "This person has not answered yet. Until then you may write 3 messages.",
        )  # fmt: skip
    again = await asyncio.gather(*(ada.post(path, body) for body in bodies))
    assert sorted(answer.status_code for answer in again) == [200] * 3 + [403] * 3, "none is lost"
    await conversation(ben, ada, strangers=True)
    assert [(await ada.post(path, body)).status_code for body in bodies].count(201) == 3
    assert [one["seq"] for one in await history(ben, found["id"])] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        ("everyone", {"stranger", "elsewhere", "followed"}),
        ("university", {"stranger", "followed"}),
        ("followed", {"followed"}),
        ("nobody", set()),
    ],
)
async def test_privacy_says_who_may_write(
    stack: Stack, join: Any, who: str, allowed: set[str]
) -> None:
    await stack.add_university("Elsewhere College", "elsewhere.example")
    ben = await join()
    writers = {
        "stranger": await join(),
        "elsewhere": await join("elsewhere.example"),
        "followed": await join("elsewhere.example"),
    }
    await ben.put(f"/api/users/{writers['followed'].username}/follow")
    answer = await ben.put("/api/conversations/privacy", {"may_message": who})
    assert answer.status_code == 204, answer.text
    assert (await ben.get("/api/conversations/privacy")).json()["may_message"] == who
    for name, writer in writers.items():
        for body in ({"kind": "direct"}, {"kind": "group", "name": "us"}):
            answer = await writer.post("/api/conversations", {"members": [ben.username], **body})
            assert answer.status_code == (201 if name in allowed else 422), (name, answer.text)
            if name not in allowed:
                assert answer.json()["errors"] == {
                    "members": f"has somebody who is not available: {ben.username}"
                }


@pytest.mark.parametrize("is_blocker", [True, False])
async def test_block_makes_a_direct_conversation_read_only_at_once(
    join: Join, is_blocker: bool
) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    said = await say(ada, found["id"], "hello")
    blocker, blocked = (ada, ben) if is_blocker else (ben, ada)
    await blocker.put(f"/api/users/{blocked.username}/block")
    path = f"/api/conversations/{found['id']}/messages"
    answers = [
        await ada.post(path, {"text": "x", "client_id": "x"}),
        await ben.post(path, {"text": "x", "client_id": "x"}),
        await ada.patch(f"{path}/{said['seq']}", {"text": "other"}),
        await ben.put(f"{path}/{said['seq']}/reactions/👍"),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["detail"]) == (
            403, "This person is not available.",
        )  # fmt: skip
    assert [one["text"] for one in await history(ben, found["id"])] == ["hello"]
    assert (await ada.delete(f"{path}/{said['seq']}")).status_code == 204, "one's own words"


async def test_rule_of_blocks_is_written_once_and_costs_no_call(stack: Stack) -> None:
    """Who folds messages is a rule of its own: it has one direction."""
    stated = await stack.sql(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'websocket'::regnamespace"
        " AND pg_get_functiondef(oid) ~ 'block_pairs' ORDER BY proname"
    )
    # The last two ask for all whom a reader blocks at once.
    assert [row["proname"] for row in stated] == [
        "blocks_between", "folded_for", "messages_found", "unread",
    ]  # fmt: skip
    assert [path for path in ROOM.rglob("*.sql") if "block_pairs" in path.read_text()] == []
    for called in ("blocks_between(c.lower_id, c.upper_id)", "folded_for(c.id, c.lower_id)"):
        plan = await stack.sql(
            f"EXPLAIN SELECT EXISTS (SELECT FROM websocket.{called}) FROM websocket.conversations c"
        )
        assert "Function Scan" not in "".join(row[0] for row in plan), called


async def test_blocked_ones_messages_in_groups_are_folded_for_the_blocker_only(
    stack: Stack, join: Join
) -> None:
    ada, ben, eve = await join(), await join(), await join()
    found = await conversation(ada, ben, eve, kind="group", name="three")
    await ben.put(f"/api/users/{eve.username}/block")
    async with connected(stack, ben) as at_ben, connected(stack, ada) as at_ada:
        said = await say(eve, found["id"], "words")
        assert (await received(at_ben, "message"))["folded"] is True
        assert (await received(at_ada, "message"))["folded"] is False
        await ada.put(f"/api/conversations/{found['id']}/messages/{said['seq']}/reactions/👍")
        assert (await received(at_ben, "message_changed"))["folded"] is True
    async with connected(stack, ben) as at_ben:
        await at_ben.send(f'{{"type":"resume","conversations":{{"{found["id"]}":0}}}}')
        assert (await received(at_ben, "message"))["folded"] is True
    assert [one["folded"] for one in await history(ben, found["id"])] == [True]
    assert [one["folded"] for one in await history(eve, found["id"])] == [False]
    assert (await ben.get(f"/api/conversations/{found['id']}")).json()["unread"] == 0
