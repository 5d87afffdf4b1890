"""The outbox sends no faster than the server takes: whoever sends more is disconnected."""

from __future__ import annotations

import time
from uuid import uuid4

import pytest

from chitlaq.client.outbox import Outbox, Outgoing
from chitlaq.services.websocket.sockets.budget import Budget
from chitlaq.services.websocket.sockets.connection import BYTES_PER_SECOND, FRAMES_PER_SECOND


@pytest.mark.parametrize(("text", "count"), [("short", 125), ("\N{GRINNING FACE}" * 4000, 34)])
async def test_outbox_stays_within_the_servers_budget(text: str, count: int) -> None:
    outbox, budget = Outbox(), Budget(FRAMES_PER_SECOND, BYTES_PER_SECOND)
    for number in range(count):
        outbox.add(Outgoing(uuid4(), text, str(number), None))
    overdrawn = []
    for _ in range(count):
        frame = await outbox.next()
        overdrawn.append(budget.spend(time.monotonic(), 1, len(frame.encode()), 5))
    outbox.give_up()
    assert max(overdrawn) == 0
