"""Limits of what an account or an address may ask."""

from __future__ import annotations

import time

from chitlaq.core.data.valkey import Valkey
from chitlaq.core.http.limits import WINDOW_SECONDS, Limiter
from chitlaq.core.http.problems import Problem
from tests.conftest import free_ports


async def passed(limiter: Limiter, key: str, requests: int) -> int:
    count = 0
    for _ in range(requests):
        try:
            await limiter.spend(key)
        except Problem:
            continue
        count += 1
    return count


async def test_limit_holds_in_each_process_while_valkey_is_away() -> None:
    client = Valkey(f"redis://127.0.0.1:{free_ports(1)[0]}/0")
    minute = int(time.time() // WINDOW_SECONDS)
    for lease in (1, 4, None):
        limiter = Limiter(client, "test", "away", 10, lease=lease)
        counts = [await passed(limiter, "somebody", 25), await passed(limiter, "else", 5)]
        assert counts == [10, 5] or int(time.time() // WINDOW_SECONDS) != minute
    await client.close()
