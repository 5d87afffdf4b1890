"""What a check is, and its outcome: a verdict, a summary, measured values, and evidence.

A check's function returns a `CheckOutcome` or raises: `UnknownResult` if it cannot read its source, which
gives UNKNOWN and never OK, or `NotApplicable` if the machine has no such thing, which gives SKIPPED.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from chitlaq.core.formatting import quantity

if TYPE_CHECKING:
    from chitlaq.ops.checks.sources.system import SystemView

TIMEOUT_SECONDS = 5.0
"""For checks that declare none."""


class Verdict(StrEnum):
    OK = "OK"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"
    UNKNOWN = "UNKNOWN"
    SKIPPED = "SKIPPED"

    @property
    def is_problem(self) -> bool:
        return self not in {Verdict.OK, Verdict.SKIPPED}


WORST_FIRST = (Verdict.CRITICAL, Verdict.UNKNOWN, Verdict.WARNING, Verdict.OK, Verdict.SKIPPED)
"""UNKNOWN is worse than WARNING, because it may hide anything."""


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst verdict; SKIPPED if there is none."""
    return min(verdicts, key=WORST_FIRST.index, default=Verdict.SKIPPED)


class Section(StrEnum):
    """The chapters of the runbook, in order."""

    CHECKLIST = "Daily Checklist"
    HOST = "System Health Monitoring"
    SERVICES = "Service Status Checks"
    PERFORMANCE = "Performance Monitoring"
    LOGS = "Log Review and Analysis"
    BACKUPS = "Backup Verification"
    SECURITY = "Security Monitoring"
    INCIDENTS = "Incident Response"
    MAINTENANCE = "Maintenance Tasks"
    ESCALATION = "Escalation Procedures"


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """A measured value in base units (seconds, bytes, ratio; none for a count).

    With thresholds, which are those of a `Threshold` of the settings, it has a verdict; if the warning
    threshold is the larger one, low values are bad.
    """

    value: float
    unit: str = ""
    warning: float | None = None
    critical: float | None = None

    @property
    def verdict(self) -> Verdict:
        if self.warning is None or self.critical is None:
            return Verdict.OK
        sign = 1 if self.warning <= self.critical else -1
        if sign * self.value >= sign * self.critical:
            return Verdict.CRITICAL
        return Verdict.WARNING if sign * self.value >= sign * self.warning else Verdict.OK


NAMED_VALUES = 3


class Table(msgspec.Struct, frozen=True, tag="table"):
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Lines(msgspec.Struct, frozen=True, tag="lines"):
    title: str
    lines: Sequence[str]


class TimeSeries(msgspec.Struct, frozen=True, tag="series"):
    """A value over time, in base units."""

    title: str
    unit: str
    points: Sequence[tuple[datetime, float]]


Evidence = Table | Lines | TimeSeries


class CheckOutcome(msgspec.Struct, frozen=True):
    """What a check found.

    Args:
        because: checks that together explain everything that is bad here, if each has found a problem.
        is_late: no answer came in time, which says no more of how bad it is than UNKNOWN does.
    """

    verdict: Verdict
    summary: str
    values: dict[str, Value] = {}
    evidence: list[Evidence] = []
    because: tuple[str, ...] = ()
    is_late: bool = False

    @property
    def has_seen(self) -> bool:
        """Whether the verdict is about what was seen, and not about there having been nothing to see."""
        return self.verdict is not Verdict.UNKNOWN and not self.is_late


def outcome(
    summary: str,
    values: dict[str, Value] | None = None,
    *evidence: Evidence,
    least: Verdict = Verdict.OK,
    because: Sequence[str] = (),
    is_late: bool = False,
) -> CheckOutcome:
    """Return an outcome whose verdict is that of its worst value, and at least `least`.

    The summary says why: values beyond their limits are added, unless it has their names or figures already.
    """
    values = values or {}
    verdict = worst((least, *(value.verdict for value in values.values())))
    if verdict is not least:
        beyond = {name: one for name, one in values.items() if one.verdict is verdict}
        figures = (quantity(one.value, one.unit) for one in beyond.values())
        if not any(_names(summary, one) for one in (*beyond, *figures)):
            said = [_beyond(name, one) for name, one in beyond.items()]
            summary = "; ".join((summary, *said[:NAMED_VALUES]))
    return CheckOutcome(verdict, summary, values, list(evidence), tuple(because), is_late)


def _names(summary: str, wanted: str) -> bool:
    """Whether a summary has a name or a figure, and not as a part of another one."""
    return re.search(rf"(?<![\w.,]){re.escape(wanted)}(?!\w)", summary) is not None


def _beyond(name: str, value: Value) -> str:
    """``answer 1.5 s (WARNING from 1 s)``."""
    limit = value.critical if value.verdict is Verdict.CRITICAL else value.warning
    assert value.warning is not None
    assert value.critical is not None
    assert limit is not None
    side = "from" if value.warning <= value.critical else "up to"
    what = name.replace("_", " ") if name.isidentifier() else name
    figure, bound = quantity(value.value, value.unit), quantity(limit, value.unit)
    return f"{what} {figure} ({value.verdict} {side} {bound})"


Judge = Callable[["SystemView"], Awaitable[CheckOutcome]]


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Args:
        id: ``database.connections``: the subject, and its aspect.
        title: for people.
        section: the runbook's chapter that calls for it.
        looks_at: the source of its values.
        commands: the equivalent shell commands.
        remedy: what to do if it is not OK.
        judge: measures, and returns the outcome.
        timeout_seconds: after which it is UNKNOWN.
        is_timed: it measures how long something takes, so it runs before the others, and alone.
        is_heavy: it uses much CPU, so it runs last.
        stands_on: checks that explain a problem here if they have found one that is at least as bad; any,
            if this one could not look.
        samples_of: the components whose last minutes or hours it reads from Prometheus: while one of them is
            down, or nobody has looked lately, it is UNKNOWN, and explained by the check of that component.
    """

    id: str
    title: str
    section: Section
    looks_at: str
    commands: tuple[str, ...]
    remedy: str
    judge: Judge
    timeout_seconds: float = TIMEOUT_SECONDS
    is_timed: bool = False
    is_heavy: bool = False
    stands_on: tuple[str, ...] = ()
    samples_of: tuple[str, ...] = ()

    async def look(self, system: SystemView) -> CheckOutcome:
        """Measure, if there is something to measure; raises as a check's function does."""
        if self.samples_of:
            await system.prometheus.require_alive(self.samples_of)
        return await self.judge(system)


def check(
    id: str,  # noqa: A002 - operators type it
    title: str,
    *,
    section: Section,
    looks_at: str,
    commands: Sequence[str],
    remedy: str,
    timeout_seconds: float = TIMEOUT_SECONDS,
    is_timed: bool = False,
    is_heavy: bool = False,
    stands_on: Sequence[str] = (),
    samples_of: Sequence[str] = (),
) -> Callable[[Judge], Check]:
    """Declare a function as a check; its name then refers to the `Check`."""
    return lambda judge: Check(
        id,
        title,
        section,
        looks_at,
        tuple(commands),
        remedy,
        judge,
        timeout_seconds,
        is_timed,
        is_heavy,
        tuple(stands_on),
        tuple(samples_of),
    )
