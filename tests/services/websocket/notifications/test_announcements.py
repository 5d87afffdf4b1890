"""Announcements come to those whom they are for, once, however often processes are killed; and go again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from chitlaq.core.data import postgres
from chitlaq.core.data.jobs import Job
from chitlaq.core.data.postgres import Database, Session
from chitlaq.services.websocket.notifications.announcements import delivery
from chitlaq.services.websocket.notifications.live import Live
from chitlaq.services.websocket.notifications.telling import Telling
from tests.conftest import Member, Stack, eventually
from tests.services.auth.test_roles import granted
from tests.services.feed.crowd import Crowd
from tests.services.websocket.chat.talking import connected, received
from tests.services.websocket.notifications.carried import NOTHING, carried
from tests.services.websocket.notifications.push_service import PushService
from tests.services.websocket.notifications.test_notifications import counted, told
from tests.services.websocket.notifications.test_told_model import (
    FAULTS,
    PACKAGE,
    Dying,
    KilledError,
    _push,
)

Join = Callable[[], Awaitable[Member]]

ANNOUNCEMENTS = "/api/notifications/announcements"


async def a_department(stack: Stack, *members: str | UUID) -> dict[str, str]:
    """Let members be all of a department; return to whom an announcement to them goes."""
    name = f"Dept {uuid4().hex[:12]}"
    await stack.sql(
        "UPDATE feed.members SET department = $2 WHERE id = ANY ($1::uuid[])", list(members), name
    )
    (row,) = await stack.sql(
        "SELECT u.name FROM feed.members m JOIN auth.universities u ON u.id = m.university_id"
        " WHERE m.id = $1",
        members[0],
    )
    return {"university": row["name"], "department": name}


async def announced(moderator: Member, text: str, **fields: Any) -> dict[str, Any]:
    answer = await moderator.post(ANNOUNCEMENTS, {"text": text, **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def banners(member: Member) -> list[str]:
    answer = await member.get(ANNOUNCEMENTS)
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["items"]]


async def has_state(stack: Stack, announcement_id: str | UUID, state: str) -> bool:
    (row,) = await stack.sql(
        "SELECT state FROM websocket.announcements WHERE id = $1::text::uuid", str(announcement_id)
    )
    return bool(row["state"] == state)


async def test_announcement_comes_to_its_department_and_goes_when_it_is_withdrawn(
    stack: Stack, join: Join, push_service: PushService
) -> None:
    moderator, ada, ben, late = [await join() for _ in range(4)]
    moderator = await granted(stack, moderator, "moderator")
    to = await a_department(stack, ada.id)
    size = await moderator.get(f"{ANNOUNCEMENTS}/audience", params=to)
    assert size.json() == {"recipients": 1}
    async with connected(stack, ada) as phone, connected(stack, ada) as laptop:
        made = await announced(moderator, "The library closes early.", **to)
        frame = await received(phone, "notification")
        assert (frame["unseen"], frame["unread"]) == (1, 1)
        (one,) = await told(ada)
        assert one == frame["notification"]
        assert (one["kind"], one["actors"], one["count"]) == ("announcement", [], 1)
        assert one["text"] == "The library closes early."
        assert one["announcement"] == {"id": made["id"], "expires_at": made["expires_at"]}
        await eventually(lambda: has_state(stack, made["id"], "delivered"))
        assert await banners(ada) == [made["id"]]
        assert await banners(ben) == []
        assert await told(ben) == []

        # Who joins later is shown it; to dismiss it ends it on all devices.
        await stack.sql(
            "UPDATE feed.members SET department = $2 WHERE id = $1", late.id, to["department"]
        )
        assert await banners(late) == [made["id"]]
        for _ in range(2):
            assert (await ada.delete(f"{ANNOUNCEMENTS}/{made['id']}")).status_code == 204
        assert await received(laptop, "announcement_ended") == {
            "type": "announcement_ended",
            "id": made["id"],
        }
        assert await banners(ada) == []
        assert await banners(late) == [made["id"]]
        assert (await ben.delete(f"{ANNOUNCEMENTS}/{made['id']}")).status_code == 404
        assert len(await told(ada)) == 1

        path = f"{ANNOUNCEMENTS}/{made['id']}/state"
        assert (await moderator.put(path, {"state": "paused"})).status_code == 409
        withdrawn = await moderator.put(path, {"state": "withdrawn"})
        assert withdrawn.status_code == 200, withdrawn.text
        assert await told(ada) == []
        assert await banners(late) == []
        removed = await received(phone, "notification_removed")
        assert (removed["id"], removed["unread"]) == (one["id"], 0)
    assert await counted(ada) == (0, 0)
    there = await carried(stack, push_service, {one.username: one.id for one in (ada, ben, late)})
    assert all(one == NOTHING for one in there.values()), there
    listed = (await moderator.get(f"{ANNOUNCEMENTS}/sent")).json()["items"]
    mine = next(one for one in listed if one["id"] == made["id"])
    assert (mine["state"], mine["reached"], mine["audience"]) == ("withdrawn", 1, 1)
    assert mine["author"] == moderator.username


async def test_only_moderators_announce_and_only_what_somebody_gets(
    stack: Stack, join: Join
) -> None:
    ada = await join()
    to = await a_department(stack, ada.id)
    for answer in (
        await ada.post(ANNOUNCEMENTS, {"text": "x", **to}),
        await ada.get(f"{ANNOUNCEMENTS}/sent"),
        await ada.get(f"{ANNOUNCEMENTS}/audience"),
        await ada.put(f"{ANNOUNCEMENTS}/{uuid4()}/state", {"state": "paused"}),
    ):
        assert answer.status_code == 403, answer.text
    moderator = await granted(stack, ada, "moderator")
    soon, past = (datetime.now(UTC) + timedelta(days=days) for days in (400, -1))
    for field, body in {
        "text": {"text": " "},
        "university": {"text": "x", "university": "University of Nowhere"},
        "department": {"text": "x", **to, "department": "Nobody's"},
        "expires_at": {"text": "x", **to, "expires_at": soon.isoformat()},
    }.items():
        answer = await moderator.post(ANNOUNCEMENTS, body)
        assert (answer.status_code, list(answer.json()["errors"])) == (422, [field]), answer.text
    for body in ({"text": "x", "department": "x"}, {"text": "x", "expires_at": past.isoformat()}):
        assert (await moderator.post(ANNOUNCEMENTS, body)).status_code == 422
    again = {"Idempotency-Key": uuid4().hex}
    first, second = [
        await moderator.post(ANNOUNCEMENTS, {"text": "once", **to}, **again) for _ in range(2)
    ]
    assert first.json()["id"] == second.json()["id"]
    other = await moderator.post(ANNOUNCEMENTS, {"text": "other", **to}, **again)
    assert other.status_code == 409
    await eventually(lambda: told(moderator))
    assert [one["text"] for one in await told(moderator)] == ["once"]


async def test_who_wants_no_announcements_gets_none_and_expired_ones_are_no_banner(
    stack: Stack, join: Join
) -> None:
    moderator, ada, ben = [await join() for _ in range(3)]
    moderator = await granted(stack, moderator, "moderator")
    to = await a_department(stack, ada.id, ben.id)
    off = {"kinds": {"announcement": {"in_app": False}}}
    assert (await ada.put("/api/notifications/settings", off)).status_code == 200
    made = await announced(moderator, "Hello", **to)
    await eventually(lambda: told(ben))
    await eventually(lambda: has_state(stack, made["id"], "delivered"))
    assert await told(ada) == []
    assert await banners(ada) == []
    assert await banners(ben) == [made["id"]]
    await stack.sql(
        "UPDATE websocket.announcements SET created_at = now() - interval '2 h',"
        " expires_at = now() - interval '1 h' WHERE id = $1::text::uuid",
        made["id"],
    )
    assert await banners(ben) == []
    assert len(await told(ben)) == 1


async def test_operator_announces_after_a_look_and_pauses_and_cancels(
    stack: Stack, join: Join
) -> None:
    ada = await join()
    to = await a_department(stack, ada.id)
    words = ["announce", "write", "Exams", *(f"--{name}={value}" for name, value in to.items())]
    dry = await asyncio.to_thread(stack.command, *words)
    assert (dry.returncode, dry.stdout) == (0, "")
    assert "To 1 member: Exams" in dry.stderr
    assert "Nothing was announced" in dry.stderr
    made = await asyncio.to_thread(stack.json, *words, "--yes", "--as", "grace")
    await eventually(lambda: told(ada))
    assert (made["operator"], made["author"]) == ("grace", None)

    # As if it were under way.
    await stack.sql(
        "UPDATE websocket.announcements SET state = 'delivering', told_until = DEFAULT"
        " WHERE id = $1::text::uuid",
        made["id"],
    )
    for word, state in (("pause", "paused"), ("resume", "delivering")):
        changed = await asyncio.to_thread(stack.json, "announce", word, made["id"])
        assert changed["state"] in {state, "delivered"}
    await eventually(lambda: has_state(stack, made["id"], "delivered"))
    assert len(await told(ada)) == 1, "told once, though it came again"
    late = await asyncio.to_thread(stack.command, "announce", "cancel", made["id"], "--yes")
    assert late.returncode == 1
    assert "The announcement is delivered" in late.stderr
    asked = await asyncio.to_thread(stack.command, "announce", "withdraw", made["id"])
    assert "Nothing has changed" in asked.stderr
    await asyncio.to_thread(stack.json, "announce", "withdraw", made["id"], "--yes")
    assert await told(ada) == []
    listed = await asyncio.to_thread(stack.json, "announce", "list")
    states = {one["id"]: one["state"] for one in listed}
    assert states[made["id"]] in {"withdrawing", "withdrawn"}


class DyingJob:
    """A job of which the process is killed before its statement of this number."""

    def __init__(self, database: Database, dies_after: int) -> None:
        self._database = database
        self._dies_after = dies_after

    @asynccontextmanager
    async def completing(self) -> AsyncIterator[Session]:
        async with self._database.transaction() as session:
            yield cast("Session", Dying(session, self._dies_after))


class NoLive:
    """Devices that nobody has."""

    def end_banner(self, _announcement_id: UUID, _members: Sequence[UUID]) -> None:
        pass


TOLD = """
SELECT c.recipient_id FROM websocket.notification_causes c
JOIN websocket.notifications n ON n.id = c.notification_id AND n.recipient_id = c.recipient_id
WHERE c.subject_id = $1
"""


@pytest.mark.parametrize("size", [2100, pytest.param(10_000, marks=pytest.mark.long)])
async def test_each_recipient_is_told_once_though_processes_are_killed(
    stack: Stack, size: int
) -> None:
    """Attacks exactly-once: killed at each statement of a part, and while parts follow one another."""
    database = Database(
        stack.dsn("chitlaq_websocket"),
        "test",
        postgres.load_queries("chitlaq.core.data", "test", PACKAGE, f"{PACKAGE}.announcements"),
    )
    work = delivery.handler(Telling(_push), cast("Live", NoLive())).work
    async with Crowd(stack) as crowd:
        ids = [one.id for one in await crowd.join(size)]
    to = await a_department(stack, *ids)
    (row,) = await stack.sql(
        "INSERT INTO websocket.announcements"
        " (operator, text, university_id, department, expires_at, audience)"
        " SELECT 'grace', 'Hello', m.university_id, $2, now() + interval '1 day', $3"
        " FROM feed.members m WHERE m.id = $1 RETURNING id",
        ids[0],
        to["department"],
        size,
    )
    which = row["id"]

    async def killed_at_each_statement() -> None:
        for dies_after in range(100):
            job = cast("Job", DyingJob(database, dies_after))
            with suppress(KilledError):
                await work(job, delivery.Announce(which))
                return
        raise AssertionError("a part has fewer statements")

    async def kill_websocket() -> None:
        rows = await asyncio.to_thread(stack.ps)
        with suppress(ProcessLookupError):
            os.kill(rows["websocket"]["pid"], signal.SIGKILL)

    async def becomes(state: str) -> None:
        async def is_so() -> bool:
            return await has_state(stack, which, state)

        await eventually(is_so)

    await killed_at_each_statement()  # and the next job is in the queue
    await kill_websocket()
    await becomes("delivered")
    stored = [one["recipient_id"] for one in await stack.sql(TOLD, which)]
    assert sorted(stored) == sorted(ids)
    assert await stack.sql(FAULTS, ids) == []
    (row,) = await stack.sql("SELECT reached FROM websocket.announcements WHERE id = $1", which)
    assert row["reached"] == size

    await stack.sql("UPDATE websocket.announcements SET state = 'withdrawing' WHERE id = $1", which)
    await killed_at_each_statement()
    await kill_websocket()
    await becomes("withdrawn")
    assert await stack.sql(TOLD, which) == []
    assert await stack.sql(FAULTS, ids) == []
    await database.close()
