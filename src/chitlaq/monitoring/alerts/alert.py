"""Declare an alert: its condition, its meaning, who must act, and the cases that prove it.

An alert that has never fired may be one that cannot. Each is therefore declared with input series under
which it fires and input series under which it stays silent; the tests run them all through promtool.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from chitlaq import inventory

Severity = Literal["P0", "P1", "P2", "P3", "none"]

EXPORTED_BY_OPS = tuple(row.name for row in inventory.SERVERS)
"""Components whose metrics disappear when they are down, or when ops-service is."""

SEEN_THROUGH = ("prometheus", "node", "ops-service", *EXPORTED_BY_OPS)
"""Components whose failure makes metrics disappear."""

ABSENT_FOR = "10m"

HOST = "{{ $labels.instance | stripPort }}"
"""The host that an alert is about; empty where a sum has no instance. A host that is down silences it."""

PLACEHOLDER = re.compile(r"\{\{ \$(?:labels\.(?P<label>\w+)|value[^}]*) \}\}")
"""What our templates use of Prometheus's: a label, or the value with or without a function."""


class InputSeries(msgspec.Struct, frozen=True):
    """A selector with equality matchers only, and its values in promtool's notation."""

    series: str
    values: str


class Expected(msgspec.Struct, frozen=True):
    """An alert that fires in a case.

    Args:
        labels: those of its series.
        value: the formatted value, such as "1h 5m 0s"; empty where no template shows it.
    """

    labels: Mapping[str, str]
    value: str = ""

    def rendered(self, template: str) -> str:
        """Return the template with this case's labels and value.

        Raises:
            ValueError: the template uses a label or a value that the case does not state.
        """

        def stated(found: re.Match[str]) -> str:
            text = self.labels.get(found["label"], "") if found["label"] else self.value
            if not text:
                raise ValueError(f"a case does not state {found[0]} of {template!r}")
            return text

        return PLACEHOLDER.sub(stated, template)


class Case(msgspec.Struct, frozen=True):
    """Input series, and what fires at a moment; nothing when ``expected`` is empty.

    Args:
        at: in promtool's notation; empty for half an hour after the alert's ``for_`` has passed.
    """

    series: tuple[InputSeries, ...]
    at: str = ""
    expected: tuple[Expected, ...] = ()


class Absence(msgspec.Struct, frozen=True):
    """Series whose absence is a separate alert.

    Args:
        series: selectors with equality matchers only; each is checked.
        through: the component whose failure explains the absence and silences the absence alert.
    """

    series: tuple[str, ...]
    through: str


def absent(*series: str, through: str) -> Absence:
    return Absence(series, through)


def steady(series: str, value: float, minutes: int = 600) -> InputSeries:
    """A series that keeps one value, with one sample a minute."""
    return InputSeries(series, f"{value:.15g}+0x{minutes}")


def rising(series: str, step: float, start: float = 0) -> InputSeries:
    """A series that grows by ``step`` each minute, as a counter does under steady load."""
    return InputSeries(series, f"{start:.15g}{step:+.15g}x600")


def ended(series: str, step: float, minutes: int) -> InputSeries:
    """A series that grows by ``step`` each minute until this one, and then no more."""
    return InputSeries(series, f"0{step:+.15g}x{minutes} {step * minutes:.15g}+0x600")


def fires(*series: InputSeries, value: str = "", at: str = "", **labels: str) -> Case:
    """A case in which one alert fires with these labels, beside those of its declaration."""
    return Case(series, at, (Expected(labels, value),))


def silent(*series: InputSeries, at: str = "") -> Case:
    """A case in which the alert does not fire."""
    return Case(series, at)


def above(series: str, limit: float, /, value: str = "", **labels: str) -> tuple[Case, Case]:
    """Fires a tenth above the limit (at 1 for a limit of 0), and is silent at the limit."""
    return (
        fires(steady(series, 1.1 * limit or 1), value=value, **labels),
        silent(steady(series, limit)),
    )


def below(series: str, limit: float, /, value: str = "", **labels: str) -> tuple[Case, Case]:
    """Fires a tenth below the limit, and is silent at the limit."""
    return fires(steady(series, 0.9 * limit), value=value, **labels), silent(steady(series, limit))


