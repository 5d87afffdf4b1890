"""Service level objectives, and alerts on how fast their error budgets burn.

Method: multi-window, multi-burn-rate alerts (Google, The Site Reliability Workbook, chapter 5). A burn
rate of 1 spends the whole budget in the objective's 30 days; the short window ends an alert soon after the
problem ends. The fastest also needs something bad within the last two minutes: a failure that has ended
wakes nobody.

Rates over five minutes are recorded once, and longer windows average them: a rate over three days of raw
samples would read millions of samples at each evaluation.

While members sleep, nobody's request fails, and a broken write path would spend no budget. Our own probes
ask all day (`monitoring.exporter`): where members ask a service seldom, what came of the probes counts beside
their requests, and where they ask often, it does not count at all. Each five minutes are judged for
themselves, so that a window of days has members' days and the probes' nights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from chitlaq import inventory
from chitlaq.monitoring.alerts.alert import (
    Alert,
    Case,
    InputSeries,
    Severity,
    ended,
    fires,
    rising,
    silent,
)

EDGE = next(row.job for row in inventory.FORWARDED if row.is_gateway)
"""The service label of requests as members saw them."""

SERVICES = sorted(row.name for row in inventory.FORWARDED)

SLOW_SECONDS = 0.5
"""Answers that take longer miss the objective."""
SELDOM = 0.5
"""Members' requests per second to a service below which our own probes count, too.

