"""What an ops-service does with incidents, in a process of its own: ``python -m … HOME URL SMTP_PORT``.

It keeps incidents, holds the lease or waits for it, shares, and calls people. A lease is shorter than of
ops-service, so that a test takes seconds, and longer than a busy machine stands still.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import SecretUrl
from chitlaq.core.installation.settings import Settings, Smtp
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.escalation.engine import Engine
from chitlaq.ops.incidents import keeping
from chitlaq.ops.lease import lease, told
from chitlaq.ops.lease.lease import Lease
from chitlaq.ops.lease.told import Told


async def main(home: str, url: str, port: str) -> None:
    lease.LEASE_SECONDS, lease.RENEW_SECONDS, lease.ASK_SECONDS = 6.0, 0.3, 2.0
    told.EVERY_SECONDS = keeping.POLL_SECONDS = 0.2
    at, changed = Home(Path(home)), asyncio.Event()
    smtp = Smtp(host="127.0.0.1", port=int(port), start_tls=False)
    settings = Settings(database_url=SecretUrl(url), smtp=smtp)
    shared = Database(url, "test", postgres.load_queries("chitlaq.ops.lease", "test"))
    held = Lease(at, settings, shared)
    with OpsDatabase(at, is_keeper=True) as memory:
        await asyncio.gather(
            held.hold_forever(),
            Told(memory, shared, held).share_forever(),
            keeping.keep_forever(memory, lambda _: datetime.now(UTC), asyncio.Event(), changed),
            Engine(at, settings, memory, changed, lease=held).run_forever(),
        )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
