"""Performance from real Prometheus servers, each with prepared samples.

The samples continue into the next minutes at the same rate, so the time of the query does not matter.
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from chitlaq import inventory
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings_loading import load
from chitlaq.ops.checks import performance
from chitlaq.ops.checks.model import Check, Table, TimeSeries, Verdict
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import Result, judge
from chitlaq.ops.checks.sources.prometheus import PrometheusView, Sample
from chitlaq.ops.checks.sources.system import SystemView
from tests.conftest import Stack
from tests.ops.checks.conftest import answering, system_of
from tests.ops.checks.prometheus_history import serving

ALL = [one.id for one in vars(performance).values() if isinstance(one, Check)]

READS = re.compile(r"\.prometheus\b")
STEP = 15
PAST, FUTURE = 20 * 60, 15 * 60
DAY = 86_400
FALL = 5 * 60
"""How long ago the sockets fell."""
BOUNDS = (0.05, 0.1, 0.5, 1.0, 5.0)
PROBES = ("/metrics", "/health", "/live", "/ready", "/api/health")
"""What Prometheus, orchestrators and checks ask for, in every story: much, slowly, and in vain."""


@dataclass(frozen=True)
class Story:
    """The last minutes, and the two months before; rates are per second.

    Args:
        seconds: how long each response, query and frame took.
        seconds_before: how long each response took in the month before this one.
        sockets_fell_to: how many of a hundred open sockets are left.
        are_up: the components, as they were last looked at.
        ended: how many seconds ago Prometheus looked at anything for the last time.
    """

    answers: Mapping[int, float]
    seconds: float = 0.04
    seconds_before: float | None = None
    queries: float = 40.0
    committed: float = 20.0
    rolled_back: float = 0.0
    frames: float = 5.0
    invalid_frames: float = 0.0
    sockets_fell_to: int = 100
    are_up: bool = True
    ended: float = -FUTURE


WELL = Story({200: 9.8, 404: 0.2}, seconds_before=0.04)
STORIES = {
    "well": WELL,
    "new": replace(WELL, seconds_before=None),
    "ill": Story(
        {200: 8.0, 500: 1.0, 401: 1.0},
        seconds=0.9,
        seconds_before=0.04,
        rolled_back=3.0,
        invalid_frames=2.0,
        sockets_fell_to=40,
    ),
    "still": Story({200: 0.0}, queries=0.0, committed=0.0, frames=0.0),
    "seldom": Story({500: 0.02, 404: 0.02}, frames=0.02),
    "down": replace(WELL, are_up=False),
    "old": replace(WELL, ended=120.0),
}
"""``well``; ``new``, as well and without a past; ``ill``; ``still``, where nobody does anything;
``seldom``, where a few ask, and nobody gets what was asked for; ``down``, where everything has just died;
``old``, where Prometheus writes nothing any more."""


def exposition(story: Story, now: float) -> Iterator[str]:
    """A system's history as OpenMetrics: every series at every time, families in order."""
    recent = [now + second for second in range(-PAST, FUTURE, STEP) if second <= -story.ended]
    # A day apart, up to a day ago: enough for a month, and without effect on five minutes.
    this_month = [now - day * DAY for day in range(29, 0, -1)]
    last_month = [now - day * DAY for day in range(59, 30, -1)]
    gateway = {"service": "api-gateway"}
    feed, login = "/api/feed/home", "/api/auth/login"

    def line(name: str, labels: Mapping[str, str], value: float, at: float) -> str:
        inside = ",".join(f'{key}="{text}"' for key, text in labels.items())
        return f"{name}{{{inside}}} {value:g} {at:.3f}"

    def counter(name: str, labels: Mapping[str, str], rate: float) -> Iterator[str]:
        for at in recent:
            yield line(f"{name}_total", labels, rate * (at - now + PAST), at)

    def histogram(
        name: str, labels: Mapping[str, str], rate: float, seconds: float, times: list[float]
    ) -> Iterator[str]:
        for at in times:
            count = rate * (at - times[0])
            for bound in BOUNDS:
                seen = count if seconds <= bound else 0
                yield line(f"{name}_bucket", {**labels, "le": f"{bound}"}, seen, at)
            yield line(f"{name}_bucket", {**labels, "le": "+Inf"}, count, at)
            yield line(f"{name}_count", labels, count, at)
            yield line(f"{name}_sum", labels, count * seconds, at)

    yield "# TYPE http_requests counter"
    for status, rate in story.answers.items():
        for route in (feed, login):
            labels = {**gateway, "route": route, "status": f"{status}"}
            yield from counter("http_requests", labels, rate / 2)
    for route in PROBES:
        for status in (404, 503):
            labels = {**gateway, "route": route, "status": f"{status}"}
            yield from counter("http_requests", labels, 5.0)
    yield "# TYPE http_request_duration_seconds histogram"
    name, rate = "http_request_duration_seconds", sum(story.answers.values()) / 2
    for route in (feed, login):
        labels = {**gateway, "route": route}
        if story.seconds_before is not None:
            yield from histogram(name, labels, rate, story.seconds_before, last_month)
            yield from histogram(name, labels, rate, story.seconds, this_month)
        yield from histogram(name, labels, rate, story.seconds, recent)
    for route in PROBES:
        for times in (last_month, this_month, recent):
            yield from histogram(name, {**gateway, "route": route}, 5.0, 4.0, times)
    # A socket is a request that lasts for hours.
    yield from histogram(name, {**gateway, "route": "/ws"}, rate, 3600.0, recent)
    yield "# TYPE event_loop_lag_seconds histogram"
    yield from histogram("event_loop_lag_seconds", gateway, 1.0, 0.001, recent)
    yield "# TYPE postgresql_query_duration_seconds histogram"
    labels = {"service": "feed", "query": "home_page"}
    name = "postgresql_query_duration_seconds"
    yield from histogram(name, labels, story.queries, story.seconds, recent)
    yield "# TYPE postgresql_transactions counter"
    for result, rate in (("committed", story.committed), ("rolled_back", story.rolled_back)):
        yield from counter("postgresql_transactions", {"result": result}, rate)
    for name, label, components in (
        ("component_up", "component", ("postgres", "nginx")),
        ("up", "job", [one.job for one in inventory.COMPONENTS.values() if one.job]),
    ):
        yield f"# TYPE {name} gauge"
        for component in components:
            for at in recent:
                yield line(name, {label: component}, story.are_up, at)
    yield "# TYPE websocket_connections_active gauge"
    for at in recent:
        is_fallen = at > now - FALL
        open_now = story.sockets_fell_to if is_fallen else 100
        yield line("websocket_connections_active", {"service": "websocket"}, open_now, at)
    yield "# TYPE websocket_messages counter"
    for direction, kind, rate in (
        ("in", "ping", story.frames),
        ("in", "invalid", story.invalid_frames),
        ("out", "pong", story.frames),
    ):
        yield from counter("websocket_messages", {"direction": direction, "type": kind}, rate)
    if story.frames:
        yield "# TYPE websocket_message_duration_seconds histogram"
        name = "websocket_message_duration_seconds"
        yield from histogram(name, {"type": "ping"}, story.frames, story.seconds, recent)
    yield "# EOF"


