"""What can be done to an incident besides acknowledging it: each asks for a reason first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chitlaq.core.errors import OperatorError
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.incidents import incidents
from chitlaq.ops.incidents.changes import Severity
from chitlaq.ops.incidents.incidents import Incident


@dataclass(frozen=True, slots=True)
class Step:
    """A step: its word, its button, and what it does, line by line.

    Args:
        follows_lease: whether the word of the ops-service that acts holds, so that others refuse it.
    """

    name: str
    button: str
    plan: Sequence[str]
    follows_lease: bool = False


STEPS: Mapping[str, Step] = {
    one.name: one
    for one in (
        Step(
            "resolve", "Resolve",
            ("the incident ends now, and nobody is called for it any more",
             "an alert on the same thing within 30 minutes opens it again"),
        ),
        Step(
            "severity", "Change severity",
            ("deadlines and who is called follow the new severity from now on",),
            follows_lease=True,
        ),
        Step(
            "merge", "Merge",
            ("its alerts and its timeline become part of the other incident", "this one is resolved"),
        ),
        Step(
            "split", "Split",
            ("the alerts that you choose get an incident of their own", "who is on call is told of it"),
        ),
        Step(
            "reopen", "Reopen",
            ("the incident is open again, and who is on call is told of it",),
        ),
    )
}  # fmt: skip


def for_incident(incident: Incident) -> list[Step]:
    """Return the steps that make sense for an incident as it is."""
    if incident.merged_into is not None:
        return []
    if incident.status == "resolved":
        return [STEPS["reopen"]]
    names = ["resolve", "severity", "merge", *(["split"] if incident.alert_count > 1 else [])]
    return [STEPS[name] for name in names]


async def carried_out(
    name: str,
    database: OpsDatabase,
    number: int,
    operator: str,
    version: int,
    *,
    why: str,
    severity: Severity | None,
    into: int | None,
    alerts: str,
) -> Incident:
    """Carry out a step, and return the incident that it leads to.

    Raises:
        OperatorError: there is no reason, what the step needs is missing, or it is refused.
    """
    if not why.strip():
        raise OperatorError("Say why, for the record: nothing was done.")
    match name:
        case "resolve":
            return await incidents.resolve(database, number, operator, version, reason=why)
        case "reopen":
            return await incidents.reopen(database, number, operator, version, reason=why)
        case "severity" if severity is not None:
            return await incidents.change_severity(
                database, number, operator, version, severity=severity, reason=why
            )
        case "merge" if into is not None:
            merged = await incidents.merge(database, number, operator, version, into=into)
            return await incidents.note(database, merged.id, operator, text=why)
        case "split" if alerts.split():
            chosen = alerts.split()
            split = await incidents.split(database, number, operator, version, alerts=chosen)
            return await incidents.note(database, split.id, operator, text=why)
        case _:
            raise OperatorError(
                "Something was not chosen: nothing was done. Go back, and choose it."
            )
