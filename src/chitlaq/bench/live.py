"""The monthly benchmark: a bounded, labelled load on the running system, compared with earlier runs.

It only reads, through the gateway, without signing in. It shows whether the system became slower;
`chitlaq bench` compares it with a baseline instead.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from statistics import median

from chitlaq.bench.load import Load, Outcome, get, measure
from chitlaq.core import ids
from chitlaq.core.errors import OperatorError
from chitlaq.core.formatting import duration
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.checks.model import Section, Value, Verdict, worst
from chitlaq.ops.checks.runner import Result, Run

ROUTINE = "benchmark"
AGENT = "chitlaq-bench"
CONNECTIONS = 8
COMPARED = 5
"""Earlier runs whose median this one is compared with."""
SLOWER, MUCH_SLOWER = 1.5, 3.0

TARGETS = {
    "bench.feed": ("The public home feed", "/api/feed/home?page=1&limit=10"),
    "bench.search": ("A search for members", "/api/search/users?q=ada&page=1&limit=10"),
    "bench.status": ("The sign-in status", "/api/auth/status"),
}
REMEDY = "Find what changed: `chitlaq ops check host database api`, and `chitlaq ops history`."


def refuse_production(settings: Settings, seconds: float) -> None:
    """Refuse if members would notice the load.

    Args:
        settings: of the running installation.
        seconds: the duration of the load on each target.

    Raises:
        OperatorError: this looks like an installation that members use.
    """
    reason = (
        f"public_url is {settings.public_url}"
        if settings.public_url
        else "DATABASE_URL names an external server"
        if settings.database_url
        else ""
    )
    if reason:
        raise OperatorError(
            f"This looks like a system that members use ({reason}): {CONNECTIONS} connections would send"
            f" requests without a pause for {seconds * len(TARGETS):.0f} s. Add --production to do it"
            " anyway, at a quiet hour."
        )


async def run(
    settings: Settings,
    started_by: str,
    before: Sequence[Run],
    seconds: float,
    say: Callable[[str], None],
) -> Run:
    """Send the load, and compare the result with earlier runs.

    Args:
        settings: of the running installation; the load goes to its gateway on this machine.
        started_by: who runs it.
        before: earlier runs, newest first.
        seconds: the duration of the load on each target.
        say: called with each step.
    """
    started_at, started = datetime.now(UTC), time.perf_counter()
    results = []
    for name, (title, target) in TARGETS.items():
        say(title)
        load = Load(
            "127.0.0.1",
            settings.port_of("api-gateway"),
            [get(target, agent=AGENT)],
            CONNECTIONS,
            seconds,
        )
        results.append(_result(name, title, await measure(load), before))
    return Run(
        ids.new(),
        ROUTINE,
        started_at,
        round(time.perf_counter() - started, 3),
        worst(result.verdict for result in results),
        started_by,
        socket.gethostname(),
        results,
    )


def _result(name: str, title: str, outcome: Outcome, before: Sequence[Run]) -> Result:
    earlier = [
        result.values["p95"].value
        for run in before[:COMPARED]
        for result in run.results
        if result.check == name and "p95" in result.values
    ]
    seconds = outcome.p95 / 1000
    usual = median(earlier) if earlier else None
    values = {
        "per_second": Value(outcome.per_second),
        "p50": Value(outcome.p50 / 1000, "seconds"),
        "p95": Value(seconds, "seconds", *((usual * SLOWER, usual * MUCH_SLOWER) if usual else ())),
    }
    said = f"{outcome.per_second:,.0f}/s, 95th percentile {duration(seconds)}"
    if set(outcome.statuses) != {"200"} or outcome.broken:
        said += f"; responses {outcome.statuses}, {outcome.broken} connections broke"
        verdict = Verdict.CRITICAL
    else:
        said += f"; usually {duration(usual)}" if usual else "; nothing to compare with yet"
        verdict = values["p95"].verdict
    return Result(
        name, title, Section.MAINTENANCE, verdict, said, values, [], REMEDY, outcome.seconds
    )
