"""A console whose ops-service does not act: it refuses what the one that acts would not hear of."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.conftest import eventually
from tests.lone_service import lone_service
from tests.ops.console.conftest import Visitor
from tests.ops.lease.conftest import Shared

WRITTEN = "Written at three at night"
AT = {"starts_at": "2030-01-01T00:00", "ends_at": "2030-01-02T00:00"}
FORMS = (
    ("incidents/open", {"title": WRITTEN, "severity": "P1"}),
    ("incidents/1/acknowledge", {"version": "1"}),
    ("incidents/1/severity", {"version": "1", "severity": "P2", "why": WRITTEN}),
    ("status/publish", {"incident": "1", "status": "investigating", "text": WRITTEN}),
    ("status/components", {"component": "feed", "state": "degraded_performance"}),
    ("status/maintenance", {"title": WRITTEN, "component": "feed", **AT}),
    ("status/maintenance/end", {"number": "1"}),
    ("oncall/overrides", {"rotation": "web", "person": "ada", "note": WRITTEN, **AT}),
    ("oncall/overrides/remove", {"id": "1"}),
)


async def test_console_says_who_acts_and_gives_back_what_was_written(
    shared: Shared, tmp_path: Path
) -> None:
    await shared.lease(tmp_path)._attempt()
    await shared.sql("UPDATE ops.lease SET expires_at = now() + interval '1 hour'")
    url = shared.stack.dsn(database=shared.name)
    with lone_service("ops-service", "ops", shared.stack, DATABASE_URL=url) as one:
        async with httpx.AsyncClient(
            base_url=f"http://localhost:{one.ports['ops']}", timeout=30
        ) as client:
            visitor = Visitor(client)
            await visitor.use_link(one)

            async def is_told() -> bool:
                answer = await visitor.send(f"/ops/{FORMS[0][0]}", **FORMS[0][1])
                return "holds the lease" in answer.text

            await eventually(is_told)
            for path, fields in FORMS:
                answer = await visitor.send(f"/ops/{path}", **fields)
                assert "holds the lease" in answer.text, (path, answer.text)
                assert (WRITTEN in fields.values()) == (WRITTEN in answer.text), path