@pytest.fixture(scope="module")
async def told() -> AsyncIterator[Mapping[str, str]]:
    """The address of a Prometheus for each history, and of one without samples, ``nothing``."""
    now = time.time()
    pasts: dict[str, str | None] = {
        name: "\n".join(exposition(story, now)) + "\n" for name, story in STORIES.items()
    }
    async with serving({**pasts, "nothing": None}) as addresses:
        yield addresses


async def run_against(check: str, address: str, tmp_path: Path, **variables: str) -> Result:
    home = Home(tmp_path)
    system = SystemView(home, load(home, {"PROMETHEUS_URL": address, **variables}))
    try:
        return await judge(CHECKS[check], system)
    finally:
        await system.close()


LATENCY = "CHITLAQ_CHECKS_LATENCY_P95_SECONDS"
ERRORS = "CHITLAQ_CHECKS_SERVER_ERRORS_RATIO"
REFUSALS = "CHITLAQ_CHECKS_REFUSALS_RATIO"
QUERIES = "CHITLAQ_CHECKS_QUERY_P95_SECONDS"
FRAMES = "CHITLAQ_CHECKS_WEBSOCKET_P95_SECONDS"

OK, WARNING, CRITICAL, UNKNOWN = Verdict.OK, Verdict.WARNING, Verdict.CRITICAL, Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("check", "story", "verdict", "said", "thresholds"),
    [
        ("api.latency", "well", OK, "95th percentile 47.5 ms; ", {}),
        ("api.latency", "ill", WARNING, "95th percentile 975 ms; ", {}),
        ("api.latency", "ill", CRITICAL, "95th percentile 975 ms", {LATENCY: "0.1,0.5"}),
        ("api.latency", "still", OK, "no requests", {}),
        ("api.feed", "well", OK, "95th percentile 47.5 ms", {}),
        ("api.feed", "ill", WARNING, "95th percentile 975 ms", {}),
        ("api.feed", "ill", CRITICAL, "95th percentile 975 ms", {LATENCY: "0.1,0.5"}),
        ("api.feed", "still", OK, "no requests", {}),
        ("api.login", "well", OK, "95th percentile 47.5 ms", {}),
        ("api.login", "ill", WARNING, "95th percentile 975 ms", {}),
        ("api.login", "ill", CRITICAL, "95th percentile 975 ms", {LATENCY: "0.1,0.5"}),
        ("api.login", "still", OK, "no requests", {}),
        ("api.throughput", "well", OK, "10 requests/s", {}),
        ("api.throughput", "still", OK, "no requests", {}),
        ("api.errors", "well", OK, "0 % of 3,000 requests", {}),
        ("api.errors", "ill", WARNING, "10 % of 3,000 requests", {ERRORS: "0.05,0.2"}),
        ("api.errors", "ill", CRITICAL, "10 % of 3,000 requests", {}),
        ("api.errors", "still", OK, "no requests", {}),
        ("api.errors", "seldom", OK, "50 % of 12 requests", {}),
        ("api.refusals", "well", OK, "2 % of 3,000 requests", {}),
        ("api.refusals", "ill", WARNING, "10 % of 3,000 requests", {REFUSALS: "0.05,0.2"}),
        ("api.refusals", "ill", CRITICAL, "10 % of 3,000 requests", {REFUSALS: "0.01,0.05"}),
        ("api.refusals", "still", OK, "no requests", {}),
        ("api.refusals", "seldom", OK, "50 % of 12 requests", {}),
        ("database.latency", "well", OK, "47.5 ms; slowest query: home_page", {}),
        ("database.latency", "ill", WARNING, "975 ms; slowest query: home_page", {}),
        ("database.latency", "ill", CRITICAL, "95th percentile 975 ms", {QUERIES: "0.1,0.5"}),
        ("database.latency", "still", OK, "no queries within five minutes", {}),
        ("database.transactions", "well", OK, "20/s committed, 0/s rolled back", {}),
        ("database.transactions", "ill", WARNING, "20/s committed, 3/s rolled back", {}),
        ("websocket.connections", "well", OK, "100 open", {}),
        ("websocket.connections", "ill", WARNING, "40 open, down from 100 ten minutes ago", {}),
        ("websocket.messages", "well", OK, "5/s in, 5/s out", {}),
        ("websocket.messages", "ill", WARNING, "7/s in, 5/s out", {}),
        ("websocket.messages", "still", OK, "0/s in, 0/s out", {}),
        ("websocket.latency", "well", OK, "95th percentile 47.5 ms", {}),
        ("websocket.latency", "ill", WARNING, "95th percentile 975 ms", {}),
        ("websocket.latency", "ill", CRITICAL, "95th percentile 975 ms", {FRAMES: "0.1,0.5"}),
        ("websocket.latency", "still", OK, "no frames within five minutes", {}),
        ("api.month", "well", OK, "47.5 ms; the month before: 47.5 ms", {}),
        ("api.month", "new", OK, "no data for the month before", {}),
        ("api.month", "ill", WARNING, "975 ms; the month before: 47.5 ms", {LATENCY: "5,9"}),
        ("api.month", "ill", WARNING, "975 ms", {}),
        ("api.month", "ill", CRITICAL, "975 ms", {LATENCY: "0.1,0.5"}),
        ("api.month", "still", UNKNOWN, "no samples", {}),
    ],
)
async def test_summary_matches_the_measured_values(
    told: Mapping[str, str],
    tmp_path: Path,
    check: str,
    story: str,
    verdict: Verdict,
    said: str,
    thresholds: dict[str, str],
) -> None:
    result = await run_against(check, told[story], tmp_path, **thresholds)
    assert (result.verdict, said in result.summary) == (verdict, True), result.summary


