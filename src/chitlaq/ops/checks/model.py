"""What a check is, and what it says: a verdict with a sentence, what was measured, and evidence.

A check's function returns an `Outcome`, or raises: `Unseen` when it could not look, which is UNKNOWN
and never green, or `NotHere` when the machine has no such thing, which is SKIPPED.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from chitlaq.core.installation.settings import Limit

if TYPE_CHECKING:
    from chitlaq.ops.checks.system import SystemView

TIMEOUT_SECONDS = 5.0
"""How long a check may take unless it says otherwise."""


class Verdict(StrEnum):
    OK = "OK"
    WARNING = "WARNING"
    CRITICAL = "CRITICAL"
    UNKNOWN = "UNKNOWN"
    SKIPPED = "SKIPPED"

    @property
    def is_problem(self) -> bool:
        return self not in {Verdict.OK, Verdict.SKIPPED}


WORST_FIRST = (
    Verdict.CRITICAL,
    Verdict.UNKNOWN,
    Verdict.WARNING,
    Verdict.OK,
    Verdict.SKIPPED,
)
"""Not to know is worse than to be warned: it may hide anything."""


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of these; SKIPPED when there are none."""
    return min(verdicts, key=WORST_FIRST.index, default=Verdict.SKIPPED)


class Section(StrEnum):
    """The runbook's chapters, in its order."""

    CHECKLIST = "Daily Checklist"
    HOST = "System Health Monitoring"
    SERVICES = "Service Status Checks"
    PERFORMANCE = "Performance Monitoring"
    LOGS = "Log Review and Analysis"
    BACKUPS = "Backup Verification"
    SECURITY = "Security Monitoring"
    INCIDENTS = "Incident Response"
    MAINTENANCE = "Maintenance Tasks"


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something measured, in base units (seconds, bytes, ratio; none for a count).

    With thresholds it is judged: where the warning is the larger one, less is worse.
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


def judged(value: float, unit: str, limit: Limit) -> Value:
    return Value(value, unit, *limit)


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


class Outcome(msgspec.Struct, frozen=True):
    verdict: Verdict
    summary: str
    values: dict[str, Value] = {}
    evidence: list[Evidence] = []


def outcome(
    summary: str,
    values: dict[str, Value] | None = None,
    *evidence: Evidence,
    least: Verdict = Verdict.OK,
) -> Outcome:
    """Return what was found, as bad as its worst value, and at least as bad as said."""
    values = values or {}
    verdict = worst((least, *(value.verdict for value in values.values())))
    return Outcome(verdict, summary, values, list(evidence))


Judge = Callable[["SystemView"], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Check:
    """One look at the system.

    Args:
        id: ``database.connections``: what is looked at, and what about it.
        title: for people, in a table.
        section: the runbook's chapter that asks for it.
        looks_at: where its values come from.
        commands: what a person would type for the same.
        remedy: what to do when it is not OK.
        judge: looks, and says what it found.
        timeout_seconds: how long it may take; then it is UNKNOWN.
        is_heavy: it takes the processor, and begins only when those that measure time have ended.
    """

    id: str
    title: str
    section: Section
    looks_at: str
    commands: tuple[str, ...]
    remedy: str
    judge: Judge
    timeout_seconds: float = TIMEOUT_SECONDS
    is_heavy: bool = False


def check(
    id: str,  # noqa: A002 - the word that people type
    title: str,
    *,
    section: Section,
    looks_at: str,
    commands: Sequence[str],
    remedy: str,
    timeout_seconds: float = TIMEOUT_SECONDS,
    is_heavy: bool = False,
) -> Callable[[Judge], Check]:
    """Declare the function below as a check; the name then stands for the whole of it."""
    return lambda judge: Check(
        id, title, section, looks_at, tuple(commands), remedy, judge, timeout_seconds, is_heavy
    )
