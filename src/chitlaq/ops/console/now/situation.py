"""What the first screen says, from what can be asked: each part is unknown where its source is down."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from chitlaq.ops.actions import record
from chitlaq.ops.actions.model import ActionRecord
from chitlaq.ops.console.now import experience, remedies
from chitlaq.ops.console.now.experience import Experience
from chitlaq.ops.console.now.remedies import Remedy
from chitlaq.ops.console.pages import Unknown, looked
from chitlaq.ops.incidents import incidents
from chitlaq.ops.incidents.incidents import Incident, IncidentAlert
from chitlaq.ops.state import OpsState
from chitlaq.stack.supervisor import control
from chitlaq.stack.supervisor.control import Status

LISTED = 50


@dataclass(frozen=True, slots=True)
class Situation:
    """What the first screen shows.

    Args:
        incident: the worst that is not resolved, or None.
        others: how many more there are.
        cause: the alert of the incident that began first.
        remedy: what the runbook says to do about that.
        ailing: components that are not well, as the supervisor sees them.
        last_action: what an operator did last.
        restarted: the component that was started last.
    """

    at: datetime
    incident: Incident | Unknown | None
    others: int
    cause: IncidentAlert | None
    remedy: Remedy | None
    felt: Experience | Unknown
    ailing: Sequence[Status] | Unknown
    restarted: Status | None
    last_action: ActionRecord | Unknown | None

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
        parts = f"{seen}|{self.others}|{ailing}|{isinstance(self.felt, Unknown)}"
        return hashlib.sha256(parts.encode()).hexdigest()[:16]


async def now(state: OpsState) -> Situation:
    """Look at everything at once: the slowest source decides how long it takes, within bounds."""
    home = state.context.home
    open_ones, felt, statuses, actions = await asyncio.gather(
        looked(incidents.listed(state.operations, limit=LISTED)),
        looked(experience.felt(home)),
        looked(asyncio.to_thread(control.ask, home, control.Ps())),
        looked(record.listed(state.operations, 1)),
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
    cause = _cause(incident)
    return Situation(
        datetime.now(UTC),
        incident,
        others,
        cause,
        remedies.remedy(cause) if cause else None,
        felt,
        statuses if isinstance(statuses, Unknown) else [one for one in statuses if not one.is_well],
        None if isinstance(statuses, Unknown) else _youngest(statuses),
        actions if isinstance(actions, Unknown) else (actions[0] if actions else None),
    )


def _cause(incident: Incident | Unknown | None) -> IncidentAlert | None:
    """The alert that explains the others: a component or host that is down, else the first."""
    if not isinstance(incident, Incident):
        return None
    firing = [one for one in incident.alerts if one.ended_at is None] or incident.alerts
    return min(
        firing, key=lambda one: (not one.name.endswith("Down"), one.started_at), default=None
    )


def _youngest(statuses: Sequence[Status]) -> Status | None:
    running = [one for one in statuses if one.pid is not None]
    return min(running, key=lambda one: one.uptime, default=None)
