"""Pictures in messages and of groups: sent, seen by those who may see where they are, and gone with it."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx

from tests.conftest import Member, Stack, eventually
from tests.services.auth.test_roles import granted
from tests.services.feed.pictures import encoded, picture, seen, upload, uploaded
from tests.services.websocket.chat.talking import (
    Join,
    connected,
    conversation,
    delete_account,
    history,
    received,
    say,
    send,
)


async def pending(member: Member) -> str:
    """A picture that is not rendered yet."""
    answer = await upload(member, encoded(picture()))
    assert answer.status_code == 201, answer.text
    media_id: str = answer.json()["id"]
    return media_id


async def test_picture_is_seen_by_those_who_may_read_its_message_and_by_nobody_else(
    stack: Stack, client: httpx.AsyncClient, join: Join
) -> None:
    owner, member, former, later, invited = [await join() for _ in range(5)]
    stranger, requested, blocked, folding, ended = [await join() for _ in range(5)]
    moderator = await granted(stack, await join(), "moderator")
    group = await conversation(owner, member, former, folding, ended, kind="group", name="seen")
    path = f"/api/conversations/{group['id']}"
    request = await conversation(owner, requested, strangers=True)
    direct = await conversation(owner, blocked)
    urls = []
    for found in (group, request, direct):
        made = await uploaded(owner, encoded(picture()))
        await say(owner, found["id"], "", media_ids=[made["id"]])
        urls.append(made["url"])
    made = await uploaded(owner, encoded(picture()))
    await owner.patch(path, {"picture_id": made["id"]})
    urls.append(made["url"])
    await owner.delete(f"{path}/members/{former.username}")
    await later.put(f"/api/users/{owner.username}/follow")
    await owner.put(f"{path}/members/{later.username}")
    await owner.put(f"{path}/members/{invited.username}")
    await owner.put(f"/api/users/{blocked.username}/block")
    # A blocker reads what is folded away, too.
    await folding.put(f"/api/users/{owner.username}/block")
    await ended.post("/api/auth/logout", {"refresh_token": ended.refresh_token})

    async def is_known() -> bool:
        # To the service that hands pictures out.
        return (await ended.get("/api/users/me")).status_code == 401

    await eventually(is_known)
    rules: list[tuple[Member | None, tuple[int, int, int, int]]] = [
        (owner, (200, 200, 200, 200)),
        (member, (200, 404, 404, 200)),
        (former, (200, 404, 404, 404)),
        (later, (404, 404, 404, 200)),
        (invited, (404, 404, 404, 200)),
        (stranger, (404, 404, 404, 404)),
        (requested, (404, 200, 404, 404)),
        (blocked, (404, 404, 200, 404)),
        (folding, (200, 404, 404, 200)),
        (moderator, (404, 404, 404, 404)),
        (None, (404, 404, 404, 404)),
        (ended, (401, 401, 401, 401)),
    ]
    for number, (viewer, expected) in enumerate(rules):
        answers = [await seen(client, url, viewer) for url in urls]
        assert tuple(one.status_code for one in answers) == expected, number
        for one in answers:
            if one.status_code == 200:
                assert one.headers["cache-control"] == "private, no-cache"
    # Whoever reads the history from its begin sees what is in it.
    for viewer, found in ((member, group), (former, group), (requested, request)):
        shown = [one for line in await history(viewer, found["id"]) for one in line["media"]]
        assert [one["url"] in urls for one in shown] == [True]
    # Who left does not get a description that is written then.
    await owner.patch(urls[0].removesuffix("/large"), {"alt": "After they left"})

    async def described(viewer: Member) -> list[str]:
        return [one["alt"] for line in await history(viewer, group["id"]) for one in line["media"]]

    async def is_hidden() -> bool:
        return await described(former) == [""]

    await eventually(is_hidden)
    assert await described(member) == ["After they left"]
    assert (await owner.delete(f"{path}/messages/1")).status_code == 204
    assert [(await seen(client, urls[0], one)).status_code for one in (owner, member)] == [404, 404]


async def test_picture_is_shown_as_it_becomes_on_every_device(
    stack: Stack, client: httpx.AsyncClient, join: Join
) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    await say(ada, found["id"], "first: later ones are delivered as messages")
    async with connected(stack, ada) as at_ada, connected(stack, ben) as at_ben:
        media_id = await pending(ada)
        await send(at_ada, found["id"], "", media_ids=[media_id])
        assert (await received(at_ada, "ack"))["seq"] == 2
        message = await received(at_ben, "message")
        assert (message["text"], [one["id"] for one in message["media"]]) == ("", [media_id])
        # Which of the two was first does not matter.
        if message["media"][0]["blurhash"] is None:
            message = await received(at_ben, "message_changed")
        (shown,) = message["media"]
        assert (shown["width"], shown["height"], bool(shown["blurhash"])) == (64, 48, True)
        assert (await seen(client, shown["url"], ben)).status_code == 200
        await ada.patch(f"/api/media/{media_id}", {"alt": "Coloured blocks"})
        for socket in (at_ada, at_ben):
            described: Any = {"media": [{"alt": ""}]}
            while described["media"][0]["alt"] != "Coloured blocks":
                described = await received(socket, "message_changed")
        # A caption that is written later, and taken back, leaves it there.
        path = f"/api/conversations/{found['id']}/messages/2"
        for text in ("Look", ""):
            edited = (await ada.patch(path, {"text": text})).json()
            assert (edited["text"], edited["media"]) == (text, described["media"])
        assert (await ada.patch(f"{path[:-1]}1", {"text": ""})).status_code == 422
        assert (await ada.delete(path)).status_code == 204
        gone: Any = {"deleted": False}
        while not gone["deleted"]:
            gone = await received(at_ben, "message_changed")
        assert gone["media"] == []
        # One that cannot be read is said to be lost: else the message would be empty.
        broken = await upload(ada, encoded(picture())[:-400])
        lost: Any = await say(ada, found["id"], "", media_ids=[broken.json()["id"]])
        while "lost_pictures" not in lost:
            lost = await received(at_ben, "message_changed")
        assert (lost["seq"], lost["media"], lost["lost_pictures"]) == (3, [], 1)
        assert (await history(ben, found["id"]))[-1]["lost_pictures"] == 1


async def test_message_that_cannot_have_its_pictures_is_not_stored(
    stack: Stack, join: Join
) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    path = f"/api/conversations/{found['id']}/messages"
    in_post, in_message, own, others = [await pending(one) for one in (ada, ada, ada, ben)]
    await ada.write("With a picture", media_ids=[in_post])
    said = await say(ada, found["id"], "kept", media_ids=[in_message], client_id="kept")
    refused: list[Any] = [
        [in_post], [in_message], [others], [own, others], [own, own], [str(uuid4())], [own] * 5, ["x"],
    ]  # fmt: skip
    async with connected(stack, ada) as socket:
        for media_ids in refused:
            body = {"text": "no", "client_id": "no", "media_ids": media_ids}
            answer = await ada.post(path, body)
            assert answer.status_code in {400, 422}, media_ids
            await send(socket, found["id"], "no", media_ids=media_ids)
            assert (await received(socket, "error"))["status"] in {400, 422}, media_ids
        for text in ("", " \u200b"):
            assert (await ada.post(path, {"text": text, "client_id": "x"})).status_code == 422
            await send(socket, found["id"], text)
            assert (await received(socket, "error"))["status"] == 422
    assert len(await history(ada, found["id"])) == 1
    again = await ada.post(path, {"text": "kept", "client_id": "kept", "media_ids": [own]})
    assert (again.status_code, again.json()["seq"]) == (200, said["seq"])
    assert [one["id"] for one in again.json()["media"]] == [in_message]
    posted = await ada.post("/api/posts", {"text": "Again", "media_ids": [in_message]})
    assert posted.status_code == 422
    # Nothing of what was refused holds the picture.
    assert (await say(ada, found["id"], "", media_ids=[own]))["media"]


async def test_answering_a_request_with_a_picture_accepts_it(join: Join) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben, strangers=True)
    await say(ada, found["id"], "hello")
    said = await say(ben, found["id"], "", media_ids=[await pending(ben)])
    assert (said["seq"], len(said["media"])) == (2, 1)
    (shown,) = (await ben.get("/api/conversations")).json()["items"]
    assert shown["state"] == "joined"


async def test_nothing_is_left_of_pictures_in_messages_that_are_erased(
    stack: Stack, join: Join
) -> None:
    """With their account or by its erasure, or with a direct conversation; others' messages stay."""
    keeper, erased, gone = [await join() for _ in range(3)]
    group = await conversation(keeper, erased, gone, kind="group", name="left")
    direct = await conversation(gone, keeper)
    pictures = {
        name: await pending(member)
        for name, member in (("keeper", keeper), ("erased", erased), ("gone", gone), ("in direct", keeper))
    }  # fmt: skip
    for name, member in (("keeper", keeper), ("erased", erased), ("gone", gone)):
        await say(member, group["id"], name, media_ids=[pictures[name]])
    await say(keeper, direct["id"], "", media_ids=[pictures["in direct"]])
    await stack.sql(
        "INSERT INTO jobs.jobs (kind, payload, request_id)"
        " VALUES ('erase_from_chitlaq_websocket', jsonb_build_object('account_id', $1::text), 'x')",
        erased.id,
    )
    await delete_account(stack, gone)
    rest = [media_id for name, media_id in pictures.items() if name != "keeper"]

    async def nothing_is_left() -> bool:
        return not await stack.sql("SELECT FROM feed.media WHERE id = ANY ($1::uuid[])", rest)

    await eventually(nothing_is_left)
    lines = [one for one in await history(keeper, group["id"]) if one["event"] is None]
    assert [(one["text"], len(one["media"])) for one in lines] == [
        ("keeper", 1),
        ("", 0),
        ("gone", 0),
    ]


