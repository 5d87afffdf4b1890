"""What the status page says at one moment, and the same as a document of Statuspage's public API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import msgspec

from chitlaq.core import local_time
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.schedule import scheduler
from chitlaq.ops.statuspage import bars, current, maintenance, published
from chitlaq.ops.statuspage.bars import Day
from chitlaq.ops.statuspage.components import COMPONENTS, State, worst
from chitlaq.ops.statuspage.current import ComponentStatus
from chitlaq.ops.statuspage.maintenance import Maintenance
from chitlaq.ops.statuspage.published import PublishedIncident
from chitlaq.web.console.status.words import words

PAGE_ID = "chitlaq"


class Snapshot(msgspec.Struct, frozen=True):
    """Everything that the page shows; times are in UTC."""

    at: datetime
    components: list[ComponentStatus]
    incidents: list[PublishedIncident]
    maintenances: list[Maintenance]
    days: Mapping[str, Sequence[Day]]

    @property
    def overall(self) -> State:
        """The worst state; an outage of half of the components or less is one of parts."""
        found = worst(one.state for one in self.components)
        failed = sum(one.state is State.MAJOR_OUTAGE for one in self.components)
        is_partial = found is State.MAJOR_OUTAGE and 2 * failed <= len(self.components)
        return State.PARTIAL_OUTAGE if is_partial else found


def zone(settings: Settings) -> tzinfo | None:
    """Return the time zone of the page: of the settings, else of those on call; None means this machine's.

    Raises:
        OperatorError: the settings name one that there is not.
    """
    return scheduler.zone(settings.operations) or local_time.zone()


async def taken(database: OpsDatabase, settings: Settings, at: datetime | None = None) -> Snapshot:
    """Return what the page says now.

    Raises:
        OpsDatabaseUnavailableError: it cannot be read.
    """
    at = at or datetime.now(UTC)
    since = at - timedelta(days=bars.DAYS)
    return Snapshot(
        at,
        await current.components(database, at),
        await published.listed(database, since),
        await maintenance.listed(database, since),
        await bars.days(database, at.astimezone(zone(settings)).date()),
    )


def document(snapshot: Snapshot, settings: Settings) -> dict[str, Any]:
    """Return ``summary.json`` of Statuspage's public API (version 2)."""
    site = settings.base_url
    states = {one.id: one for one in snapshot.components}

    def affected(names: Sequence[str]) -> list[dict[str, Any]]:
        return [_component(states[name], snapshot) for name in names]

    open_now = [one for one in snapshot.incidents if not one.is_over]
    ahead = [one for one in snapshot.maintenances if one.status(snapshot.at) != "completed"]
    return {
        "page": {
            "id": PAGE_ID,
            "name": "ChitLaq",
            "url": f"{site}/status",
            "time_zone": _zone_name(snapshot.at, settings),
            "updated_at": snapshot.at,
        },
        "status": {
            "indicator": _indicator(snapshot),
            "description": words("en")(f"overall.{snapshot.overall}"),
        },
        "components": affected(list(COMPONENTS)),
        "incidents": [_incident(one, affected(one.components), site) for one in open_now],
        "scheduled_maintenances": [
            _maintenance(one, affected(one.components), snapshot.at, site) for one in ahead
        ],
    }


def _indicator(snapshot: Snapshot) -> str:
    """Return Statuspage's word for the whole."""
    match snapshot.overall:
        case State.MAJOR_OUTAGE:
            return "critical"
        case State.PARTIAL_OUTAGE:
            return "major"
        case State.DEGRADED_PERFORMANCE:
            return "minor"
    return "none"


def _component(one: ComponentStatus, snapshot: Snapshot) -> dict[str, Any]:
    spoken = words("en")
    return {
        "id": one.id,
        "page_id": PAGE_ID,
        "name": spoken(f"component.{one.id}"),
        "description": spoken(f"about.{one.id}"),
        "status": one.state,
        "is_set_by_person": one.set_by is not None,
        "created_at": one.since or snapshot.at,
        "updated_at": one.since or snapshot.at,
        "position": list(COMPONENTS).index(one.id) + 1,
        "group_id": None,
        "group": False,
        "showcase": True,
        "only_show_if_degraded": False,
        "start_date": next((day.day for day in snapshot.days[one.id] if day.seconds), None),
    }


def _incident(one: PublishedIncident, affected: list[dict[str, Any]], site: str) -> dict[str, Any]:
    identifier = str(one.incident_id)
    times = {update.status: update.published_at for update in one.updates}
    return {
        "id": identifier,
        "page_id": PAGE_ID,
        "name": one.title,
        "status": one.status,
        "impact": one.impact,
        "created_at": one.published_at,
        "started_at": one.published_at,
        "updated_at": one.updated_at,
        "monitoring_at": times.get(published.UpdateStatus.MONITORING),
        "resolved_at": times.get(published.UpdateStatus.RESOLVED),
        "shortlink": f"{site}/status/en/history#incident-{identifier}",
        "components": affected,
        "incident_updates": [
            _update(str(update.id), identifier, update.status, update.text, update.published_at)
            for update in one.updates
        ],
    }


def _maintenance(
    one: Maintenance, affected: list[dict[str, Any]], at: datetime, site: str
) -> dict[str, Any]:
    identifier = f"maintenance-{one.id}"
    status = one.status(at)
    return {
        "id": identifier,
        "page_id": PAGE_ID,
        "name": one.title,
        "status": status,
        "impact": "maintenance",
        "created_at": one.made_at,
        "started_at": one.starts_at,
        "updated_at": one.made_at,
        "monitoring_at": None,
        "resolved_at": None,
        "scheduled_for": one.starts_at,
        "scheduled_until": one.ends_at,
        "shortlink": f"{site}/status/en/history#{identifier}",
        "components": affected,
        "incident_updates": [
            _update(identifier, identifier, status, one.text or one.title, one.made_at)
        ],
    }


def _update(identifier: str, incident: str, status: str, text: str, at: datetime) -> dict[str, Any]:
    return {
        "id": identifier,
        "incident_id": incident,
        "status": status,
        "body": text,
        "created_at": at,
        "updated_at": at,
        "display_at": at,
    }


def _zone_name(at: datetime, settings: Settings) -> str:
    return settings.operations.timezone or local_time.iana_name(at) or local_time.zone_name(at)
