"""A process's clock may be an hour ahead: what it missed and what has ended, PostgreSQL's clock says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, tzinfo
from typing import Any, Self, cast
from uuid import UUID

import pytest

from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database
from chitlaq.services.websocket.chat import streams
from chitlaq.services.websocket.chat.streams import Streams
from chitlaq.services.websocket.sockets import endings
from chitlaq.services.websocket.sockets.endings import Endings
from chitlaq.services.websocket.sockets.hub import Hub
from tests.conftest import Stack, eventually
from tests.services.websocket.chat.talking import Join, conversation, say

CHAT, SOCKETS = "chitlaq.services.websocket.chat", "chitlaq.services.websocket.sockets"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the clock that these modules see, if they look at it."""

    class Skewed(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(hours=1)

    for module in (streams, endings):
        monkeypatch.setattr(module, "datetime", Skewed, raising=False)


@pytest.fixture
async def database(stack: Stack, clock: None) -> AsyncIterator[Database]:
    queries = postgres.load_queries(CHAT, "test", SOCKETS)
    database = Database(stack.dsn("chitlaq_websocket"), "test", queries)
    yield database
    await database.close()


class Device:
    """A member's only socket: which messages were put there."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def sockets(self, _: UUID) -> list[Any]:
        return [self]

    def put_message(self, _: UUID, seq: int, __: bytes) -> None:
        self.numbers.append(seq)


async def test_missed_messages_are_found(database: Database, join: Join) -> None:
    ada, ben = await join(), await join()
    device = Device()
    missing = Streams(database, cast(Hub, device))
    found = await conversation(ada, ben)
    await say(ada, found["id"], "missed")
    missing.repair()
    await eventually(lambda: device.numbers)


async def test_ended_sessions_are_found(stack: Stack, database: Database, join: Join) -> None:
    ada = await join()
    hub = Hub()
    watching = asyncio.create_task(Endings(database, hub, 900).watch_forever())
    try:
        await ada.post("/api/auth/logout", {"refresh_token": ada.refresh_token})
        (row,) = await stack.sql("SELECT id FROM auth.sessions WHERE account_id = $1", ada.id)
        await eventually(lambda: hub.has_ended(row["id"]))
    finally:
        watching.cancel()