At most 150 requests of members within five minutes then stand beside about 100 of all probes, too few to hide
what an alert on availability begins with (`Burn.least_bad`): five of 250 are more than 14.4 times the budget.
"""

WINDOWS = ("5m", "30m", "1h", "6h", "3d")
_SECONDS = {"5m": 300, "30m": 1_800, "1h": 3_600, "6h": 21_600, "3d": 259_200}

# Probes are not members, and a WebSocket "request" lasts as long as its connection.
_COUNTED = (
    f'service=~"{"|".join(SERVICES)}",route!~"(/api)?/(health|live|ready|metrics|openapi.json)|/ws"'
)


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """A promised share of good requests, for each service.

    Args:
        target: the share, such as 0.999.
        requests: rate of members' requests, by service.
        bad: rate within a window of those that missed the objective, by service.
        results: of our own probes, those that count (a regular expression).
        bad_result: that which misses the objective.
        meaning: what bad requests do, as in "5% of requests …".
    """

    name: Literal["availability", "latency"]
    target: float
    requests: str
    bad: Callable[[str], str]
    results: str
    bad_result: str
    meaning: str

    @property
    def budget(self) -> float:
        return round(1 - self.target, 9)

    def errors(self, window: str) -> str:
        return f"slo:{self.name}_errors:ratio_rate{window}"


class Burn(msgspec.Struct, frozen=True, kw_only=True):
    """A burn rate that is too high, over two windows.

    Args:
        least_bad: bad requests within the short window below which the alert stays silent: at night one
            failed request of ten is a ratio of 10 % and no problem.
    """

    pace: str
    factor: float
    long: str
    short: str
    for_: str
    least_bad: int
    at_edge: Severity
    elsewhere: Severity


def _by_service(metric: str, matchers: str = "", window: str = "5m") -> str:
    return f"sum by (service) (rate({metric}{{{_COUNTED}{matchers}}}[{window}]))"


def _of_probes(results: str, window: str = "5m") -> str:
    """The rate of probes by whom they ask; all of them also ask the edge."""
    rate = f'rate(synthetic_requests_total{{result=~"{results}"}}[{window}])'
    return f'sum by (service) ({rate}) or label_replace(sum({rate}), "service", "{EDGE}", "", "")'


OBJECTIVES = (
    Objective(
        name="availability",
        target=0.999,
        requests=_by_service("http_requests_total"),
        # A service that has never failed has no series for failures: that is 0, not unknown.
        bad=lambda window: (
            _by_service("http_requests_total", ',status=~"5.."', window)
            + f" or 0 * {_by_service('http_requests_total', window=window)}"
        ),
        results="good|slow|failed",
        bad_result="failed",
        meaning="failed",
    ),
    Objective(
        name="latency",
        target=0.99,
        requests=_by_service("http_request_duration_seconds_count"),
        bad=lambda window: (
            _by_service("http_request_duration_seconds_count", window=window)
            + " - "
            + _by_service("http_request_duration_seconds_bucket", f',le="{SLOW_SECONDS}"', window)
        ),
        # One that failed has no time of an answer.
        results="good|slow",
        bad_result="slow",
        meaning=f"took longer than {SLOW_SECONDS} s",
    ),
)

BURNS = (
    Burn(
        pace="Fast",
        factor=14.4,
        long="1h",
        short="5m",
        for_="2m",
        least_bad=5,
        at_edge="P0",
        elsewhere="P1",
    ),
    Burn(
        pace="Steadily",
        factor=6,
        long="6h",
        short="30m",
        for_="15m",
        least_bad=10,
        at_edge="P1",
        elsewhere="P2",
    ),
    Burn(
        pace="Slowly",
        factor=1,
        long="3d",
        short="6h",
        for_="1h",
        least_bad=20,
        at_edge="P3",
        elsewhere="P3",
    ),
)

_MILDER: dict[Severity, Severity] = {"P0": "P1", "P1": "P2", "P2": "P3", "P3": "P3"}


def recording_rules() -> list[dict[str, Any]]:
    """Return the rules for rates and error ratios, each after those that it reads.

    Without traffic there is no ratio, rather than 0/0.
    """
    rules: list[dict[str, Any]] = []
    for objective in OBJECTIVES:
        requests, bad = (f"slo:{objective.name}_{what}:rate5m" for what in ("requests", "errors"))
        rules += _counted(
            objective, "requests", "5m", objective.requests, _of_probes(objective.results)
        )
        for window in ("5m", "2m"):
            of_probes = _of_probes(objective.bad_result, window)
            rules += _counted(objective, "errors", window, objective.bad(window), of_probes)
        for window in WINDOWS:
            ratio = (
                f"{bad} / ({requests} > 0)"
                if window == "5m"
                else f"sum_over_time({bad}[{window}]) / (sum_over_time({requests}[{window}]) > 0)"
            )
            rules.append({"record": objective.errors(window), "expr": ratio})
    return rules


def _counted(
    objective: Objective, what: str, window: str, of_members: str, of_probes: str
) -> list[dict[str, Any]]:
    """Return the rules for a rate of members, of our own probes, and of what counts of them.

    How often members ask decides, whatever came of it: ``requests`` over five minutes come first.
    """
    name = f"slo:{objective.name}"
    members, probes = (f"{name}_{what}_of_{who}:rate{window}" for who in ("members", "probes"))
    is_often = f"{name}_requests_of_members:rate5m >= {SELDOM}"
    return [
        {"record": members, "expr": of_members},
        {"record": probes, "expr": of_probes},
        {
            "record": f"{name}_{what}:rate{window}",
            "expr": f"{members} and {is_often} or {members} + {probes} or {members} or {probes}",
        },
    ]


def alerts() -> list[Alert]:
    """Return the burn-rate alerts: each for the edge, and one step milder for the services behind it."""
    return [
        _alert(objective, burn, is_edge=is_edge)
        for objective in OBJECTIVES
        for burn in BURNS
        for is_edge in (True, False)
    ]


def _alert(objective: Objective, burn: Burn, *, is_edge: bool) -> Alert:
    severity = burn.at_edge if is_edge else burn.elsewhere
    services = f'{{service{"=" if is_edge else "!="}"{EDGE}"}}'
    limit = f"{burn.factor * objective.budget:g}"
    bad = f"slo:{objective.name}_errors:rate5m{services}"
    is_short = burn.short == "5m"
    recent = bad if is_short else f"avg_over_time({bad}[{burn.short}])"
    goes_on = f" and slo:{objective.name}_errors:rate2m{services} > 0" if is_short else ""
    kind = objective.name.capitalize()
    return Alert(
        name=f"{'Edge' if is_edge else 'Service'}{kind}Burns{burn.pace}",
        expr=(
            f"{objective.errors(burn.long)}{services} > {limit}"
            f" and {objective.errors(burn.short)}{services} > {limit}"
            f" and {recent} * {_SECONDS[burn.short]} >= {burn.least_bad}{goes_on}"
        ),
        for_=burn.for_,
        severity=severity if objective.name == "availability" else _MILDER[severity],
        summary=(
            "{{ $value | humanizePercentage }} of requests to {{ $labels.service }}"
            f" {objective.meaning} over {burn.long}: a burn rate above {burn.factor:g} for the"
            f" {objective.target:.1%} objective."
        ),
        procedure=(
            "Error Investigation" if objective.name == "availability" else "Performance Issues"
        ),
        family=objective.name,
        # Only a P0 silences a P0.
        stands_on=() if severity == "P0" else ("LocksWaiting", "DiskSlow"),
        cases=_cases(objective, burn, EDGE if is_edge else "feed-service"),
    )


def _cases(objective: Objective, burn: Burn, service: str) -> tuple[Case, ...]:
    """Just too many; none; just not too many; too few to tell; no traffic; no objectives; recovered.

    The same of probes: too many while members sleep; good ones beside too many bad requests of members; bad
    ones beside good requests of members.
    """
    limit = burn.factor * objective.budget
    at = "8h" if burn.long == "3d" else "80m"

    def load(good: float, bad: float, service: str = service) -> Case:
        return silent(*_load(objective, service, good, bad), at=at)

    return (
        fires(
            *_load(objective, service, 1000 * (1 - 1.1 * limit), 1100 * limit),
            value=f"{110 * limit:.4g}%",
            at=at,
            service=service,
        ),
        load(60, 0),
        load(1000 * (1 - 0.9 * limit), 900 * limit),
        load(0.01, 0.01),
        load(0, 0),
        load(30, 30, "ops-service"),
        fires(*_probes(objective, 16, 6), value="27.27%", at=at, service=service),
        fires(
            *_load(objective, service, 1000 * (1 - 1.1 * limit), 1100 * limit),
            *_probes(objective, 1000, 0),
            value=f"{110 * limit:.4g}%",
            at=at,
            service=service,
        ),
        silent(*_load(objective, service, 60, 0), *_probes(objective, 16, 6), at=at),
        # It was bad until a moment ago.
        *(
            [
                silent(
                    *_load(objective, service, 30, 30, lambda name, step: ended(name, step, 77)),
                    at=at,
                )
            ]
            if burn.short == "5m"
            else []
        ),
    )


def _probes(objective: Objective, good: float, bad: float) -> list[InputSeries]:
    """Series of our own probes, which ask feed-service through the edge, per minute."""
    name = "synthetic_requests_total"
    by_result = {"good": good, objective.bad_result: bad}
    return [
        rising(f'{name}{{service="feed-service",result="{result}"}}', number)
        for result, number in by_result.items()
    ]


def _load(
    objective: Objective,
    service: str,
    good: float,
    bad: float,
    grow: Callable[[str, float], InputSeries] = rising,
) -> list[InputSeries]:
    """Series of a service with this many good and bad requests per minute."""
    labels = f'service="{service}",method="GET",route="/posts/{{id}}"'
    if objective.name == "availability":
        return [
            grow(f'http_requests_total{{{labels},status="200"}}', good),
            grow(f'http_requests_total{{{labels},status="503"}}', bad),
        ]
    name = "http_request_duration_seconds"
    return [
        grow(f'{name}_bucket{{{labels},le="0.5"}}', good),
        grow(f'{name}_bucket{{{labels},le="+Inf"}}', good + bad),
        grow(f"{name}_count{{{labels}}}", good + bad),
    ]
