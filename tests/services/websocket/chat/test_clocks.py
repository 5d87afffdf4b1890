"""A process's clock may be an hour ahead: what it missed, PostgreSQL's clock says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta, tzinfo
from typing import Any, Self, cast
from uuid import UUID

import pytest

from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database
from chitlaq.services.websocket.chat import streams
from chitlaq.services.websocket.chat.streams import Streams
from chitlaq.services.websocket.sockets.hub import Hub
from tests.conftest import Stack, eventually
from tests.services.websocket.chat.talking import Join, conversation, say

CHAT = "chitlaq.services.websocket.chat"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the clock that this module sees, if it looks at it."""

    class Skewed(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(hours=1)

    monkeypatch.setattr(streams, "datetime", Skewed, raising=False)


@pytest.fixture
async def database(stack: Stack, clock: None) -> AsyncIterator[Database]:
    queries = postgres.load_queries(CHAT, "test")
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
    await eventually(lambda: device.numbers and missing._repairing is None)
