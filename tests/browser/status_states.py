"""What the status page can say: each state of it, for the tests that look at it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial

from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.incidents import incidents
from chitlaq.ops.statuspage import bars, current, maintenance, published
from chitlaq.ops.statuspage.components import COMPONENTS, State
from chitlaq.ops.statuspage.published import UpdateStatus
from tests.ops.statuspage.full_page import fill

Arrange = Callable[[OpsDatabase], Awaitable[None]]

TITLE = ("Wartungsarbeitenankündigungsverzeichnis " * 5)[:200]
TEXT = (
    f"https://example.edu/{'a' * 180}\n\nنعمل على حل المشكلة\nsatır sonu\n\n{'Sözcükler. ' * 120}"
)
DAY_SECONDS = 86_400.0


async def watch(database: OpsDatabase, state: State, *names: str) -> None:
    """Let all components have been watched for as long as there are bars; these are in this state now."""
    now = datetime.now(UTC)
    for name in COMPONENTS:
        found = state if name in names else State.OPERATIONAL
        await database.write(statement("keep_component_state", name, found, now))
        for age in range(bars.DAYS):
            seen = state if age == 0 and name in names else State.OPERATIONAL
            day = f"{(now - timedelta(days=age)).date()}"
            await database.write(statement("keep_component_seconds", name, day, seen, DAY_SECONDS))


async def say_nothing(_database: OpsDatabase) -> None:
    """As on the first day."""


async def degrade(database: OpsDatabase) -> None:
    await watch(database, State.DEGRADED_PERFORMANCE, "search")
    await current.set_by_person(database, ["mail"], State.DEGRADED_PERFORMANCE, "ada")


async def fail(database: OpsDatabase) -> None:
    """Nothing works, and it is told."""
    await watch(database, State.MAJOR_OUTAGE, *COMPONENTS)
    made = await incidents.open_by_hand(database, "HostDown", "P0", "ada", subject="")
    await published.publish(database, made.id, UpdateStatus.INVESTIGATING, "ada", names=["all"])


async def work(database: OpsDatabase, begins: timedelta) -> None:
    await watch(database, State.OPERATIONAL)
    start = datetime.now(UTC) + begins
    await maintenance.add(
        database, ["all"], start, start + timedelta(hours=2), "New disks", "ada",
        title_tr="Yeni diskler", text="At night.", text_tr="Gece.",
    )  # fmt: skip


async def work_now(database: OpsDatabase) -> None:
    await work(database, timedelta(minutes=-5))
    await current.set_by_person(database, list(COMPONENTS), State.UNDER_MAINTENANCE, "ada")


async def end(database: OpsDatabase) -> None:
    """All of it is over: an incident, work, and work that was withdrawn."""
    await watch(database, State.OPERATIONAL)
    made = await incidents.open_by_hand(database, "DatabaseDown", "P1", "ada", subject="")
    for status in UpdateStatus:
        await published.publish(database, made.id, status, "ada", names=["feed", "search"])
    for number, begins in ((1, timedelta(minutes=-5)), (2, timedelta(days=1))):
        await work(database, begins)
        await maintenance.end(database, number, "ada")


async def say_much(database: OpsDatabase) -> None:
    """The longest title, words without end, and another direction."""
    await watch(database, State.PARTIAL_OUTAGE, "feed")
    made = await incidents.open_by_hand(database, "DatabaseDown", "P1", "ada", subject="")
    await published.publish(
        database, made.id, UpdateStatus.IDENTIFIED, "ada", names=["all"], text=TEXT, title=TITLE
    )
    start = datetime.now(UTC) + timedelta(days=1)
    await maintenance.add(
        database, ["all"], start, start + timedelta(hours=1), TITLE, "ada", text=TEXT
    )


STATES: Mapping[str, Arrange] = {
    "everything": fill,
    "new": say_nothing,
    "up": partial(watch, state=State.OPERATIONAL),
    "degraded": degrade,
    "outage": fail,
    "announced": partial(work, begins=timedelta(days=2)),
    "under-way": work_now,
    "over": end,
    "long": say_much,
}
PAGES: Mapping[str, tuple[str, ...]] = {
    "everything": ("page", "history", "subscribe"),
    "new": ("page", "history"),
    "over": ("page", "history"),
    "long": ("page", "history"),
}
"""The pages on which a state shows, where it is not the first alone."""