def zero(series: str, /, **labels: str) -> tuple[Case, Case]:
    """Fires at 0, and is silent at 1."""
    return fires(steady(series, 0), **labels), silent(steady(series, 1))


def older(series: str, limit: float, /, value: str, **labels: str) -> tuple[Case, Case]:
    """Fires when a timestamp is 20 minutes older than the limit in seconds, and is silent at the limit.

    The clock of promtool starts at 0, so that most of these timestamps are negative.
    """
    then = 30 * 60 - limit
    return (
        fires(steady(series, then - 20 * 60), value=value, at="30m", **labels),
        silent(steady(series, then), at="30m"),
    )


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One alerting rule.

    Args:
        for_: how long the condition must hold, in Prometheus's notation.
        severity: the runbook's P0 to P3; "none" only shows that alerts are delivered.
        summary: one sentence; may use placeholders.
        procedure: the runbook's section for it.
        cases: at least one in which it fires and one in which it does not.
        family: alerts of one family are about the same problem; the more severe silences the others.
        labels: more labels, which may use placeholders.
        absence: required where silence could be taken for health.
        stands_on: alerts that explain this one, and silence it; on the same service where both name one.

    Raises:
        ValueError: something is missing, or a case does not state what the templates use.
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
    absence: Absence | None = None
    stands_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Z][A-Za-z]+", self.name):
            raise ValueError(f"{self.name!r} is not a valid alert name")
        for field in ("expr", "for_", "summary", "procedure"):
            if not getattr(self, field).strip():
                raise ValueError(f"{self.name} has no {field}")
        if not any(case.expected for case in self.cases):
            raise ValueError(f"{self.name} has no case in which it fires")
        if all(case.expected for case in self.cases):
            raise ValueError(f"{self.name} has no case in which it is silent")
        for case in self.cases:
            for expected in case.expected:
                self.firing_labels(expected)
                expected.rendered(self.summary)
                if expected.value and "{{ $value" not in self.summary:
                    raise ValueError(f"{self.name}: a case states a value that is not shown")
        if self.absence is not None and self.absence.through not in SEEN_THROUGH:
            raise ValueError(f"{self.name} is seen through {self.absence.through!r}: unknown")

    @property
    def all_labels(self) -> dict[str, str]:
        return {"severity": self.severity, "family": self.family or self.name, **self.labels}

    def firing_labels(self, expected: Expected) -> dict[str, str]:
        """All labels that the alert has in a case.

        Raises:
            ValueError: a label uses one that the case does not state.
        """
        declared = {name: expected.rendered(text) for name, text in self.all_labels.items()}
        return {**declared, **expected.labels}

    @property
    def is_of_a_service(self) -> bool:
        """Whether it always names the service that it is about."""
        return all(
            "service" in self.firing_labels(expected)
            for case in self.cases
            for expected in case.expected
        )

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
    def absence_alert(self) -> Alert | None:
        """The alert that fires when this one cannot be evaluated."""
        if self.absence is None:
            return None
        series = self.absence.series
        labels = [dict(re.findall(r'(\w+)="([^"]*)"', one)) for one in series]
        # Absent series of one metric are told apart by their first label.
        of = f" of {{{{ $labels.{next(iter(labels[0]))} }}}}" if labels[0] else ""
        return Alert(
            name=f"{self.name}Unseen",
            expr=" or ".join(f"absent({one})" for one in series),
            for_=ABSENT_FOR,
            severity="P2",
            summary=f"{self.name} cannot be evaluated: {series[0].partition('{')[0]}{of} is missing.",
            procedure="Monitoring Dashboard Review",
            labels={"seen_through": self.absence.through},
            cases=(
                Case((), expected=tuple(map(Expected, labels))),
                silent(*(steady(one, 1) for one in series)),
            ),
        )


def with_absence_alerts(alerts: Sequence[Alert]) -> list[Alert]:
    """Return the alerts, each followed by its absence alert unless an earlier one has the same condition."""
    found: list[Alert] = []
    known: set[str] = set()
    for alert in alerts:
        found.append(alert)
        other = alert.absence_alert
        if other is not None and other.expr not in known:
            known.add(other.expr)
            found.append(other)
    return found
