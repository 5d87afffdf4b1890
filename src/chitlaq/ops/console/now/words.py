"""What the first screen says, in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chitlaq.core.formatting import count, duration, lasted, share
from chitlaq.core.local_time import clock
from chitlaq.ops.console.now.situation import Situation
from chitlaq.ops.console.pages import Unknown
from chitlaq.ops.incidents.incidents import Incident

QUIET = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Sentence:
    """The first line: its state (ok, warning, critical, unknown) and its words."""

    state: str
    text: str


def sentence(now: Situation) -> Sentence:
    """Return what is wrong, in one sentence, or that nothing is, or that nobody knows."""
    if isinstance(now.incident, Unknown):
        return Sentence(
            "unknown", f"Whether there is an incident is unknown: {now.incident.reason}"
        )
    if isinstance(now.incident, Incident):
        title = now.incident.title.rstrip(".")
        began = min([now.incident.opened_at, *(one.started_at for one in now.incident.alerts)])
        is_severe = now.incident.severity in {"P0", "P1"}
        return Sentence(
            "critical" if is_severe else "warning",
            f"{title}, since {_since(began)}",
        )
    if isinstance(now.ailing, Unknown):
        return Sentence("unknown", f"No incident, but what runs is unknown: {now.ailing.reason}")
    if now.ailing:
        names = ", ".join(one.name for one in now.ailing)
        return Sentence("warning", f"No incident, but not everything is well: {names}")
    if now.are_alerts_silent:
        return Sentence(
            "warning",
            "No incident, but no alert could arrive: Prometheus or Alertmanager is silent",
        )
    return Sentence("ok", "No incident: everything runs")


def last_change(now: Situation) -> str:
    """Return what changed last: a restart, a new version, or what an operator did."""
    match now.change:
        case Unknown(reason):
            return f"unknown: {reason}"
        case None:
            return "none is known"
        case change:
            return f"{clock(change.at)}: {change.text}"


def next_call(now: Situation) -> str:
    """Return who is told next of the incident, and when, unless somebody acknowledges it."""
    if isinstance(now.steps, Unknown):
        return f"Who is told next is unknown: {now.steps.reason}"
    if not now.steps:
        return ""
    step = now.steps[0]
    whom = f" {step.person} by {step.channel}" if step.person else ""
    return f"Next at {clock(step.at)}: {step.what}{whom}"


def fields(now: Situation) -> dict[str, str]:
    """Return the texts that change from one moment to the next, by the name of their place on the page."""
    found = {"sentence": sentence(now).text, "change": last_change(now), "next": next_call(now)}
    if not isinstance(now.felt, Unknown):
        felt = now.felt
        found |= {
            "failed": share(felt.failed / felt.requests),
            "p95": duration(felt.p95_seconds),
            "affected": share(felt.affected / felt.people),
            "felt": f"{count(felt.requests, 'request')} since {clock(felt.since)}{_quiet(felt.last)}",
        }
    return found


def _quiet(last: datetime) -> str:
    """Say that nothing has arrived for a while: what is shown is from before."""
    is_quiet = datetime.now(UTC) - last >= QUIET
    return f", none since {clock(last)}" if is_quiet else ""


def _since(at: datetime) -> str:
    return f"{clock(at)} ({lasted((datetime.now(UTC) - at).total_seconds())})"
