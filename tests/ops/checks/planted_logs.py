"""Lines of logs, as components and nginx write them, planted in a home."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from chitlaq.core.installation.home import Home


def line(minutes_ago: float = 1, /, **fields: object) -> str:
    stamp = (datetime.now(UTC) - timedelta(minutes=minutes_ago)).isoformat()
    return json.dumps({"timestamp": stamp, "level": "info", "event": "request", **fields})


def access(
    address: str, status: int = 200, hours_ago: float = 0, agent: str = "", **fields: object
) -> str:
    return json.dumps(
        {
            "time": (datetime.now(UTC) - timedelta(hours=hours_ago)).isoformat(),
            "user_agent": agent,
            "remote_addr": address,
            "status": status,
            "method": "GET",
            "route": "/api/feed/home",
            "request_time": 0.1,
        }
        | fields
    )


def plant(home: Home, name: str, *lines: str) -> None:
    (home.logs / name).write_text("".join(f"{one}\n" for one in lines))
