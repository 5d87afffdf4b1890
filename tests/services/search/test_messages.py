"""Messages are found by those who may read them, at once, before and after they are indexed."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import asyncpg
import httpx
import pytest

from chitlaq.services.search.messages import indexing
from tests.conftest import Member, Stack, eventually
from tests.services.feed.pictures import encoded, picture, uploaded
from tests.services.websocket.chat.talking import Join, conversation, history, say


async def found(by: Member, text: str, **params: Any) -> list[dict[str, Any]]:
    answer = await by.get("/api/search/messages", params={"q": text, **params})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def places(by: Member, text: str, **params: Any) -> set[tuple[str, int]]:
    return {(one["conversation_id"], one["seq"]) for one in await found(by, text, **params)}


async def test_each_finds_what_they_may_read_and_nothing_else(
    stack: Stack, client: httpx.AsyncClient, join: Join
) -> None:
    owner, member, late, former = [await join() for _ in range(4)]
    invited, blocker, stranger, asked = [await join() for _ in range(4)]
    group = await conversation(
        owner, member, former, blocker, kind="group", name=f"Schachklub {owner.username}"
    )
    base = f"/api/conversations/{group['id']}"
    word = f"marzipan{owner.username}"

    async def talk() -> list[int]:
        said = [
            (await say(who, group["id"], text))["seq"]
            for who, text in (
                (owner, f"The {word} lighthouses"),
                (member, f"{word} of the blocker's friend"),
                (owner, f"{word} that is edited"),
                (owner, f"{word} that is deleted"),
            )
        ]
        await owner.delete(f"{base}/messages/{said[3]}")
        return said

    first = await talk()
    await owner.delete(f"{base}/members/{former.username}")
    edited = {"text": f"{word} was replaced by nougat"}
    assert (await owner.patch(f"{base}/messages/{first[2]}", edited)).status_code == 200
    await late.put(f"/api/users/{owner.username}/follow")
    for whom in (late, invited):
        await owner.put(f"{base}/members/{whom.username}")
    await blocker.put(f"/api/users/{owner.username}/block")
    second = await talk()
    request = await conversation(owner, asked, strangers=True)
    await say(owner, request["id"], f"{word} for a stranger")
    readers = (owner, member, late, former, invited, blocker, stranger, asked)
    # Nobody indexes until the lock is released.
    connection = await asyncpg.connect(stack.dsn())
    await connection.execute(
        "SELECT pg_advisory_lock(hashtextextended('websocket.index_messages', 0))"
    )
    for is_indexed in (False, True):
        if is_indexed:
            await connection.close()
            await eventually(lambda: _is_indexed(stack, group["id"]))
        for number, reader in enumerate(readers):
            wanted = set()
            for one in (group, request):
                if (
                    await reader.get(f"/api/conversations/{one['id']}/messages")
                ).status_code == 200:
                    wanted |= {
                        (one["id"], message["seq"])
                        for message in await history(reader, one["id"], limit=100)
                        if word in message["text"] and not message.get("folded")
                    }
            if reader is former:
                # It was edited since, and what it said is no longer kept for searching.
                wanted.remove((group["id"], first[2]))
            assert await places(reader, word) == wanted, number
            assert await places(reader, word, sort="time") == wanted, number
        assert await places(former, "nougat") == set()
        assert len(await places(owner, word)) == 7
        assert await places(member, f"lighthouse in:schachklub in:{group['id'].upper()}") == {
            (group["id"], first[0]), (group["id"], second[0]),
        }  # fmt: skip
        assert await places(member, f"{word} from:me") == await places(
            owner, f"{word} from:{member.username}"
        )
        assert await places(asked, f"in:{owner.username} -nothing") == {(request["id"], 1)}
    (item,) = await found(asked, word)
    assert (item["kind"], item["other"]["username"]) == ("direct", owner.username)
    assert item["snippet"][0] == {"text": word, "is_match": True}
    at = (await history(asked, item["conversation_id"], at=item["sent_at"]))[0]
    assert at["seq"] == item["seq"]
    assert (await client.get("/api/search/messages?q=a")).status_code == 401


async def _is_indexed(stack: Stack, conversation_id: str) -> bool:
    rows = await stack.sql(
        "SELECT c.last_seq = i.seq AS is_all FROM websocket.conversations c"
        " JOIN websocket.indexed_messages i ON i.conversation_id = c.id WHERE c.id = $1",
        conversation_id,
    )
    return bool(rows and rows[0]["is_all"])


def test_index_waits_while_many_are_sent_but_not_for_ever_and_rests_between_steps() -> None:
    pace = indexing.Pace(0.0)
    assert pace.may_step(0, 0.0)
    assert pace.pause(0.0, 0.5, is_behind=True) == 1.5, "a quarter of the time in calm hours"
    assert pace.pause(0.0, 0.1, is_behind=False) == indexing.PAUSE_SECONDS
    stored, now = 0, 0.1

    def later(sent: int) -> bool:
        nonlocal stored, now
        stored, now = stored + sent, now + 1
        return pace.may_step(stored, now)

    assert later(400)
    pace.pause(now, now, is_behind=False)
    since = now
    while not later(5000):
        assert now - since < indexing.LATEST_SECONDS
    assert now - since >= indexing.LATEST_SECONDS
    assert pace.pause(now - 0.1, now, is_behind=True) == pytest.approx(1.9), "a twentieth of it"
    assert not later(5000)
    since = now
    while not later(100):
        assert now - since < indexing.CALM_AFTER_SECONDS
    assert now - since >= indexing.CALM_AFTER_SECONDS
    assert pace.pause(now, now + 0.1, is_behind=True) == pytest.approx(0.3), "calm again"


async def test_pictures_are_found_by_what_describes_them_now(stack: Stack, join: Join) -> None:
    ada, ben = await join(), await join()
    word = f"lighthouse{ada.username}"
    pictures = [await uploaded(ada, encoded(picture()), alt=f"An old {word}") for _ in range(2)]
    post = await ada.write("Look", media_ids=[pictures[0]["id"]])
    group = await conversation(ada, ben, kind="group", name="pictures")
    said = await say(ada, group["id"], "", media_ids=[pictures[1]["id"]])
    place = (group["id"], said["seq"])

    async def posts(text: str) -> list[str]:
        answer = await ben.get("/api/search/posts", params={"q": text})
        return [one["id"] for one in answer.json()["items"]]

    for _ in range(2):
        assert await posts(f"{word} has:picture") == [post["id"]]
        assert await places(ben, word) == {place}
        await ada.patch(f"/api/media/{pictures[0]['id']}", {"alt": f"A new {word}"})
    await ada.delete(f"/api/conversations/{group['id']}/members/{ben.username}")
    for one in pictures:
        await ada.patch(f"/api/media/{one['id']}", {"alt": f"A windmill of {ada.username}"})
    assert await posts(word) == await posts(f'"old {word}"') == []
    assert await posts(f"windmills {ada.username}") == [post["id"]]
    assert await places(ada, f"windmill {ada.username}") == {place}
    # Who left finds it by neither: what it was described as is no longer kept.
    await eventually(lambda: _is_empty(places(ben, f"windmill {ada.username}")))
    assert await places(ben, word) == set()


async def test_match_beside_the_text_is_shown(stack: Stack, join: Join) -> None:
    ada, ben = await join(), await join()
    word = f"lighthouse{ada.username}"
    pictures = [await uploaded(ada, encoded(picture()), alt=f"Ada's <{word}>") for _ in range(2)]
    other = await uploaded(ada, encoded(picture()), alt="A dog")
    media = [other["id"], pictures[0]["id"]]
    await ada.write("Look", media_ids=media)
    poll = {"options": [f"The {word}", "The sea"], "expires_in_seconds": 600}
    await ada.write(f"Where to, {word}?", poll=poll)
    group = await conversation(ada, ben, kind="group", name="pictures")
    await say(ada, group["id"], "", media_ids=[pictures[1]["id"]])
    described = [["Ada's <", False], [word, True], [">", False]]
    asked = [["The ", False], [word, True]]

    async def parts(path: str, text: str) -> list[list[Any]]:
        answer = await ben.get(f"/api/search/{path}", params={"q": text, "sort": "time"})
        return [
            [
                (one["kind"], [[part["text"], part["is_match"]] for part in one["snippet"]])
                for one in item["matching_parts"]
            ]
            for item in answer.json()["items"]
        ]

    assert await parts("posts", word) == [[("poll_option", asked)], [("picture", described)]]
    assert await parts("messages", word) == [[("picture", described)]]
    assert await parts("posts", f"from:{ada.username} has:picture") == [[]], "nothing to emphasize"


async def _is_empty(found: Awaitable[set[tuple[str, int]]]) -> bool:
    return not await found


async def test_edited_and_deleted_messages_leave_nothing_in_the_index(
    stack: Stack, join: Join
) -> None:
    one, other = await join(), await join()
    talk = await conversation(one, other)
    base = f"/api/conversations/{talk['id']}/messages"
    word = f"quark{one.username}"
    seqs = [(await say(one, talk["id"], f"{word} {n}"))["seq"] for n in range(4)]
    stored = (
        "SELECT seq FROM websocket.message_words"
        " WHERE conversation_id = $1 AND words @@ quote_literal($2)::tsquery ORDER BY seq"
    )

    async def indexed() -> list[int]:
        return [row["seq"] for row in await stack.sql(stored, talk["id"], word)]

    for seq in seqs[:2]:
        await one.delete(f"{base}/{seq}")
    await eventually(lambda: _is_indexed(stack, talk["id"]))
    assert await indexed() == seqs[2:]
    await one.delete(f"{base}/{seqs[2]}")
    await one.patch(f"{base}/{seqs[3]}", {"text": "curd"})
    assert await indexed() == []
    assert await places(other, word) == set()
    assert await places(other, "curds") == {(talk["id"], seqs[3])}


async def test_who_left_a_group_does_not_learn_its_new_name(join: Join) -> None:
    owner, former = await join(), await join()
    word = f"quagga{owner.username}"
    name = f"Teekränzchen {owner.username}"
    group = await conversation(owner, former, kind="group", name=name)
    await say(owner, group["id"], word)
    base = f"/api/conversations/{group['id']}"

    async def suggested(by: Member, text: str) -> list[str]:
        answer = await by.get("/api/search/suggest", params={"q": text})
        return [one["name"] for one in answer.json()["conversations"]]

    assert [one["name"] for one in await found(former, word)] == [name]
    assert await suggested(former, "teekranz") == [name]
    assert (await former.delete(f"{base}/members/{former.username}")).status_code == 204
    later = f"Without {former.username}"
    assert (await owner.patch(base, {"name": later})).status_code == 200
    assert [one["name"] for one in await found(former, f"in:{group['id']} {word}")] == [None]
    assert [one["name"] for one in await found(owner, word)] == [later]
    for text in ("teekranz", later):
        assert await suggested(former, text) == []
    assert await suggested(owner, later) == [later]
    for text in (f"in:Without {word}", f'in:"{later}" {word}', "in:teekr"):
        assert await places(former, text) == set()
    assert await places(owner, f'in:"{later}" {word}') == {(group["id"], 1)}
    assert await places(former, f"in:{group['id']} {word}") == {(group["id"], 1)}
