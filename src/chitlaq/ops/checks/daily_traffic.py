"""The last 24 hours of traffic, from Prometheus: how much, how reliable, and the worst hours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from chitlaq.core.errors import UnknownResult
from chitlaq.core.formatting import count, duration, share
from chitlaq.core.installation.settings import Threshold
from chitlaq.ops.checks.model import (
    CheckOutcome,
    Section,
    Table,
    Value,
    Verdict,
    check,
    outcome,
    worst,
)
from chitlaq.ops.checks.performance import FEW_REQUESTS, GATEWAY_IS_SEEN, MEMBERS, TIMED
from chitlaq.ops.checks.sources.prometheus import promql
from chitlaq.ops.checks.sources.system import SystemView

DAY_SECONDS = 86_400.0
STEP_SECONDS = 600.0
HOUR = timedelta(hours=1)
OK = Verdict.OK

FAULTS = f'{MEMBERS},status=~"5.."'


@dataclass(frozen=True, slots=True)
class _Hour:
    """The requests of one hour; p95 in seconds, 0 without requests."""

    requests: float
    failed: float
    p95: float

    @property
    def ratio(self) -> float:
        return min(1.0, self.failed / self.requests) if self.requests else 1.0


def _requests(selector: str, window: str) -> str:
    return f"sum(increase(http_requests_total{{{selector}}}[{window}]))"


def _p95(window: str) -> str:
    return (
        "histogram_quantile(0.95, sum by (le)"
        f" (rate(http_request_duration_seconds_bucket{{{TIMED}}}[{window}])))"
    )


@check(
    "api.day",
    "Traffic of the day",
    section=Section.PERFORMANCE,
    looks_at="http_requests_total and http_request_duration_seconds of the gateway, over 24 hours and"
    " per hour",
    commands=(
        promql(_requests(MEMBERS, "24h")),
        promql(_requests(FAULTS, "24h")),
        promql(_p95("24h")),
    ),
    remedy="To see what happened in the worst hour: `chitlaq logs --errors --since 24h`,"
    " `chitlaq alerts --resolved`.",
    timeout_seconds=10.0,
)
async def day(system: SystemView) -> CheckOutcome:
    hours = await _hours(system)
    if not hours:
        raise UnknownResult("Prometheus has not scraped the gateway within 24 hours")
    all_of_them = f"({_requests(MEMBERS, '24h')} or {GATEWAY_IS_SEEN})"
    asked = await system.prometheus.number(all_of_them)
    failed = await system.prometheus.number(f"{_requests(FAULTS, '24h')} or 0 * {all_of_them}")
    thresholds = system.thresholds
    known, unseen = _known(hours)
    since = "" if known > DAY_SECONDS - 3600 else f" since {_clock(min(hours))}"
    said = [f"{count(round(asked), 'request')} within 24 hours{since}"]
    values = {"requests": Value(round(asked))}
    verdicts = []
    if round(asked):
        said.append(f"{share(failed / asked)} of them failed (5xx)")
        values["failed"] = _judged(failed / asked, "ratio", thresholds.server_errors_ratio, asked)
    if any(one.p95 for one in hours.values()):
        p95 = await system.prometheus.number(_p95("24h"))
        said.append(f"95th percentile {duration(p95)}")
        values["p95"] = _judged(p95, "seconds", thresholds.latency_p95_seconds, asked)
    # By the number of failures, not their ratio: one of one is no outage.
    at = max(hours, key=lambda at: hours[at].failed)
    if round(hours[at].failed):
        ratio, requests = hours[at].ratio, hours[at].requests
        said.append(
            f"most failures {_between(at)}: {share(ratio)} of {count(round(requests), 'request')}"
        )
        values["failed in the worst hour"] = Value(ratio, "ratio")
        verdicts.append(
            _of_an_hour(_judged(ratio, "ratio", thresholds.server_errors_ratio, requests))
        )
    busy = [at for at, one in hours.items() if one.requests >= FEW_REQUESTS and one.p95]
    if busy:
        at = max(busy, key=lambda at: hours[at].p95)
        said.append(f"slowest {_between(at)}: 95th percentile {duration(hours[at].p95)}")
        values["p95 in the slowest hour"] = Value(hours[at].p95, "seconds")
        verdicts.append(
            _of_an_hour(Value(hours[at].p95, "seconds", *thresholds.latency_p95_seconds))
        )
    if unseen:
        said.append(f"no data for {duration(unseen)} of that time")
        verdicts.append(Verdict.UNKNOWN)
    return outcome("; ".join(said), values, _by_the_hour(hours), least=worst((*verdicts, OK)))


def _judged(value: float, unit: str, threshold: Threshold, requests: float) -> Value:
    """Return a value, judged only if there were enough requests."""
    return Value(value, unit, *(threshold if requests >= FEW_REQUESTS else ()))


def _of_an_hour(value: Value) -> Verdict:
    """Return at most WARNING: what was critical in a past hour is no emergency any more."""
    return Verdict.WARNING if value.verdict == Verdict.CRITICAL else OK


async def _hours(system: SystemView) -> Mapping[datetime, _Hour]:
    """Return overlapping hours by their end, without those that have no data."""
    # One query, so that all series have the same timestamps.
    asked = {
        "requests": f"({_requests(MEMBERS, '1h')} or {GATEWAY_IS_SEEN})",
        "failed": _requests(FAULTS, "1h"),
        "p95": _p95("1h"),
    }
    expression = " or ".join(
        f'label_replace({one}, "what", "{name}", "", "")' for name, one in asked.items()
    )
    found = {
        one.metric["what"]: {at: value for at, value in one.points if math.isfinite(value)}
        for one in await system.prometheus.range(expression, DAY_SECONDS, STEP_SECONDS)
    }
    failed, p95 = found.get("failed", {}), found.get("p95", {})
    return {
        at: _Hour(requests, failed.get(at, 0.0), p95.get(at, 0.0))
        for at, requests in found.get("requests", {}).items()
    }


def _known(hours: Mapping[datetime, _Hour]) -> tuple[float, float]:
    """Return (seconds from the first hour with data to the last, seconds between them without data)."""
    known = (max(hours) - min(hours)).total_seconds()
    return known, known - (len(hours) - 1) * STEP_SECONDS


def _clock(at: datetime) -> str:
    return f"{at.astimezone():%H:%M}"


def _between(end: datetime) -> str:
    return f"from {_clock(end - HOUR)} to {_clock(end)}"


def _by_the_hour(hours: Mapping[datetime, _Hour]) -> Table:
    newest_first = sorted(hours, reverse=True)[:: int(HOUR.total_seconds() / STEP_SECONDS)]
    return Table(
        "by hour",
        ["hour", "requests", "failed", "95th percentile"],
        [
            [
                f"{_clock(at - HOUR)} to {_clock(at)}",
                f"{hours[at].requests:,.0f}",
                f"{hours[at].failed:,.0f}",
                duration(hours[at].p95) if hours[at].p95 else "",
            ]
            for at in newest_first
        ],
    )
