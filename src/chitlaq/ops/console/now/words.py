"""What the first screen says, in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chitlaq.core.formatting import count, duration, share
from chitlaq.ops.actions.model import ActionRecord
from chitlaq.ops.console.now.situation import Situation
from chitlaq.ops.console.pages import Unknown
from chitlaq.ops.incidents.incidents import Incident


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
        is_severe = now.incident.severity in {"P0", "P1"}
        return Sentence(
            "critical" if is_severe else "warning",
            f"{title}, since {_since(now.incident.opened_at)}",
        )
    if isinstance(now.ailing, Unknown):
        return Sentence("unknown", f"No incident, but what runs is unknown: {now.ailing.reason}")
    if now.ailing:
        names = ", ".join(one.name for one in now.ailing)
        return Sentence("warning", f"No incident, but not everything is well: {names}")
    return Sentence("ok", "No incident: everything runs")


def last_change(now: Situation) -> str:
    """Return what changed last: what an operator did, or a component that was started."""
    found: list[tuple[datetime, str]] = []
    if isinstance(now.last_action, ActionRecord):
        did = now.last_action
        found.append(
            (did.started_at, f"{did.action} {did.target}".rstrip() + f" by {did.operator}")
        )
    if now.restarted is not None:
        started = now.at - timedelta(seconds=now.restarted.uptime)
        found.append((started, f"{now.restarted.name} started"))
    if found:
        at, words = max(found)
        return f"{_clock(at)}: {words}"
    reasons = [one.reason for one in (now.last_action, now.ailing) if isinstance(one, Unknown)]
    return f"unknown: {reasons[0]}" if reasons else "none is known"


def fields(now: Situation) -> dict[str, str]:
    """Return the texts that change from one moment to the next, by the name of their place on the page."""
    found = {"sentence": sentence(now).text, "change": last_change(now)}
    if not isinstance(now.felt, Unknown):
        felt = now.felt
        found |= {
            "failed": share(felt.failed / felt.requests),
            "p95": duration(felt.p95_seconds),
            "affected": share(felt.affected / felt.people),
            "felt": f"{count(felt.requests, 'request')} since {_clock(felt.since)}",
        }
    return found


def _since(at: datetime) -> str:
    seconds = max(0.0, (datetime.now(UTC) - at).total_seconds())
    return f"{_clock(at)} ({duration(seconds) if seconds >= 1 else 'now'})"


def _clock(at: datetime) -> str:
    local = at.astimezone()
    is_today = local.date() == datetime.now(UTC).astimezone().date()
    return f"{local:%H:%M}" if is_today else f"{local:%Y-%m-%d %H:%M}"
