"""A status page with everything on it, for the tests that look at it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from chitlaq.core.installation.settings import Operations, Settings, StatusPage
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.incidents import incidents
from chitlaq.ops.statuspage import current, maintenance, published
from chitlaq.ops.statuspage.components import COMPONENTS, State
from chitlaq.ops.statuspage.published import UpdateStatus

SETTINGS = Settings(
    public_url="https://chat.example.edu",
    operations=Operations(timezone="Europe/Istanbul"),
    statuspage=StatusPage(contact="status@example.edu"),
)


async def fill(database: OpsDatabase) -> None:
    """Tell of incidents and maintenance, with a person's word and strange characters."""
    now = datetime.now(UTC)
    for number, name in enumerate(COMPONENTS):
        state = list(State)[number]
        await database.write(statement("keep_component_state", name, state, now))
        for age in range(60):
            day = f"{(now - timedelta(days=age)).date()}"
            seen = state if age % 13 == 0 else State.OPERATIONAL
            seconds = 900.0 + number if seen is state else 86_400.0
            await database.write(statement("keep_component_seconds", name, day, seen, seconds))
    await current.set_by_person(database, ["mail"], State.DEGRADED_PERFORMANCE, "ada")
    made = await incidents.open_by_hand(database, "DatabaseDown", "P0", "ada", subject="")
    for status in (UpdateStatus.INVESTIGATING, UpdateStatus.IDENTIFIED):
        await published.publish(
            database, made.id, status, "ada", names=["feed"], text='<b>&"\n\n日本 ]]> İıĞ'
        )
    for begins in (now - timedelta(minutes=5), now + timedelta(days=2)):
        await maintenance.add(
            database, ["chat"], begins, begins + timedelta(hours=1), "Disks & fans", "ada",
            title_tr="Diskler", text="At night.", text_tr="Gece.",
        )  # fmt: skip
