"""The day's traffic from a real Prometheus: the evening reports what happened at noon."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.ops.checks.model import Table, Verdict
from tests.ops.checks.prometheus_history import serving
from tests.ops.checks.run_check import run_check

HOUR = 3600
STEP = 60
FUTURE = 900
BOUNDS = (0.05, 0.1, 0.5, 1.0, 5.0)


@dataclass(frozen=True)
class Span:
    """Hours before now."""

    begins: float
    ends: float

    def holds(self, second: float) -> bool:
        return -self.begins * HOUR <= second < -self.ends * HOUR


@dataclass(frozen=True)
class Story:
    """A day of a gateway.

    Args:
        rate: requests per second.
        failing: how many of these fail, all day long.
        hours: the length of the history.
        outage: when all requests failed.
        slow: when all took two seconds and more.
        unseen: when Prometheus was down.
    """

    rate: float = 2.0
    failing: float = 0.0
    hours: float = 26
    outage: Span | None = None
    slow: Span | None = None
    unseen: Span | None = None


STORIES = {
    "well": Story(),
    "outage": Story(outage=Span(7, 6.85)),
    "long outage": Story(outage=Span(7, 4)),
    "slow": Story(slow=Span(10, 9)),
    "ill": Story(failing=0.1),
    "unseen": Story(unseen=Span(9, 5)),
    "young": Story(hours=3),
    "still": Story(rate=0.0),
    "seldom": Story(rate=0.0001, failing=1.0),
}


def exposition(story: Story, now: float) -> Iterator[str]:
    good = bad = quick = slow = 0.0
    lines: dict[str, list[str]] = {"requests": [], "durations": [], "lag": []}
    for second in range(int(-story.hours * HOUR), FUTURE, STEP):
        failing = 1.0 if story.outage and story.outage.holds(second) else story.failing
        bad += story.rate * STEP * failing
        good += story.rate * STEP * (1 - failing)
        is_slow = bool(story.slow and story.slow.holds(second))
        slow += story.rate * STEP * is_slow
        quick += story.rate * STEP * (not is_slow)
        if story.unseen and story.unseen.holds(second):
            continue
        labels, at = 'service="api-gateway",route="/api/feed/home"', now + second
        for status, count in (("200", good), ("503", bad)):
            lines["requests"].append(
                f'http_requests_total{{{labels},status="{status}"}} {count:.6f} {at:.3f}'
            )
        name = "http_request_duration_seconds"
        for limit in BOUNDS:
            seen = quick + (slow if limit >= 5 else 0)
            lines["durations"].append(f'{name}_bucket{{{labels},le="{limit}"}} {seen:.6f} {at:.3f}')
        lines["durations"].append(
            f'{name}_bucket{{{labels},le="+Inf"}} {quick + slow:.6f} {at:.3f}'
        )
        # Probes run all day, succeed, and are not members; nobody waits for a socket's duration.
        asked = 5.0 * (second + story.hours * HOUR)
        gateway = 'service="api-gateway"'
        lines["requests"].append(
            f'http_requests_total{{{gateway},route="/health",status="200"}} {asked:.6f} {at:.3f}'
        )
        for route, within in (("/health", True), ("/ws", False)):
            for bound in (*map(str, BOUNDS), "+Inf"):
                heard = asked if within or bound == "+Inf" else 0
                lines["durations"].append(
                    f'{name}_bucket{{{gateway},route="{route}",le="{bound}"}} {heard:.6f} {at:.3f}'
                )
        lines["lag"].append(
            f'event_loop_lag_seconds_count{{service="api-gateway"}} {second + 1e6} {at:.3f}'
        )
    yield "# TYPE http_requests counter"
    yield from lines["requests"]
    yield "# TYPE http_request_duration_seconds histogram"
    yield from sorted(lines["durations"], key=lambda line: float(line.rpartition(" ")[2]))
    yield "# TYPE event_loop_lag_seconds summary"
    yield from lines["lag"]
    yield "# EOF"


NOW = time.time()


@pytest.fixture(scope="module")
async def told() -> AsyncIterator[Mapping[str, str]]:
    pasts: dict[str, str | None] = {
        name: "\n".join(exposition(story, NOW)) + "\n" for name, story in STORIES.items()
    }
    async with serving({**pasts, "nothing": None}) as addresses:
        yield addresses


@pytest.mark.parametrize(
    ("story", "verdict", "words"),
    [
        ("well", Verdict.OK, "0 % of them failed"),
        # Less than a hundredth of the day's, and more than a tenth of the hour's.
        ("outage", Verdict.WARNING, "of them failed"),
        ("long outage", Verdict.CRITICAL, "100 % of 7,2"),
        ("slow", Verdict.WARNING, "slowest"),
        ("ill", Verdict.CRITICAL, "10 % of them failed"),
        ("unseen", Verdict.UNKNOWN, "no data for"),
        ("young", Verdict.OK, "since"),
        ("still", Verdict.OK, "0 requests within 24 hours"),
        ("seldom", Verdict.OK, "100 % of them failed"),
        ("nothing", Verdict.UNKNOWN, "Prometheus has not scraped the gateway"),
    ],
)
async def test_day_is_judged_as_a_whole_and_by_its_worst_hours(
    told: Mapping[str, str], tmp_path: Path, story: str, verdict: Verdict, words: str
) -> None:
    found = await run_check(Home(tmp_path), "api.day", PROMETHEUS_URL=told[story])
    assert found.verdict == verdict, found.summary
    assert words in found.summary
    if story == "well":
        assert found.values["requests"].value == pytest.approx(2 * 24 * HOUR, rel=0.01)
        assert "most failures" not in found.summary
        assert "since" not in found.summary
        (table,) = found.evidence
        assert isinstance(table, Table)
        assert len(table.rows) == 25


@pytest.mark.parametrize(
    ("story", "words", "span"),
    [
        ("outage", "most failures", STORIES["outage"].outage),
        ("long outage", "most failures", STORIES["long outage"].outage),
        ("slow", "slowest", STORIES["slow"].slow),
    ],
)
async def test_worst_hour_is_named_by_clock_time(
    told: Mapping[str, str], tmp_path: Path, story: str, words: str, span: Span
) -> None:
    found = await run_check(Home(tmp_path), "api.day", PROMETHEUS_URL=told[story])
    said = re.search(rf"{words} from (\d\d:\d\d) to (\d\d:\d\d)", found.summary)
    assert said, found.summary
    hours = {
        (f"{begins:%H:%M}", f"{begins + timedelta(hours=1):%H:%M}")
        for minute in range(int(span.begins * 60) + 60, int(span.ends * 60) - 1, -1)
        for begins in [datetime.fromtimestamp(NOW - minute * 60).astimezone()]
    }
    assert said.groups() in hours
