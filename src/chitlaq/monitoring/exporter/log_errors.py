"""Errors in the logs of components without metrics: PostgreSQL, Valkey, nginx, the observers.

They are counted under the same name as the services' own, from the moment ops-service starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from chitlaq import inventory
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs, metrics
from chitlaq.logs import parsing
from chitlaq.logs.follow import Follower
from chitlaq.stack.servers import barman

POLL_SECONDS = 5.0

log = logs.get("log_errors")


def new_errors(follower: Follower) -> int:
    """Return the number of new lines that report an error."""
    return sum(parsing.is_error(line.decode(errors="replace")) for line in follower.new_lines())


def followed_logs(home: Home, settings: Settings) -> Mapping[str, Follower]:
    """The logs on this machine, by component; an external server has none here."""
    return {
        row.name: Follower(home.logs / f"{row.name}.log", is_from_end=True)
        for row in inventory.COMPONENTS.values()
        if row.kind not in {"service", "task"}
        and settings.embeds(row.name)
        and (row.kind != "archive" or barman.is_wanted(settings))
    }


async def count_forever(home: Home, settings: Settings) -> None:
    """Count the errors of all followed logs until cancelled."""
    found = await asyncio.to_thread(followed_logs, home, settings)
    metrics.initialize(metrics.LOG_LINES, *((name, "error") for name in found))
    while True:
        for name, one in found.items():
            try:
                errors = await asyncio.to_thread(new_errors, one)
            except OSError as error:
                log.warning("log not read", component=name, error=str(error))
            else:
                metrics.LOG_LINES.labels(name, "error").inc(errors)
        await asyncio.sleep(POLL_SECONDS)
