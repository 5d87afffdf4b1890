"""Which of several ops-services acts."""

from __future__ import annotations

from chitlaq.core.errors import NotYet, UnknownResult
from chitlaq.core.formatting import duration
from chitlaq.ops.checks.model import CheckOutcome, Section, Value, Verdict, check, outcome
from chitlaq.ops.checks.sources.datastores import psql
from chitlaq.ops.checks.sources.judged_by import JUDGED_BY
from chitlaq.ops.checks.sources.system import SystemView
from chitlaq.ops.lease.lease import LEASE_SECONDS, identity

TAKEN = (4.0, 10.0)
"""How often within an hour: an upgrade of two machines moves it twice."""
NEW_SECONDS = 120.0


async def elsewhere(system: SystemView) -> str:
    """Return the other machine whose ops-service acts; empty if there is none, or PostgreSQL does not say."""
    if not system.settings.database_url:
        return ""  # an embedded one is this machine's own
    try:
        rows = await system.postgres.rows("lease")
    except UnknownResult:
        return ""
    here = identity(system.home, system.settings)
    return next(
        (row["host"] for row in rows if row["seconds_left"] > 0 and row["holder"] != here), ""
    )


@check(
    "operations.lease",
    "Lease of operations",
    section=Section.ESCALATION,
    looks_at="who holds the lease in PostgreSQL, and how often it was taken within an hour",
    commands=("chitlaq ops lease", psql("SELECT * FROM ops.lease;")),
    remedy="If nobody holds it, start ops-service on a node with the role operations: until then nobody runs"
    " routines or tells people of incidents. If it changes often, look at the"
    " machines that took it (`chitlaq logs ops-service --search lease`): their load, their network, and"
    " PostgreSQL's failovers (`site.patroni`).",
)
async def lease(system: SystemView) -> CheckOutcome:
    rows = await system.postgres.rows("lease")
    if not rows:
        if system.is_new(NEW_SECONDS):
            raise NotYet("ops-service takes it when it starts")
        return outcome(
            "nobody has ever held it", least=Verdict.CRITICAL, because=(JUDGED_BY["ops-service"],)
        )
    (row,) = rows
    here = row["holder"] == identity(system.home, system.settings)
    values = {
        "taken": Value(row["taken_lately"], "", *TAKEN),
        "left": Value(row["seconds_left"], "seconds"),
    }
    said = f"{row['host']}{' (this machine)' if here else ''}"
    if row["seconds_left"] > 0:
        return outcome(
            f"{said} holds it since {row['held_since'].astimezone():%Y-%m-%d %H:%M}", values
        )
    free = -row["seconds_left"]
    return outcome(
        f"nobody holds it since {duration(free)}; {said} held it last",
        values,
        # It is taken within seconds where an ops-service is left.
        least=Verdict.CRITICAL if free > LEASE_SECONDS else Verdict.WARNING,
        because=(JUDGED_BY["ops-service"],),
    )
