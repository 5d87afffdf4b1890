"""Every route and frame of chat for everybody who may or may not use it, and for what makes no sense."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from typing import Any, get_args
from uuid import uuid4

import httpx
import msgspec
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from chitlaq.core.http import routes
from chitlaq.core.http.schemas import Incoming
from chitlaq.services.websocket import protocol
from chitlaq.services.websocket.chat import schemas
from chitlaq.services.websocket.routes import SERVICE
from chitlaq.services.websocket.sockets.frames import type_of
from tests.conftest import Member, Stack, eventually
from tests.services.auth.test_roles import granted
from tests.services.websocket.chat.talking import (
    Join,
    conversation,
    history,
    quiet,
    received,
    say,
)
from tests.services.websocket.test_websocket import ask, signed_in, url

ONE = "/conversations/{conversation_id}"
MESSAGE = ONE + "/messages/{seq}"
REACTION = MESSAGE + "/reactions/{emoji}"
MEMBER = ONE + "/members/{username}"
ROLES = (
    "member", "muted", "admin", "former", "invited", "stranger", "requested", "blocked", "moderator",
    "signed out", "session ended",
)  # fmt: skip
# What each of `ROLES` is answered. The message is another's; sending comes last, since it accepts a request.
ROUTES: dict[tuple[str, str], tuple[int, ...]] = {
    ("GET", ONE): (200, 200, 200, 404, 200, 404, 200, 200, 404, 401, 401),
    ("PATCH", ONE): (200, 200, 200, 404, 200, 404, 200, 200, 404, 401, 401),
    ("PUT", MEMBER): (403, 403, 204, 404, 403, 404, 409, 409, 404, 401, 401),
    ("DELETE", MEMBER): (403, 403, 403, 404, 403, 404, 409, 409, 404, 401, 401),
    ("GET", ONE + "/messages"): (200, 200, 200, 200, 404, 404, 200, 200, 404, 401, 401),
    ("PATCH", MESSAGE): (403, 403, 403, 404, 404, 404, 404, 403, 404, 401, 401),
    ("GET", MESSAGE + "/history"): (200, 200, 200, 200, 404, 404, 200, 200, 404, 401, 401),
    ("PUT", REACTION): (204, 204, 204, 404, 404, 404, 404, 403, 404, 401, 401),
    ("DELETE", REACTION): (204, 204, 204, 404, 404, 404, 404, 403, 404, 401, 401),
    ("DELETE", MESSAGE): (403, 403, 204, 404, 404, 404, 404, 403, 404, 401, 401),
    ("POST", ONE + "/read"): (204, 204, 204, 404, 404, 404, 204, 204, 404, 401, 401),
    ("POST", ONE + "/unread"): (204, 204, 204, 404, 404, 404, 204, 204, 404, 401, 401),
    ("POST", ONE + "/messages"): (201, 201, 201, 404, 404, 404, 201, 403, 404, 401, 401),
}
# What each is answered who gives a conversation a picture that is nobody's.
PICTURE = (403, 403, 422, 404, 403, 404, 409, 409, 404, 401, 401)
# What is of oneself only, of everybody, or of operators.
OF_NO_CONVERSATION = {
    ("GET", "/conversations"), ("POST", "/conversations"), ("GET", "/conversations/unread"),
    ("GET", "/conversations/privacy"), ("PUT", "/conversations/privacy"),
    ("GET", "/ws/docs"), ("GET", "/ws/asyncapi.json"), ("GET", "/sockets"),
    ("GET", "/notifications"), ("POST", "/notifications/read"),
    ("GET", "/notifications/settings"), ("PUT", "/notifications/settings"),
    ("GET", "/notifications/push"), ("POST", "/notifications/push"), ("DELETE", "/notifications/push"),
    ("GET", "/unsubscribe"), ("POST", "/unsubscribe"),
    ("GET", "/notifications/announcements"), ("POST", "/notifications/announcements"),
    ("GET", "/notifications/announcements/audience"), ("GET", "/notifications/announcements/sent"),
    ("DELETE", "/notifications/announcements/{announcement_id}"),
    ("PUT", "/notifications/announcements/{announcement_id}/state"),
    ("GET", "/announcements"), ("GET", "/announcements/audience"), ("POST", "/announcements"),
    ("PUT", "/announcements/{announcement_id}/state"),
}  # fmt: skip
FOLDERS = ("inbox", "inbox", "inbox", None, "requests", None, "requests", "inbox", None)
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("PATCH", ONE): {"pinned": True},
    ("PATCH", MESSAGE): {"text": "changed"},
    ("POST", ONE + "/read"): {"seq": 1},
    ("POST", ONE + "/unread"): {"seq": 1},
    ("POST", ONE + "/messages"): {"text": "hello", "client_id": "matrix"},
}
REFUSED: tuple[object, ...] = ("error", 401)
# What each of `ROLES` gets for a frame, and whether another who takes part gets something.
FRAMES: dict[str, tuple[tuple[tuple[object, ...], ...], tuple[bool, ...]]] = {
    "typing": (
        ((), (), (), (), (), (), (), (), (), REFUSED, REFUSED),
        (True, True, True, *[False] * 8),
    ),
    "watch": (
        (*[("presence",)] * 3, (), (), (), (), (), (), REFUSED, REFUSED),
        (False,) * 11,
    ),
    "resume": (
        (
            (*["message"] * 3, "read", "resumed"), (*["message"] * 3, "read", "resumed"),
            ("message", "message", "read", "resumed"), ("message", "message", "resumed"),
            ("resumed",), ("resumed",), ("resumed",), ("message", "read", "resumed"),
            ("resumed",), REFUSED, REFUSED,
        ),
        (False,) * 11,
    ),
    "send": (
        (
            ("ack",), ("ack",), ("ack",), ("error", 404), ("error", 404), ("error", 404), ("ack",),
            ("error", 403), ("error", 404), REFUSED, REFUSED,
        ),
        (True, True, True, False, False, False, True, False, False, False, False),
    ),
}  # fmt: skip


async def sign_in(socket: ClientConnection, member: Member | None) -> Any:
    assert member is not None
    return await ask(socket, json.dumps({"type": "auth", "token": member.token}))


@pytest.fixture
async def places(stack: Stack, join: Join) -> dict[str, tuple[Member | None, str, Member]]:
    """Who each role is, in which conversation, and whose it is."""
    owner, member, muted, admin, former = [await join() for _ in range(5)]
    invited, stranger, requested, blocked, ended = [await join() for _ in range(5)]
    # Who moderates the university's posts takes part in no conversation by that.
    moderator = await granted(stack, await join(), "moderator")
    group = await conversation(
        owner, member, muted, former, ended, kind="group", name="matrix"
    )  # fmt: skip
    path = f"/api/conversations/{group['id']}"
    await muted.patch(path, {"muted_until": "2099-01-01T00:00:00Z"})
    await say(owner, group["id"], "hello")
    await owner.delete(f"{path}/members/{former.username}")
    await owner.put(f"{path}/members/{invited.username}")
    # Whoever moderates a group may delete in it, and has one of their own here.
    moderated = await conversation(owner, admin, kind="group", name="moderated")
    await say(owner, moderated["id"], "hello")
    role = {"role": "admin"}
    await owner.put(f"/api/conversations/{moderated['id']}/members/{admin.username}", role)
    request = await conversation(owner, requested, strangers=True)
    await say(owner, request["id"], "hello")
    direct = await conversation(owner, blocked)
    await say(owner, direct["id"], "hello")
    await owner.put(f"/api/users/{blocked.username}/block")
    await ended.post("/api/auth/logout", {"refresh_token": ended.refresh_token})

    async def is_known() -> bool:
        return (await ended.get("/api/conversations")).status_code == 401

    await eventually(is_known)
    found: dict[str, tuple[Member | None, str, Member]] = {
        "member": (member, group["id"], owner),
        "muted": (muted, group["id"], owner),
        "admin": (admin, moderated["id"], owner),
        "former": (former, group["id"], owner),
        "invited": (invited, group["id"], owner),
        "stranger": (stranger, group["id"], owner),
        "requested": (requested, request["id"], owner),
        "blocked": (blocked, direct["id"], owner),
        "moderator": (moderator, group["id"], owner),
        "signed out": (None, group["id"], owner),
        "session ended": (ended, group["id"], owner),
    }
    return found


async def test_each_route_answers_each_role_as_the_rules_say(
    client: httpx.AsyncClient, places: dict[str, tuple[Member | None, str, Member]]
) -> None:
    declared = {
        (method, route.template) for route in routes.declared(SERVICE) for method in route.methods
    }
    assert declared == ROUTES.keys() | OF_NO_CONVERSATION, "say in ROUTES who may use a new route"
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
    for role, status in zip(ROLES, PICTURE, strict=True):
        who, conversation_id, _ = places[role]
        answer = await client.patch(
            f"/api/conversations/{conversation_id}",
            json={"picture_id": str(uuid4())},
            headers=who.headers if who else {},
        )
        assert answer.status_code == status, (role, answer.text)


async def test_each_role_finds_the_conversation_in_its_folder(
    places: dict[str, tuple[Member | None, str, Member]],
) -> None:
    for role, expected in zip(ROLES, FOLDERS, strict=False):
        who, conversation_id, _ = places[role]
        assert who is not None
        found = []
        for folder in ("inbox", "requests", "archived"):
            items = (await who.get(f"/api/conversations?folder={folder}")).json()["items"]
            found += [folder for one in items if one["id"] == conversation_id]
        assert found == ([expected] if expected else []), role


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
                    if role == "session ended":
                        assert (await sign_in(socket, who))["status"] == 401
                    elif who is not None:
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

MOMENTS = (
    "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-01-01T00:00:00", "2026-13-01",
)  # fmt: skip


@pytest.mark.parametrize("kind", get_args(protocol.ForMembers), ids=type_of)
async def test_nonsense_in_any_field_is_refused_and_the_socket_stays(
    stack: Stack, join: Join, kind: type[msgspec.Struct]
) -> None:
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    good: dict[str, Any] = {
        "conversation_id": found["id"], "text": "hello", "client_id": "x", "reply_to": None,
        "conversations": {found["id"]: 0}, "usernames": [ben.username], "media_ids": [],
        "notifications": None,
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


PATHS: dict[type[Incoming], tuple[str, str, dict[str, Any]]] = {
    schemas.NewConversation: ("POST", "/conversations", {"kind": "group", "members": ["nobody"]}),
    schemas.ConversationChange: ("PATCH", ONE, {}),
    schemas.Membership: ("PUT", MEMBER, {}),
    schemas.NewMessage: ("POST", ONE + "/messages", {"text": "x", "client_id": "x"}),
    schemas.NewText: ("PATCH", MESSAGE, {"text": "x"}),
    schemas.ReadUntil: ("POST", ONE + "/read", {"seq": 1}),
    schemas.UnreadFrom: ("POST", ONE + "/unread", {"seq": 1}),
    schemas.Privacy: ("PUT", "/conversations/privacy", {}),
}
PLACES = ("before", "after", "around", "at", "cursor", "limit", "folder")


@pytest.mark.parametrize("kind", [None, *PATHS], ids=lambda kind: getattr(kind, "__name__", ""))
async def test_nonsense_in_any_body_or_parameter_is_refused(
    join: Join, client: httpx.AsyncClient, kind: type[Incoming] | None
) -> None:
    assert set(PATHS) == {
        one for one in Incoming.__subclasses__() if one.__module__ == schemas.__name__
    }
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    await say(ada, found["id"], "hello")
    if kind is None:
        method, path = "GET", ONE + "/messages"
        body: dict[str, Any] = {}
        fields: tuple[str, ...] = PLACES
    else:
        method, path, body = PATHS[kind]
        fields = kind.__struct_fields__
    path = "/api" + path.format(conversation_id=found["id"], username=ben.username, seq=1)
    for field, value in itertools.product(fields, (*NONSENSE, *MOMENTS)):
        given: dict[str, Any] = (
            {"params": {field: str(value)}} if kind is None else {"json": body | {field: value}}
        )
        answer = await client.request(method, path, headers=ada.headers, **given)
        assert answer.status_code < 429, (field, value, answer.text)


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