async def test_group_shows_the_picture_that_its_admins_give_it(
    stack: Stack, client: httpx.AsyncClient, join: Join
) -> None:
    owner, admin, member, outsider = [await join() for _ in range(4)]
    group = await conversation(owner, admin, member, kind="group", name="shown")
    path = f"/api/conversations/{group['id']}"
    await owner.put(f"{path}/members/{admin.username}", {"role": "admin"})
    assert group["picture"] is None
    first, second, others, failed = [
        await uploaded(one, content, alt="Blocks")
        for one, content in (
            (owner, encoded(picture())), (admin, encoded(picture())), (outsider, encoded(picture())),
            (owner, encoded(picture())[:-400]),
        )
    ]  # fmt: skip
    said = await say(owner, group["id"], "", media_ids=[(await pending(owner))])
    assert failed["state"] == "failed"
    assert failed["reason"].startswith("The picture cannot be shown: it is damaged")
    told = await client.get(
        f"/api/media/{failed['id']}",
        headers={**owner.headers, "Accept-Language": "tr"},
    )
    assert told.json()["reason"].startswith("Resim gösterilemiyor: bozuk")
    in_message = said["media"][0]["id"]
    for media_id in (others["id"], failed["id"], in_message, second["id"], str(uuid4()), "x"):
        answer = await owner.patch(path, {"picture_id": media_id, "name": "not renamed"})
        assert answer.status_code in {400, 422}, media_id
    assert (await member.patch(path, {"picture_id": first["id"]})).status_code == 403
    async with connected(stack, member) as socket:
        answer = await owner.patch(path, {"picture_id": first["id"]})
        assert (answer.status_code, answer.json()["name"]) == (200, "shown")
        version = answer.json()["version"]
        missing = {("message", "picture_changed"), ("conversation_changed", version)}
        async with asyncio.timeout(30):
            while missing:
                frame = json.loads(await socket.recv())
                missing.discard((frame["type"], frame.get("event", frame.get("version"))))
        (listed,) = (await member.get("/api/conversations")).json()["items"]
        assert (listed["version"], listed["picture"]["alt"]) == (version, "Blocks")
        assert (listed["picture"]["id"], listed["picture"]["blurhash"]) == (
            first["id"], first["blurhash"]
        )  # fmt: skip
        # Again, it changes nothing.
        again = await admin.patch(path, {"picture_id": first["id"]})
        assert again.json()["version"] == version
        answer = await admin.patch(path, {"picture_id": second["id"]})
        assert answer.json()["picture"]["id"] == second["id"]
        for one, status in ((first, 404), (second, 200)):
            assert (await seen(client, one["url"], member)).status_code == status
        assert (await admin.patch(path, {"picture_id": None})).json()["picture"] is None
    events = [line["event"] for line in await history(member, group["id"])][-3:]
    assert events == ["picture_changed", "picture_changed", "picture_removed"]
    # What becomes of one whose group is gone, or who uploaded it.
    gone = await conversation(owner, admin, kind="group", name="gone")
    third, fourth = [await uploaded(one, encoded(picture())) for one in (owner, admin)]
    await owner.patch(f"/api/conversations/{gone['id']}", {"picture_id": third["id"]})
    await admin.patch(path, {"picture_id": fourth["id"]})
    await stack.sql("DELETE FROM websocket.conversations WHERE id = $1", gone["id"])
    await delete_account(stack, admin)
    rest = [one["id"] for one in (first, second, third, fourth)]

    async def nothing_is_left() -> bool:
        return not await stack.sql("SELECT FROM feed.media WHERE id = ANY ($1::uuid[])", rest)

    await eventually(nothing_is_left)
    shown = (await member.get(path)).json()
    assert (shown["name"], shown["picture"]) == ("shown", None)