LATELY = [one.id for one in CHECKS.values() if one.samples_of]

OF_THE_PAST = {
    "api.day": "tells a day, and what of it nobody has seen",
    "api.month": "compares two months",
    "growth.members": "counts in PostgreSQL; what was 30 days ago is recorded",
    "installation.decisions": "whether the clock was kept within seven days",
    "mail.server": "asks the mail server first",
    "services.targets": "is about who was looked at, and when",
    "database.locks": "asks PostgreSQL; what is recorded can make its verdict worse, never better",
    **dict.fromkeys(
        (
            "capacity.disk",
            "capacity.memory",
            "capacity.connections",
            "capacity.database",
            "capacity.tables",
        ),
        "forecasts from 14 days",
    ),
}
"""Checks that ask Prometheus for what is recorded of whoever may be dead now, and why."""


class Recording(PrometheusView):
    """Remembers whether it was asked for samples of a moment."""

    was_asked = False

    async def samples(self, expression: str) -> list[Sample]:
        self.was_asked = True
        return await super().samples(expression)


async def test_whoever_judges_recorded_figures_says_whose(
    told: Mapping[str, str], stack: Stack
) -> None:
    """What was counted of the dead looks well for as long as the window is."""
    careless = set()
    for one in CHECKS.values():
        module = inspect.getmodule(one.judge)
        assert module is not None
        if one.samples_of or one.is_heavy or not READS.search(inspect.getsource(module)):
            continue
        system = system_of(stack, PROMETHEUS_URL=told["well"])
        system.prometheus = recording = Recording(
            system.home, system.settings, system._get, system._require_time
        )
        try:
            await judge(one, system)
        finally:
            await system.close()
        if recording.was_asked:
            careless.add(one.id)
    assert careless <= OF_THE_PAST.keys()
    # Some was asked at all.
    assert len(careless) > 5


