"""Groups: who takes part, with which role, and what each may read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from httpx import Response

from tests.conftest import Member, Stack
from tests.services.websocket.chat.talking import (
    Join,
    connected,
    conversation,
    delete_account,
    history,
    quiet,
    received,
    say,
)


def members_of(group: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {one["username"]: (one["role"], one["state"]) for one in group["members"]}


async def shown(member: Member, conversation_id: str) -> dict[str, Any]:
    answer = await member.get(f"/api/conversations/{conversation_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_followers_take_part_at_once_and_strangers_are_invited(join: Join) -> None:
    ada, ben, eve = await join(), await join(), await join()
    await ben.put(f"/api/users/{ada.username}/follow")
    found = await conversation(ada, ben, eve, strangers=True, kind="group", name="three")
    assert members_of(found) == {
        ada.username: ("owner", "joined"),
        ben.username: ("member", "joined"),
        eve.username: ("member", "invited"),
    }
    base = f"/api/conversations/{found['id']}"
    await say(ada, found["id"], "before")
    assert (await eve.get(f"{base}/messages")).status_code == 404
    (invitation,) = (await eve.get("/api/conversations?folder=requests")).json()["items"]
    assert (invitation["id"], invitation["state"], invitation["unread"]) == (
        found["id"], "invited", 0,
    )  # fmt: skip
    assert (await eve.put(f"{base}/members/{eve.username}")).status_code == 204
    await say(ada, found["id"], "after")
    assert [(one["event"], one["text"]) for one in await history(eve, found["id"])] == [
        ("joined", ""), (None, "after"),
    ]  # fmt: skip


async def test_who_declines_is_not_invited_again_by_the_same_one_for_a_week(
    stack: Stack, join: Join
) -> None:
    ada, ben, eve = await join(), await join(), await join()
    await ben.put(f"/api/users/{ada.username}/follow")
    found = await conversation(ada, ben, eve, strangers=True, kind="group", name="three")
    members = f"/api/conversations/{found['id']}/members"
    assert (await ada.put(f"{members}/{ben.username}", {"role": "admin"})).status_code == 204
    assert (await eve.delete(f"{members}/{eve.username}")).status_code == 204
    again = await ada.put(f"{members}/{eve.username}")
    assert (again.status_code, "next week" in again.json()["detail"]) == (409, True)
    assert (await ben.put(f"{members}/{eve.username}")).status_code == 204, "others may"
    assert (await eve.delete(f"{members}/{eve.username}")).status_code == 204
    assert (await ben.put(f"{members}/{eve.username}")).status_code == 409
    await stack.sql(
        "UPDATE websocket.participants SET since = since - interval '7 days'"
        " WHERE conversation_id = $1::uuid AND account_id = $2::uuid",
        found["id"],
        eve.id,
    )
    assert (await ben.put(f"{members}/{eve.username}")).status_code == 204


async def test_one_member_brings_a_bounded_number_of_people_into_conversations(
    join: Join, name: Callable[[], str]
) -> None:
    """Each of them is told, and what is told to others waits for that."""
    ada, ben = await join(), await join()

    async def until_refused() -> Response:
        while True:
            body = {"kind": "group", "members": [name() for _ in range(400)]}
            answer = await ada.post("/api/conversations", body)
            if answer.status_code != 422:
                return answer

    # The clock's minute may end meanwhile: then it takes as many again.
    async with asyncio.timeout(60):
        answer = await until_refused()
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 61
    assert (await conversation(ben, ada))["id"]


async def test_declined_invitation_is_gone(join: Join) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben, strangers=True, kind="group", name="two")
    path = f"/api/conversations/{found['id']}"
    assert (await ben.delete(f"{path}/members/{ben.username}")).status_code == 204
    assert (await ben.get(path)).status_code == 404
    assert members_of(await shown(ada, found["id"])) == {ada.username: ("owner", "joined")}


async def test_who_is_leaving_can_be_removed_and_not_promoted(stack: Stack, join: Join) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben, kind="group", name="some")
    path = f"/api/conversations/{found['id']}/members/{ben.username}"
    await stack.sql("SELECT feed.hide_member($1, true)", ben.id)
    assert members_of(await shown(ada, found["id"])) == {ada.username: ("owner", "joined")}
    assert (await ada.put(path, {"role": "owner"})).status_code == 403
    assert (await ada.delete(path)).status_code == 204
    assert (await ada.delete(path)).status_code == 404
    await stack.sql("SELECT feed.hide_member($1, false)", ben.id)
    assert members_of(await shown(ada, found["id"])) == {ada.username: ("owner", "joined")}
    assert (await ben.get(f"/api/conversations/{found['id']}")).status_code == 404


async def test_removed_members_get_nothing_after_and_added_ones_nothing_before(
    stack: Stack, join: Join
) -> None:
    ada, ben, eve = await join(), await join(), await join()
    await eve.put(f"/api/users/{ada.username}/follow")
    found = await conversation(ada, ben, kind="group", name="some")
    base = f"/api/conversations/{found['id']}"
    await say(ada, found["id"], "one")
    async with connected(stack, ben) as at_ben, connected(stack, eve) as at_eve:
        assert (await ada.put(f"{base}/members/{eve.username}")).status_code == 204
        assert (await received(at_eve, "message"))["event"] == "added"
        while (await received(at_ben, "message"))["event"] != "added":
            pass
        assert (await ada.delete(f"{base}/members/{ben.username}")).status_code == 204
        last = await received(at_ben, "message")
        assert (last["event"], last["subject"]) == ("removed", ben.username)
        await quiet(at_ben)
        edited = await say(ada, found["id"], "two")
        await ada.patch(f"{base}/messages/{edited['seq']}", {"text": "two, edited"})
        await ada.put(f"{base}/messages/1/reactions/👍")
        assert (await received(at_eve, "message_changed"))["text"] == "two, edited"
        assert await quiet(at_ben) == []
    assert [one["text"] for one in await history(ben, found["id"])] == ["one", "", ""]
    assert [one["text"] for one in await history(eve, found["id"])] == ["", "", "two, edited"]
    await ada.patch(f"{base}/messages/1", {"text": "one, edited"})
    assert (await history(ben, found["id"]))[0]["text"] == "one"


async def test_group_may_show_what_was_said_before(join: Join) -> None:
    ada, ben, eve = await join(), await join(), await join()
    await eve.put(f"/api/users/{ada.username}/follow")
    found = await conversation(ada, ben, kind="group", name="open", is_history_visible=True)
    await say(ada, found["id"], "before")
    await ada.put(f"/api/conversations/{found['id']}/members/{eve.username}")
    assert [one["text"] for one in await history(eve, found["id"])] == ["before", ""]


async def test_roles_bound_what_one_may_do(join: Join) -> None:
    owner, admin, member, other = [await join() for _ in range(4)]
    found = await conversation(owner, admin, member, other, kind="group", name="roles")
    base = f"/api/conversations/{found['id']}"

    async def put(who: Member, whom: Member, role: str | None = None) -> int:
        body = {"role": role} if role else None
        return (await who.put(f"{base}/members/{whom.username}", body)).status_code

    async def remove(who: Member, whom: Member) -> int:
        return (await who.delete(f"{base}/members/{whom.username}")).status_code

    assert await put(member, other, "admin") == 403
    assert await put(owner, admin, "admin") == 204
    assert await put(admin, member, "admin") == 403
    assert await remove(member, other) == 403
    assert await remove(admin, owner) == 403
    assert await remove(admin, other) == 204
    assert await remove(admin, other) == 404
    assert await put(member, other) == 403
    assert (await member.patch(base, {"name": "mine"})).status_code == 403
    assert (await admin.patch(base, {"name": "ours"})).json()["name"] == "ours"
    assert (await admin.patch(base, {"name": " \u00a0"})).status_code == 422
    assert await put(owner, admin, "owner") == 204
    assert members_of(await shown(member, found["id"]))[owner.username] == ("admin", "joined")
    assert await remove(admin, admin) == 204
    assert members_of(await shown(member, found["id"])) == {
        owner.username: ("owner", "joined"), member.username: ("member", "joined"),
    }  # fmt: skip
    events = [(one["event"], one["subject"]) for one in await history(member, found["id"])]
    assert events == [
        ("promoted", admin.username), ("removed", other.username), ("renamed", None),
        ("promoted", admin.username), ("left", None), ("promoted", owner.username),
    ]  # fmt: skip


async def test_group_gets_an_owner_when_the_owners_account_is_deleted(
    stack: Stack, join: Join
) -> None:
    owner, member, admin = [await join() for _ in range(3)]
    found = await conversation(owner, member, kind="group", name="orphaned")
    path = f"/api/conversations/{found['id']}/members"
    await admin.put(f"/api/users/{owner.username}/follow")
    await owner.put(f"{path}/{admin.username}", {"role": "admin"})
    before = (await shown(member, found["id"]))["version"]
    async with connected(stack, member) as socket:
        await delete_account(stack, owner)
        group = await shown(member, found["id"])
        assert members_of(group) == {
            member.username: ("member", "joined"), admin.username: ("owner", "joined"),
        }  # fmt: skip
        assert group["version"] > before
        await say(admin, found["id"], "so it is me")
        line, message = [await received(socket, "message") for _ in range(2)]
    assert (line["event"], line["sender"], line["subject"]) == ("promoted", None, admin.username)
    assert (message["text"], message["seq"]) == ("so it is me", line["seq"] + 1)


async def test_account_that_is_erased_leaves_its_conversations_before_everybodys_eyes(
    stack: Stack, join: Join
) -> None:
    """Nothing has to be said first for others to see who owns the group now."""
    owner, heir = await join(), await join()
    group = await conversation(owner, heir, kind="group", name="left behind")
    said = await say(owner, group["id"], "what I said")
    direct = await conversation(owner, heir)
    await say(owner, direct["id"], "bye")
    async with connected(stack, heir) as socket:
        await stack.sql(
            "INSERT INTO jobs.jobs (kind, payload, request_id)"
            " VALUES ('erase_from_chitlaq_websocket', jsonb_build_object('account_id', $1::text), '')",
            owner.id,
        )
        lines: list[dict[str, Any]] = []
        about: set[str] = set()
        erased: list[tuple[int, str, bool, None]] = []
        async with asyncio.timeout(30):
            while len(lines) < 2 or len(about) < 2 or not erased:
                frame = json.loads(await socket.recv())
                # The direct conversation's "bye" may arrive late.
                if frame["type"] == "message" and frame["conversation_id"] == group["id"]:
                    lines.append(frame)
                elif frame["type"] == "conversation_changed":
                    about.add(frame["conversation_id"])
                elif frame["type"] == "message_changed":
                    erased.append((frame["seq"], frame["text"], frame["deleted"], frame["sender"]))
    assert erased == [(said["seq"], "", True, None)]
    assert [(line["event"], line["subject"]) for line in lines] == [
        ("left", None), ("promoted", heir.username),
    ]  # fmt: skip
    assert about == {group["id"], direct["id"]}
    assert members_of(await shown(heir, group["id"])) == {heir.username: ("owner", "joined")}
    assert (await heir.get(f"/api/conversations/{direct['id']}")).status_code == 404


async def test_first_to_join_a_group_that_all_have_left_owns_it(join: Join) -> None:
    owner, guest = await join(), await join()
    found = await conversation(owner, guest, strangers=True, kind="group", name="left")
    path = f"/api/conversations/{found['id']}/members"
    assert (await owner.delete(f"{path}/{owner.username}")).status_code == 204
    assert (await guest.put(f"{path}/{guest.username}")).status_code == 204
    assert members_of(await shown(guest, found["id"])) == {guest.username: ("owner", "joined")}


async def test_settings_of_one_member_are_their_own(stack: Stack, join: Join) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    path = f"/api/conversations/{found['id']}"
    async with connected(stack, ada) as other_device, connected(stack, ben) as at_ben:
        body = {"muted_until": "2099-01-01T00:00:00Z", "archived": True, "pinned": True}
        changed = (await ada.patch(path, body)).json()
        assert {key: changed[key] for key in body} == body
        frame = await received(other_device, "conversation_changed")
        assert frame["conversation_id"] == found["id"]
        assert await quiet(at_ben) == []
    assert not (await shown(ben, found["id"]))["archived"]
    assert (await ada.get("/api/conversations")).json()["items"] == []
    assert len((await ada.get("/api/conversations?folder=archived")).json()["items"]) == 1
    changed = (await ada.patch(path, {"muted_until": None, "archived": False})).json()
    assert (changed["muted_until"], changed["archived"], changed["pinned"]) == (None, False, True)


async def test_pinned_conversations_come_first_and_pages_have_no_gap(join: Join) -> None:
    ada = await join()
    found = [await conversation(ada, await join()) for _ in range(4)]
    await ada.patch(f"/api/conversations/{found[1]['id']}", {"pinned": True})
    seen: list[str] = []
    cursor = ""
    while len(seen) < 10:
        page = (await ada.get(f"/api/conversations?limit=2{cursor}")).json()
        seen += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [found[number]["id"] for number in (1, 3, 2, 0)]


async def test_each_message_has_the_readers_of_its_moment(stack: Stack, join: Join) -> None:
    """Somebody is removed and added again and again while messages are in flight."""
    ada, ben, eve = await join(), await join(), await join()
    found = await conversation(ada, ben, eve, kind="group", name="busy")
    path = f"/api/conversations/{found['id']}/members/{eve.username}"

    async def move() -> None:
        for _ in range(5):
            assert (await ada.delete(path)).status_code == 204
            assert (await ada.put(path)).status_code == 204

    async def talk() -> None:
        for number in range(40):
            await say(ben, found["id"], str(number))

    async with connected(stack, eve) as at_eve:
        await asyncio.gather(move(), talk())
        last = await say(eve, found["id"], "last")
        seen: list[int] = []
        while last["seq"] not in seen:
            seen.append((await received(at_eve, "message"))["seq"])
    everything = await history(ben, found["id"], limit=100)
    is_there, expected = True, []
    for message in everything:
        is_line = message["event"] in {"added", "removed"}
        if is_there or is_line:
            expected.append(message["seq"])
        if is_line:
            is_there = message["event"] == "added"
    assert seen == expected
