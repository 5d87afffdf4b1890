"""Every route and frame of chat for everybody who may or may not use it, and for what makes no sense."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from typing import Any, get_args

import httpx
import msgspec
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from chitlaq.core.http import routes
from chitlaq.services.websocket import protocol
from chitlaq.services.websocket.routes import SERVICE
from chitlaq.services.websocket.sockets.frames import type_of
from tests.conftest import Member, Stack
from tests.services.websocket.chat.talking import (
    Join,
    conversation,
    history,
    quiet,
    received,
    say,
)
from tests.services.websocket.test_websocket import signed_in, url

ONE = "/conversations/{conversation_id}"
MESSAGE = ONE + "/messages/{seq}"
REACTION = MESSAGE + "/reactions/{emoji}"
MEMBER = ONE + "/members/{username}"
ROLES = ("member", "former", "invited", "stranger", "requested", "blocked", "signed out")
# What each of `ROLES` is answered. The message is another's; sending comes last, since it accepts a request.
ROUTES: dict[tuple[str, str], tuple[int, ...]] = {
    ("GET", ONE): (200, 404, 200, 404, 200, 200, 401),
    ("PATCH", ONE): (200, 404, 200, 404, 200, 200, 401),
    ("PUT", MEMBER): (403, 404, 403, 404, 409, 409, 401),
    ("DELETE", MEMBER): (403, 404, 403, 404, 409, 409, 401),
    ("GET", ONE + "/messages"): (200, 200, 404, 404, 200, 200, 401),
    ("PATCH", MESSAGE): (403, 404, 404, 404, 404, 403, 401),
    ("DELETE", MESSAGE): (403, 404, 404, 404, 404, 403, 401),
    ("GET", MESSAGE + "/history"): (200, 200, 404, 404, 200, 200, 401),
    ("PUT", REACTION): (204, 404, 404, 404, 404, 403, 401),
    ("DELETE", REACTION): (204, 404, 404, 404, 404, 403, 401),
    ("POST", ONE + "/read"): (204, 404, 404, 404, 204, 204, 401),
    ("POST", ONE + "/messages"): (201, 404, 404, 404, 201, 403, 401),
}
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("PATCH", ONE): {"pinned": True},
    ("PATCH", MESSAGE): {"text": "changed"},
    ("POST", ONE + "/read"): {"seq": 1},
    ("POST", ONE + "/messages"): {"text": "hello", "client_id": "matrix"},
}
# What each of `ROLES` gets for a frame, and whether another who takes part gets something.
FRAMES: dict[str, tuple[tuple[object, ...], tuple[bool, ...]]] = {
    "typing": (
        ((), (), (), (), (), (), ("error", 401)),
        (True, False, False, False, False, False, False),
    ),
    "watch": (
        (("presence",), (), (), (), (), (), ("error", 401)),
        (False,) * 7,
    ),
    "resume": (
        (
            ("message", "message", "message", "read", "resumed"), ("message", "message", "resumed"),
            ("resumed",), ("resumed",), ("resumed",), ("message", "read", "resumed"), ("error", 401),
        ),
        (False,) * 7,
    ),
    "send": (
        (("ack",), ("error", 404), ("error", 404), ("error", 404), ("ack",), ("error", 403), ("error", 401)),
        (True, False, False, False, True, False, False),
    ),
}  # fmt: skip


@pytest.fixture
async def places(join: Join) -> dict[str, tuple[Member | None, str, Member]]:
    """Who each role is, in which conversation, and whose it is."""
    owner, member, former, invited, stranger, requested, blocked = [await join() for _ in range(7)]
    group = await conversation(owner, member, former, kind="group", name="matrix")
    await say(owner, group["id"], "hello")
    path = f"/api/conversations/{group['id']}/members"
    await owner.delete(f"{path}/{former.username}")
    await owner.put(f"{path}/{invited.username}")
    request = await conversation(owner, requested, strangers=True)
    await say(owner, request["id"], "hello")
    direct = await conversation(owner, blocked)
    await say(owner, direct["id"], "hello")
    await owner.put(f"/api/users/{blocked.username}/block")
    found: dict[str, tuple[Member | None, str, Member]] = {
        "member": (member, group["id"], owner),
        "former": (former, group["id"], owner),
        "invited": (invited, group["id"], owner),
        "stranger": (stranger, group["id"], owner),
        "requested": (requested, request["id"], owner),
        "blocked": (blocked, direct["id"], owner),
        "signed out": (None, group["id"], owner),
    }
    return found


async def test_each_route_answers_each_role_as_the_rules_say(
    client: httpx.AsyncClient, places: dict[str, tuple[Member | None, str, Member]]
) -> None:
    declared = {
        (method, route.template)
        for route in routes.declared(SERVICE)
        for method in route.methods
        if "{conversation_id}" in route.template
    }
    assert declared == set(ROUTES), "say in ROUTES who may use a new route"
    for key, statuses in ROUTES.items():
        method, template = key
        for role, status in zip(ROLES, statuses, strict=True):
            who, conversation_id, owner = places[role]
            path = template.format(
                conversation_id=conversation_id, username=owner.username, seq=1, emoji="👍"
            )
            if method == "PUT" and template == MEMBER:
                stranger, _, _ = places["stranger"]
                assert stranger is not None
                path = path.replace(owner.username, stranger.username)
            answer = await client.request(
                method, f"/api{path}", json=BODIES.get(key), headers=who.headers if who else {}
            )
            assert answer.status_code == status, (key, role, answer.text)


async def test_each_frame_answers_each_role_as_the_rules_say(
    stack: Stack, places: dict[str, tuple[Member | None, str, Member]]
) -> None:
    kinds = {type_of(kind) for kind in get_args(protocol.ForMembers)}
    assert kinds == set(FRAMES), "say in FRAMES who may send a new frame"
    _, _, owner = places["member"]
    async with websockets.connect(url(stack)) as at_owner:
        await signed_in(at_owner, owner)
        for kind, (answers, reaches) in FRAMES.items():
            for role, expected, is_heard in zip(ROLES, answers, reaches, strict=True):
                who, conversation_id, _ = places[role]
                frame: dict[str, dict[str, Any]] = {
                    "typing": {"conversation_id": conversation_id},
                    "watch": {"usernames": [owner.username]},
                    "resume": {"conversations": {conversation_id: 0}},
                    "send": {
                        "conversation_id": conversation_id,
                        "text": role,
                        "client_id": role.replace(" ", "-"),
                    },
                }
                async with websockets.connect(url(stack)) as socket:
                    if who is not None:
                        await signed_in(socket, who)
                    await socket.send(json.dumps({"type": kind, **frame[kind]}))
                    # An acknowledgement takes its place among the messages: a ping may be answered before it.
                    acknowledged = [await received(socket, "ack")] if expected == ("ack",) else []
                    frames = acknowledged or await quiet(socket)
                if frames and frames[0]["type"] == "error":
                    found: tuple[object, ...] = ("error", frames[0]["status"])
                else:
                    found = tuple(frame["type"] for frame in frames)
                assert found == expected, (kind, role)
                if is_heard:
                    await received(at_owner, "message" if kind == "send" else kind)
                else:
                    heard = {frame["type"] for frame in await quiet(at_owner)}
                    assert not heard & {"message", "typing"}, (kind, role)


NONSENSE: tuple[Any, ...] = (
    None, True, -1, 2**70, 1.5, "", "\x00", "x" * 5000, "00000000-0000-0000-0000-000000000000",
    [], [None], ["\x00"], {}, {"a": 1}, {"00000000-0000-0000-0000-000000000000": -1}, [[]],
)  # fmt: skip


@pytest.mark.parametrize("kind", get_args(protocol.ForMembers), ids=type_of)
async def test_nonsense_in_any_field_is_refused_and_the_socket_stays(
    stack: Stack, join: Join, kind: type[msgspec.Struct]
) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    good: dict[str, Any] = {
        "conversation_id": found["id"], "text": "hello", "client_id": "x", "reply_to": None,
        "conversations": {found["id"]: 0}, "usernames": [ben.username],
    }  # fmt: skip
    fields = msgspec.structs.fields(kind)

    async def fuzzed(socket: ClientConnection) -> None:
        for field, value in itertools.product(fields, NONSENSE):
            body = {one.name: good[one.name] for one in fields} | {field.name: value}
            await socket.send(json.dumps({"type": kind.__struct_config__.tag, **body}))
        for frame in await quiet(socket):
            assert frame.get("status", 400) < 500, frame

    async with websockets.connect(url(stack)) as socket:
        await signed_in(socket, ada)
        await fuzzed(socket)


async def test_unread_is_the_same_everywhere_whatever_happens(stack: Stack, join: Join) -> None:
    """A model of read markers beside the real ones, through a random history."""
    chance = random.Random(13)
    members = [await join() for _ in range(3)]
    found = await conversation(members[0], *members[1:], kind="group", name="model")
    path = f"/api/conversations/{found['id']}"
    authors: dict[int, Member] = {}
    read: Counter[str] = Counter()
    for _ in range(60):
        who = chance.choice(members)
        own = [seq for seq, author in authors.items() if author is who]
        match chance.choice(["say", "say", "read", "delete"]):
            case "say":
                authors[(await say(who, found["id"], "x"))["seq"]] = who
            case "read":
                seq = chance.randint(0, 40)
                await who.post(f"{path}/read", {"seq": seq})
                last = len(await history(who, found["id"], limit=100))
                read[who.username] = max(read[who.username], min(seq, last))
            case "delete" if own:
                seq = chance.choice(own)
                assert (await who.delete(f"{path}/messages/{seq}")).status_code == 204
                del authors[seq]
        reader = chance.choice(members)
        expected = sum(
            seq > read[reader.username] and author is not reader for seq, author in authors.items()
        )
        shown = (await reader.get(path)).json()
        (listed,) = (await reader.get("/api/conversations")).json()["items"]
        assert (shown["unread"], shown["read_seq"]) == (expected, read[reader.username])
        assert (listed["unread"], listed["read_seq"]) == (expected, read[reader.username])
