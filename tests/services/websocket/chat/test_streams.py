"""Streams: a message is acknowledged however its delivery and its commit overtake each other."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database
from chitlaq.services.websocket.chat.stored import Stored
from chitlaq.services.websocket.chat.streams import Delivery, Streams
from chitlaq.services.websocket.sockets.hub import Hub
from tests.conftest import Stack, eventually
from tests.services.websocket.chat.talking import Join, conversation


class Origin:
    """The end of a socket: what is put there."""

    def __init__(self) -> None:
        self.frames: list[Any] = []

    def put(self, frame: msgspec.Struct) -> None:
        self.frames.append(frame)


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
async def test_each_message_is_acknowledged_in_whatever_order_commits_are_told(
    stack: Stack, join: Join, order: tuple[int, int]
) -> None:
    """The later of two messages may be told first: then the earlier is read, and delivered, before."""
    ada, ben = await join(), await join()
    found = await conversation(ada, ben)
    for text in ("first", "second"):
        body = {"text": text, "client_id": text}
        path = f"/api/conversations/{found['id']}/messages"
        assert (await ada.post(path, body)).status_code == 201
    queries = postgres.load_queries("chitlaq.services.websocket.chat", "test")
    database = Database(stack.dsn("chitlaq_websocket"), "test", queries)
    try:
        id_ = UUID(found["id"])
        rows = await database.rows("messages_between", id_, 0, 2, 10, None)
        stored = {one.message.seq: one for one in map(Stored.of, rows)}
        streams, origins = Streams(database, Hub()), {1: Origin(), 2: Origin()}
        for seq in order:
            streams.receive([Delivery(stored[seq], 1, cast(Any, origins[seq]))])
            if seq == 2:
                await eventually(lambda: streams.has_delivered(id_, 2, is_recent=False))
        await eventually(lambda: all(one.frames for one in origins.values()), 20)
        assert [origins[seq].frames[0].seq for seq in (1, 2)] == [1, 2]
    finally:
        await database.close()
