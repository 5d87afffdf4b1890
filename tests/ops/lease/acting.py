"""An ops-service in a process of its own that writes down when it may act: ``python -m … HOME URL FILE``.

It renews its lease five times as often as ops-service does, so that a test takes seconds.
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import SecretUrl
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.lease import lease
from chitlaq.ops.lease.lease import Lease
from chitlaq.ops.lease.permission import Turn

LEASE_SECONDS = 3.0
BLIND_SECONDS = 4.0
EVERY_SECONDS = 0.05


class Line(msgspec.Struct, frozen=True):
    """What a process did, and when: ``change``, ``alert``, or ``turn`` with its second."""

    who: str
    did: str
    at: float
    second: int = 0


def quicken() -> None:
    lease.LEASE_SECONDS, lease.BLIND_SECONDS = LEASE_SECONDS, BLIND_SECONDS
    lease.RENEW_SECONDS, lease.ASK_SECONDS, lease.MARGIN_SECONDS = 0.3, 1.0, 0.2
    lease.FRESH_SECONDS = 3.0


async def main(home: str, url: str, file: str) -> None:
    quicken()
    database = Database(url, "test", postgres.load_queries("chitlaq.ops.lease", "test"))
    held = Lease(Home(Path(home)), Settings(database_url=SecretUrl(url)), database)
    out = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(did: str, at: float, second: int = 0) -> None:
        line = Line(Path(home).name, did, at, second)
        os.write(out, msgspec.json.encode(line) + b"\n")

    holding = asyncio.create_task(held.hold_forever())
    while not holding.done():
        # Before it asks: it may be stopped between the answer and the line.
        at = lease.elapsed()
        if held.may_change:
            write("change", at)
        at = lease.elapsed()
        if held.may_alert:
            write("alert", at)
        due = datetime.now(UTC).replace(microsecond=0)
        if held.may_change and await held.begin("turn", due) is Turn.BEGUN:
            write("turn", lease.elapsed(), int(due.timestamp()))
            await held.end("turn", due)
        await asyncio.sleep(EVERY_SECONDS)
    await holding


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
