"""The monthly benchmark: a bounded, labelled load on the running system, beside the last ones.

It only reads, through the gateway, as somebody who is not signed in. It tells whether the machine
became slower since the last times, not what could be had at best: that is `chitlaq bench`.
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
    "bench.search": ("A search for members", "/api/search/users?q=a&page=1&limit=10"),
    "bench.status": ("Who is signed in", "/api/auth/status"),
}
REMEDY = "Look what is different: `chitlaq ops check host database api`, and `chitlaq ops history`."


def refuse_production(settings: Settings, seconds: float) -> None:
    """Stop when members would feel the load.

    Args:
        settings: of the running installation.
        seconds: how long each target would be asked.

    Raises:
        OperatorError: this looks like an installation that members use.
    """
    reason = (
        f"public_url is {settings.public_url}"
        if settings.public_url
        else "DATABASE_URL names a server of its own"
        if settings.database_url
        else ""
    )
    if reason:
        raise OperatorError(
            f"This looks like a system that members use ({reason}): {CONNECTIONS} connections would"
            f" ask without a pause for {seconds * len(TARGETS):.0f} s. Say --production when that is"
            " meant, at an hour when few are there."
        )


async def run(
    settings: Settings,
    started_by: str,
    before: Sequence[Run],
    seconds: float,
    say: Callable[[str], None],
) -> Run:
    """Send the load, and compare what came back with earlier runs.

    Args:
        settings: of the running installation; its gateway on this machine is asked.
        started_by: who wants to know.
        before: earlier runs, newest first.
        seconds: how long each target is asked.
        say: told what is being done.
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
        "p95": Value(seconds, "seconds", usual * SLOWER, usual * MUCH_SLOWER)
        if usual
        else Value(seconds, "seconds"),
    }
    said = f"{outcome.per_second:,.0f}/s, 95 of 100 within {duration(seconds)}"
    if set(outcome.statuses) != {"200"} or outcome.broken:
        said += f"; answers {outcome.statuses}, {outcome.broken} connections broke"
        verdict = Verdict.CRITICAL
    else:
        said += f"; usually within {duration(usual)}" if usual else "; nothing to compare with yet"
        verdict = values["p95"].verdict
    return Result(
        name, title, Section.MAINTENANCE, verdict, said, values, [], REMEDY, outcome.seconds
    )