@pytest.mark.parametrize("story", ["down", "old"])
@pytest.mark.parametrize("check", LATELY)
async def test_what_the_dead_did_before_is_no_news_of_now(
    told: Mapping[str, str], tmp_path: Path, check: str, story: str
) -> None:
    result = await run_against(check, told[story], tmp_path)
    assert result.verdict is UNKNOWN, result.summary
    said = [f"{CHECKS[check].samples_of[0]} is down"]
    # On a slow machine, the last sample goes out of sight meanwhile.
    said += ["has no samples"] * (story == "old")
    assert any(one in result.summary for one in said), result.summary


async def test_targets_that_nobody_looks_at_any_more_are_not_up(
    told: Mapping[str, str], tmp_path: Path
) -> None:
    for story, verdicts in {"well": {OK}, "down": {WARNING}, "old": {WARNING, UNKNOWN}}.items():
        result = await run_against("services.targets", told[story], tmp_path)
        assert result.verdict in verdicts, result.summary


@pytest.mark.parametrize("check", ALL)
async def test_prometheus_without_samples_is_unknown_and_not_zero(
    told: Mapping[str, str], tmp_path: Path, check: str
) -> None:
    result = await run_against(check, told["nothing"], tmp_path)
    assert result.verdict is UNKNOWN, result.summary
    assert "no samples" in result.summary


@pytest.mark.parametrize("check", ALL)
async def test_unreachable_prometheus_is_unknown(tmp_path: Path, nobody: str, check: str) -> None:
    result = await run_against(check, f"http://127.0.0.1:{nobody}", tmp_path)
    assert (result.verdict, nobody in result.summary) == (UNKNOWN, True)


@pytest.mark.parametrize("check", ALL)
async def test_other_server_in_place_of_prometheus_is_unknown(tmp_path: Path, check: str) -> None:
    with answering(b"<h1>It works!</h1>") as port:
        result = await run_against(check, f"http://127.0.0.1:{port}", tmp_path)
    assert (result.verdict, "does not answer like Prometheus" in result.summary) == (UNKNOWN, True)


async def test_prometheus_that_starts_is_not_taken_for_another_server(tmp_path: Path) -> None:
    with answering(b"Service Unavailable", status=503) as port:
        result = await run_against("api.latency", f"http://127.0.0.1:{port}", tmp_path)
    assert (result.verdict, "Prometheus is starting" in result.summary) == (UNKNOWN, True)


async def test_failing_route_is_named_with_its_ratio(
    told: Mapping[str, str], tmp_path: Path
) -> None:
    table, day = (await run_against("api.errors", told["ill"], tmp_path)).evidence
    assert isinstance(table, Table)
    assert sorted(table.rows, key=tuple) == [
        ["500", "/api/auth/login", "150"],
        ["500", "/api/feed/home", "150"],
    ]
    assert isinstance(day, TimeSeries)
    assert day.points[-1][1] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("check", "value"),
    [("api.latency", 0.0475), ("api.throughput", 10), ("websocket.connections", 100)],
)
async def test_last_day_is_plotted(
    told: Mapping[str, str], tmp_path: Path, check: str, value: float
) -> None:
    day = (await run_against(check, told["well"], tmp_path)).evidence[-1]
    assert isinstance(day, TimeSeries)
    assert day.points[-1][1] == pytest.approx(value)
