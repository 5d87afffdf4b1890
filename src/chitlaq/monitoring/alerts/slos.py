"""What members are promised, and alerts on how fast the promise is used up.

Method: multi-window, multi-burn-rate alerts (Google, The Site Reliability Workbook, chapter 5). A burn
of 1 spends the whole budget in the objective's 30 days; the short window ends an alert soon after the
trouble ends.

The rates of five minutes are recorded once, and longer windows are averages of them: a rate over three
days of raw samples would read millions of them at each evaluation.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from chitlaq.monitoring.alerts.alert import Alert, Case, Series, Severity, fires, rising, silent

EDGE = "api-gateway"
"""The service label under which requests are counted as members saw them."""

SERVICES = (EDGE, "auth-service", "feed-service", "search-service", "websocket")

WINDOWS = ("5m", "30m", "1h", "6h", "3d")
_SECONDS = {"5m": 300, "30m": 1_800, "1h": 3_600, "6h": 21_600, "3d": 259_200}

# A probe is no member, and a WebSocket's "request" lasts as long as its connection.
_COUNTED = (
    f'service=~"{"|".join(SERVICES)}",route!~"(/api)?/(health|live|ready|metrics|openapi.json)|/ws"'
)


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """A share of good requests that is promised, for every service by itself.

    Args:
        target: the share, such as 0.999.
        requests: rate of all that count, by service.
        bad: rate of those that were not as promised, by service.
        meaning: what went wrong with a bad one, as in "of requests …".
    """

    name: Literal["availability", "latency"]
    target: float
    requests: str
    bad: str
    meaning: str

    @property
    def budget(self) -> float:
        return round(1 - self.target, 9)

    def errors(self, window: str) -> str:
        return f"slo:{self.name}_errors:ratio_rate{window}"


class Burn(msgspec.Struct, frozen=True, kw_only=True):
    """A speed at which the budget may not go, over two windows.

    Args:
        least_bad: bad requests within the short window below which nobody is called: at night one
            failed request of ten is a ratio of 10 % and no trouble.
    """

    pace: str
    factor: float
    long: str
    short: str
    for_: str
    least_bad: int
    at_edge: Severity
    elsewhere: Severity


def _by_service(metric: str, matchers: str = "") -> str:
    return f"sum by (service) (rate({metric}{{{_COUNTED}{matchers}}}[5m]))"


OBJECTIVES = (
    Objective(
        name="availability",
        target=0.999,
        requests=_by_service("http_requests_total"),
        # A service without a single fault has no series of faults: 0, not unknown.
        bad=(
            _by_service("http_requests_total", ',status=~"5.."')
            + f" or 0 * {_by_service('http_requests_total')}"
        ),
        meaning="fail",
    ),
    Objective(
        name="latency",
        target=0.99,
        requests=_by_service("http_request_duration_seconds_count"),
        bad=(
            _by_service("http_request_duration_seconds_count")
            + " - "
            + _by_service("http_request_duration_seconds_bucket", ',le="0.5"')
        ),
        meaning="take longer than 0.5 s",
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
    """Return the rules for rates and error ratios, in the order in which they build on each other.

    Without traffic there is no ratio, rather than 0/0.
    """
    rules: list[dict[str, Any]] = []
    for objective in OBJECTIVES:
        requests = f"slo:{objective.name}_requests:rate5m"
        bad = f"slo:{objective.name}_errors:rate5m"
        rules.append({"record": requests, "expr": objective.requests})
        rules.append({"record": bad, "expr": objective.bad})
        for window in WINDOWS:
            ratio = (
                f"{bad} / ({requests} > 0)"
                if window == "5m"
                else f"sum_over_time({bad}[{window}]) / (sum_over_time({requests}[{window}]) > 0)"
            )
            rules.append({"record": objective.errors(window), "expr": ratio})
    return rules


def alerts() -> list[Alert]:
    """Return the burn-rate alerts: each for the edge, and a step milder for the services behind it."""
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
    recent = bad if burn.short == "5m" else f"avg_over_time({bad}[{burn.short}])"
    kind = objective.name.capitalize()
    return Alert(
        name=f"{'Edge' if is_edge else 'Service'}{kind}Burns{burn.pace}",
        expr=(
            f"{objective.errors(burn.long)}{services} > {limit}"
            f" and {objective.errors(burn.short)}{services} > {limit}"
            f" and {recent} * {_SECONDS[burn.short]} >= {burn.least_bad}"
        ),
        for_=burn.for_,
        severity=severity if objective.name == "availability" else _MILDER[severity],
        summary=_summary(
            objective, burn, "{{ $labels.service }}", "{{ $value | humanizePercentage }}"
        ),
        procedure=(
            "Error Investigation" if objective.name == "availability" else "Performance Issues"
        ),
        family=objective.name,
        cases=_cases(objective, burn, EDGE if is_edge else "feed-service"),
    )


def _summary(objective: Objective, burn: Burn, service: str, ratio: str) -> str:
    return (
        f"{ratio} of requests to {service} {objective.meaning} (over {burn.long}):"
        f" more than {burn.factor:g} times what the objective of {objective.target:.1%} allows."
    )


def _cases(objective: Objective, burn: Burn, service: str) -> tuple[Case, ...]:
    """Trouble; none; just not enough; too few requests to tell; no traffic; nobody's promise."""
    allowed = 0.9 * burn.factor * objective.budget
    minutes, at = (90, "80m") if burn.long != "3d" else (480, "8h")

    def load(good: float, bad: float) -> Case:
        return silent(*_load(objective, service, good, bad, minutes), at=at)

    return (
        fires(
            *_load(objective, service, 30, 30, minutes),
            labels={"service": service},
            summary=_summary(objective, burn, service, "50%"),
            at=at,
        ),
        load(60, 0),
        load(1000 * (1 - allowed), 1000 * allowed),
        load(0.01, 0.01),
        load(0, 0),
        silent(*_load(objective, "ops-service", 30, 30, minutes), at=at),
    )


def _load(
    objective: Objective, service: str, good: float, bad: float, minutes: int
) -> list[Series]:
    """Series of a service that answers so many requests well and badly each minute."""
    labels = f'service="{service}",method="GET",route="/posts/{{id}}"'
    if objective.name == "availability":
        return [
            rising(f'http_requests_total{{{labels},status="200"}}', good, minutes),
            rising(f'http_requests_total{{{labels},status="503"}}', bad, minutes),
        ]
    name = "http_request_duration_seconds"
    return [
        rising(f'{name}_bucket{{{labels},le="0.5"}}', good, minutes),
        rising(f'{name}_bucket{{{labels},le="+Inf"}}', good + bad, minutes),
        rising(f"{name}_count{{{labels}}}", good + bad, minutes),
    ]
