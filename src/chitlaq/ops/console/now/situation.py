"""What the first screen says, from what can be asked: each part is unknown where its source is down."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from chitlaq.core.installation.settings import Settings
from chitlaq.monitoring.alerts import inhibition
from chitlaq.ops.console.now import experience, remedies
from chitlaq.ops.console.now.experience import Experience
from chitlaq.ops.console.now.remedies import Remedy
from chitlaq.ops.console.oncall import duty
from chitlaq.ops.console.oncall.duty import Duty
from chitlaq.ops.console.pages import Unknown, looked
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.escalation import escalation
from chitlaq.ops.escalation.escalation import NextStep
from chitlaq.ops.incidents import incidents
from chitlaq.ops.incidents.incidents import Incident, IncidentAlert
from chitlaq.ops.state import OpsState
from chitlaq.stack.supervisor import control
from chitlaq.stack.supervisor.control import Status

LISTED = 50


@dataclass(frozen=True, slots=True)
class Change:
    """A restart, a new version, or what an operator did."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Situation:
    """What the first screen shows.

    Args:
        incident: the worst that is not resolved, or None.
        others: how many more there are.
        cause: the alert of the incident that began first.
        remedy: what the runbook says to do about that.
        are_alerts_silent: the Watchdog should arrive from Alertmanager, and does not.
        ailing: components that are not well, as the supervisor sees them.
        change: what changed last, and when; None if nothing is known.
        duty: who is on call.
        steps: what the escalation of the incident does next.
        elsewhere: the machine whose ops-service acts in place of this one, or nothing.
    """

    at: datetime
    incident: Incident | Unknown | None
    others: int
    cause: IncidentAlert | None
    remedy: Remedy | None
    are_alerts_silent: bool
    felt: Experience | Unknown
    ailing: Sequence[Status] | Unknown
    change: Change | Unknown | None
    duty: Duty | Unknown
    steps: Sequence[NextStep] | Unknown
    elsewhere: str

    @property
    def layout(self) -> str:
        """Changes when the page must be made anew rather than filled in."""
        incident = self.incident
        seen = (
            f"{incident.id} {incident.version} {incident.alert_count}"
            if isinstance(incident, Incident)
            else str(incident)
        )
        ailing = (
            self.ailing.reason
            if isinstance(self.ailing, Unknown)
            else " ".join(f"{one.name} {one.state}" for one in self.ailing)
        )
        parts = f"{seen}|{self.others}|{ailing}|{isinstance(self.felt, Unknown)}|{self.elsewhere}"
        return hashlib.sha256(parts.encode()).hexdigest()[:16]


async def now(state: OpsState) -> Situation:
    """Look at everything at once: the slowest source decides how long it takes, within bounds."""
    home = state.context.home
    open_ones, felt, statuses, change, on_call = await asyncio.gather(
        looked(incidents.listed(state.operations, limit=LISTED)),
        looked(experience.felt(home)),
        looked(asyncio.to_thread(control.ask, home, control.Ps())),
        looked(_last_change(state.operations)),
        looked(duty.now(state)),
    )
    incident: Incident | Unknown | None
    others = 0
    if isinstance(open_ones, Unknown):
        incident = open_ones
    else:
        pending = sorted(
            (one for one in open_ones if one.status != "resolved"),
            key=lambda one: (one.status != "open", one.severity, one.opened_at),
        )
        incident = pending[0] if pending else None
        others = max(0, len(pending) - 1)
    cause = cause_of(incident.alerts) if isinstance(incident, Incident) else None
    if _is_edge_down(incident):
        # What arrived before says nothing about those who get no answer now.
        felt = Unknown("nginx does not answer, so no request arrives")
    return Situation(
        datetime.now(UTC),
        incident,
        others,
        cause,
        remedies.remedy(cause) if cause else None,
        _has_alertmanager(state.context.settings) and not state.alert_path.works,
        felt,
        statuses if isinstance(statuses, Unknown) else [one for one in statuses if not one.is_well],
        change,
        on_call,
        await looked(_next_steps(state.operations, incident.id, on_call))
        if isinstance(incident, Incident)
        else (),
        state.lease.elsewhere,
    )


async def _next_steps(
    database: OpsDatabase, number: int, on_call: Duty | Unknown
) -> Sequence[NextStep]:
    if isinstance(on_call, Unknown):
        return await escalation.next_steps(database, number)
    return await on_call.next_steps(database, number)


def _is_edge_down(incident: Incident | Unknown | None) -> bool:
    return isinstance(incident, Incident) and any(
        one.name == "EdgeDown" and one.ended_at is None for one in incident.alerts
    )


def cause_of(alerts: Sequence[IncidentAlert]) -> IncidentAlert | None:
    """The alert that no other explains and that explains most, else the first."""
    firing = [one for one in alerts if one.ended_at is None] or alerts
    explained = {one.fingerprint: _explained(one, firing) for one in firing}
    return min(
        firing,
        key=lambda one: (
            any(one.fingerprint in effects for effects in explained.values()),
            -len(explained[one.fingerprint]),
            one.started_at,
        ),
        default=None,
    )


def _explained(cause: IncidentAlert, firing: Sequence[IncidentAlert]) -> frozenset[str]:
    """Return the fingerprints of those that an alert explains, as Alertmanager inhibits."""
    by = inhibition.inhibits({**cause.labels, "alertname": cause.name, "severity": cause.severity})
    return frozenset(
        one.fingerprint
        for one in firing
        if one.fingerprint != cause.fingerprint
        and by
        & inhibition.inhibited({**one.labels, "alertname": one.name, "severity": one.severity})
    )


def _has_alertmanager(settings: Settings) -> bool:
    return bool(settings.alertmanager_url) or settings.embeds("alertmanager")


async def _last_change(database: OpsDatabase) -> Change | None:
    rows = await database.rows("last_change")
    return Change(datetime.fromisoformat(rows[0]["at"]), rows[0]["text"]) if rows else None
