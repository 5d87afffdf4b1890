"""What an alert is: a condition, what it means, who must move, and the cases that prove it.

An alert that never fired may be one that cannot. So each is declared with series under which it fires
and with series under which it keeps silent, and Prometheus's own promtool runs them all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

Severity = Literal["P0", "P1", "P2", "P3", "none"]

ASKED_BY_OPS = ("postgres", "redis", "nginx")
"""Components whose metrics are gone when they are, or when ops-service is."""

SEEN_THROUGH = ("prometheus", "node", "ops-service", *ASKED_BY_OPS)
"""Whose own failure takes metrics away."""

UNSEEN_FOR = "10m"

HOST = "{{ $labels.instance | stripPort }}"
"""The host that an alert is about, which a host that is down silences; none where a sum has no instance."""


class Series(msgspec.Struct, frozen=True):
    """An input series: a selector with equal signs only, and its values in promtool's notation."""

    series: str
    values: str


class Expected(msgspec.Struct, frozen=True):
    """An alert that fires in a case: the labels of its series, and the sentence that people read."""

    labels: Mapping[str, str]
    summary: str


class Case(msgspec.Struct, frozen=True):
    """Series, a moment, and what fires then; nothing when ``expected`` is empty."""

    series: tuple[Series, ...]
    at: str
    expected: tuple[Expected, ...] = ()


def steady(series: str, value: float, minutes: int = 60) -> Series:
    """A series that keeps one value; one sample a minute."""
    return Series(series, f"{value:.15g}+0x{minutes}")


def rising(series: str, step: float, minutes: int = 60, start: float = 0) -> Series:
    """A series that grows by ``step`` each minute, as a counter under steady load does."""
    return Series(series, f"{start:.15g}{step:+.15g}x{minutes}")


def fires(
    *series: Series, summary: str, labels: Mapping[str, str] | None = None, at: str = "30m"
) -> Case:
    """A case in which one alert fires, with these labels beside those of its declaration."""
    return Case(series, at, (Expected(labels or {}, summary),))


def silent(*series: Series, at: str = "30m") -> Case:
    """A case in which nothing fires, and nobody is woken."""
    return Case(series, at)


class Unseen(msgspec.Struct, frozen=True):
    """What must be there to be judged: series whose absence is an alert of its own.

    Args:
        series: selectors with equal signs only; each is looked for.
        through: whose failure explains the absence, and silences the twin.
    """

    series: tuple[str, ...]
    through: str


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One alerting rule.

    Args:
        for_: how long the condition must hold, in Prometheus's notation.
        severity: the runbook's P0 to P3; "none" is for what only proves that the path works.
        summary: one sentence; may use Prometheus's templates.
        procedure: the section of the runbook that treats it.
        cases: at least one in which it fires and one in which it does not.
        family: alerts of one family are the same trouble; the graver silences the lesser.
        labels: more labels, which may use templates.
        unseen: declare it where silence would be taken for health.

    Raises:
        ValueError: something is missing.
    """

    name: str
    expr: str
    for_: str
    severity: Severity
    summary: str
    procedure: str
    cases: tuple[Case, ...]
    family: str = ""
    labels: Mapping[str, str] = {}
    unseen: Unseen | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Z][A-Za-z]+", self.name):
            raise ValueError(f"{self.name!r} is no name for an alert")
        for field in ("expr", "for_", "summary", "procedure"):
            if not getattr(self, field).strip():
                raise ValueError(f"{self.name} has no {field}")
        if not any(case.expected for case in self.cases):
            raise ValueError(f"{self.name} has no case in which it fires")
        if all(case.expected for case in self.cases):
            raise ValueError(f"{self.name} has no case in which it is silent")
        if self.unseen is not None and self.unseen.through not in SEEN_THROUGH:
            raise ValueError(f"{self.name} is seen through {self.unseen.through!r}: who is that?")

    @property
    def all_labels(self) -> dict[str, str]:
        return {"severity": self.severity, "family": self.family or self.name, **self.labels}

    @property
    def rule(self) -> dict[str, Any]:
        """The rule as Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.for_,
            "labels": {"host": HOST, **self.all_labels},
            "annotations": {"summary": self.summary, "procedure": self.procedure},
        }

    @property
    def twin(self) -> Alert | None:
        """The alert that says that this one could not be judged."""
        if self.unseen is None:
            return None
        what = [series.partition("{")[0] for series in self.unseen.series]
        summary = (
            f"Nobody can say whether {self.name} should fire: there is no {what[0]}"
            f"{_naming(self.unseen.series)}."
        )
        present = tuple(steady(series, 1) for series in self.unseen.series)
        missing = tuple(
            Expected(matched, _filled(summary, matched))
            for matched in map(_matched, self.unseen.series)
        )
        return Alert(
            name=f"{self.name}Unseen",
            expr=" or ".join(f"absent({series})" for series in self.unseen.series),
            for_=UNSEEN_FOR,
            severity="P2",
            summary=summary,
            procedure="Monitoring Dashboard Review",
            labels={"seen_through": self.unseen.through},
            cases=(Case((), "30m", missing), Case(present, "30m")),
        )


def with_twins(alerts: Sequence[Alert]) -> list[Alert]:
    """Return the alerts, each followed by its twin; twins that would say the same are said once."""
    found: list[Alert] = []
    known: set[str] = set()
    for alert in alerts:
        found.append(alert)
        twin = alert.twin
        if twin is not None and twin.expr not in known:
            known.add(twin.expr)
            found.append(twin)
    return found


def _matched(series: str) -> dict[str, str]:
    """The labels that ``absent`` can know: those of a selector's equal signs."""
    return dict(re.findall(r'(\w+)="([^"]*)"', series))


def _naming(series: Sequence[str]) -> str:
    """How a sentence tells the absent series of one metric from each other."""
    names = list(_matched(series[0]))
    return f" of {{{{ $labels.{names[0]} }}}}" if names else ""


def _filled(summary: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], summary)
