"""Checks of what members are told."""

from __future__ import annotations

import time
from pathlib import Path

from chitlaq.core.installation.home import Home
from chitlaq.ops.checks.model import Verdict
from tests.conftest import Stack
from tests.ops.checks.conftest import RunOnStack
from tests.ops.checks.prometheus_history import serving, up
from tests.ops.checks.run_check import run_check


async def test_waiting_notifications_are_judged_by_their_age(
    stack: Stack, run_on_stack: RunOnStack
) -> None:
    assert (await run_on_stack("notifications.queues")).verdict is Verdict.OK
    for age, expected in (("5 minutes", Verdict.WARNING), ("1 hour", Verdict.CRITICAL)):
        # Of a version that no process can read yet.
        (job,) = await stack.sql(
            "INSERT INTO jobs.jobs (kind, version, payload, request_id, created_at)"
            " VALUES ('notify', 1000, '{}', 'test', now() - $1::text::interval) RETURNING id",
            age,
        )
        found = await run_on_stack("notifications.queues")
        await stack.sql("DELETE FROM jobs.jobs WHERE id = $1", job["id"])
        assert found.verdict is expected, found.summary
        (one,) = await stack.sql(
            "INSERT INTO websocket.announcements (text, expires_at, audience, advanced_at)"
            " VALUES ('x', now() + interval '1 day', 1, now() - $1::text::interval) RETURNING id",
            age,
        )
        found = await run_on_stack("notifications.queues")
        await stack.sql("DELETE FROM websocket.announcements WHERE id = $1", one["id"])
        assert found.verdict is expected, found.summary


def a_day(pushed: float, failed: float) -> str:
    """A day's growth of the counters, as OpenMetrics; mails are sent as ever."""
    times = [time.time() + second for second in range(-86_400, 1200, 240)]
    counts = {
        'notification_pushes_total{result="delivered"}': pushed,
        'notification_pushes_total{result="unreachable"}': failed,
        'mails_total{result="sent"}': 100.0,
        'mails_total{result="deferred"}': 1.0,
    }
    lines = []
    for name in ("notification_pushes", "mails"):
        lines.append(f"# TYPE {name} counter")
        for series, count in counts.items():
            if series.startswith(name):
                lines += [
                    f"{series} {count * (at - times[0]) / 86_400:.3f} {at:.3f}" for at in times
                ]
    return "\n".join([*lines, *up("websocket"), "# EOF\n"])


async def test_pushes_and_mails_are_judged_by_the_share_that_failed(tmp_path: Path) -> None:
    pasts: dict[str, str | None] = {
        "none": None,
        "few": a_day(5, 10),
        "some": a_day(800, 200),
        "most": a_day(100, 900),
    }
    async with serving(pasts) as addresses:
        found = {
            name: await run_check(Home(tmp_path), "notifications.deliveries", PROMETHEUS_URL=url)
            for name, url in addresses.items()
        }
    assert {name: one.verdict for name, one in found.items()} == {
        "none": Verdict.UNKNOWN,
        "few": Verdict.OK,
        "some": Verdict.WARNING,
        "most": Verdict.CRITICAL,
    }
