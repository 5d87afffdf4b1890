"""Who subscribes to the status page at one node of a site is told by whichever acts; a link ends it anywhere.

Attacks the promises that what somebody wanted last holds, and that a copy of the database names nobody.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.statuspage.shared_subscribers import SharedSubscribers
from chitlaq.ops.statuspage.subscriptions import Subscription, Subscriptions, Wish
from tests.ops.lease.conftest import Shared

ADA = "ada@example.edu"
HOUR = timedelta(hours=1)


class Machine:
    """An ops-service's subscribers."""

    def __init__(self, shared: Shared, folder: Path) -> None:
        self.shared = shared
        self.memory = OpsDatabase(Home(folder))
        self._secrets = Secrets(shared.stack.home / "secrets")
        self._database = shared.lease(folder)._database
        self._subscriptions = Subscriptions(self.memory, self._database, Settings(), self._secrets)
        self.start()

    def start(self) -> None:
        """Begin anew, as after a restart."""
        self._shared = SharedSubscribers(self.memory, self._database, self._secrets)

    async def share(self) -> None:
        await self._shared.share()

    async def confirm(self, *components: str) -> None:
        expires_at = int((datetime.now(UTC) + HOUR).timestamp())
        wanted = Wish(ADA, "en", list(components), expires_at)
        await self._subscriptions.confirm(self._subscriptions._token(wanted))

    async def end(self) -> None:
        link = Subscription(self._subscriptions._id(ADA), "en")
        await self._subscriptions.end(self._subscriptions._token(link))

    async def confirm_by_a_clock_ahead(self) -> None:
        await self.memory.write(
            statement(
                "subscribe",
                self._subscriptions._id(ADA),
                ADA,
                "en",
                '["feed"]',
                datetime.now(UTC) + HOUR,
            )
        )

    async def known(self) -> list[str]:
        rows = await self.memory.rows("wishes_here", True)
        return [row["components"] for row in rows if row["address"] == ADA]


@pytest.fixture
async def two(shared: Shared, tmp_path: Path) -> tuple[Machine, Machine]:
    first, second = (Machine(shared, tmp_path / name) for name in ("one", "two"))
    await second.share()
    return first, second


async def shared_by(*machines: Machine) -> None:
    """What each has reaches the others at the second time."""
    for _ in range(2):
        for one in machines:
            await one.share()


async def test_subscriber_of_one_node_is_one_of_all_and_ends_it_at_any(
    two: tuple[Machine, Machine],
) -> None:
    first, second = two
    await first.confirm("feed", "chat")
    await shared_by(first, second)
    assert await second.known() == await first.known() == ['["feed","chat"]']
    (row,) = await first.shared.sql("SELECT * FROM ops.subscribers")
    assert b"example.edu" not in row["sealed"]
    assert ADA not in str(dict(row))
    await second.end()
    await shared_by(first, second)
    assert await first.known() == await second.known() == []
    assert [row["sealed"] for row in await first.shared.sql("SELECT * FROM ops.subscribers")] == [
        None
    ]


@pytest.mark.parametrize("turns", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("last", ["mails", "none"])
async def test_what_somebody_wanted_last_holds_in_whatever_order_nodes_hear_of_it(
    two: tuple[Machine, Machine], last: str, turns: tuple[int, int]
) -> None:
    """Both could not reach PostgreSQL meanwhile."""
    here, there = (two[turns[0]], two[1 - turns[0]])
    await here.confirm("feed")
    await shared_by(here, there)
    if last == "mails":
        await here.end()
        await there.confirm("chat")
    else:
        await here.confirm("chat")
        await there.end()
    await shared_by(*((here, there) if turns[1] else (there, here)))
    wanted = ['["chat"]'] if last == "mails" else []
    assert await here.known() == await there.known() == wanted


async def test_link_ends_what_was_confirmed_by_a_clock_that_is_ahead(
    two: tuple[Machine, Machine],
) -> None:
    first, second = two
    await second.confirm_by_a_clock_ahead()
    await shared_by(second, first)
    assert await first.known() != []
    await first.end()
    await shared_by(first, second)
    assert await first.known() == await second.known() == []


async def test_link_ends_it_at_a_node_that_has_not_heard_of_it(
    two: tuple[Machine, Machine],
) -> None:
    first, second = two
    await first.confirm("feed")
    await second.end()
    await shared_by(second, first)
    assert await first.known() == await second.known() == []


async def test_database_that_was_restored_learns_what_nodes_know(
    two: tuple[Machine, Machine], tmp_path: Path
) -> None:
    first, second = two
    await first.confirm("feed")
    await shared_by(first, second)
    await first.shared.sql("CREATE TABLE ops.backup AS TABLE ops.subscribers")
    await second.end()
    await shared_by(first, second)
    await first.shared.sql(
        "UPDATE ops.subscribers s SET sealed = b.sealed, changed_at = b.changed_at FROM ops.backup b"
    )
    first.start()
    await shared_by(first, second)
    assert await first.known() == await second.known() == []
    await second.confirm("chat")
    await shared_by(first, second)
    await first.shared.sql("DELETE FROM ops.subscribers")
    first.start()
    third = Machine(first.shared, tmp_path / "three")
    await shared_by(first, third)
    assert await third.known() == ['["chat"]']
