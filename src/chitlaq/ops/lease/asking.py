"""Who holds the lease, as a command asks PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec

from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.lease.guard import ROLE
from chitlaq.ops.lease.lease import UNAVAILABLE, acts_elsewhere, identity

SECONDS = 3.0


class Held(msgspec.Struct, frozen=True):
    """The lease as it is now.

    Args:
        host: the machine whose ops-service holds it, or held it last.
        held_since: when it took it.
        seconds_left: for how long it is held unless it is renewed; negative since nobody holds it.
        epoch: rises each time that another takes it.
        taken_lately: how often it was taken within the last hour.
        is_here: whether it is this installation's.
    """

    host: str
    held_since: datetime
    seconds_left: float
    epoch: int
    taken_lately: int
    is_here: bool

    @property
    def is_held(self) -> bool:
        return self.seconds_left > 0


async def ask(home: Home, settings: Settings) -> Held | None:
    """Return who holds it; None if nobody ever has.

    Raises:
        OperatorError: PostgreSQL does not say.
    """
    queries = postgres.load_queries("chitlaq.ops.lease", "lease")
    database = Database(postgres.dsn(settings, home, ROLE), "chitlaq-lease", queries)
    try:
        async with asyncio.timeout(SECONDS), database.session() as session:
            row = await session.row("lease")
    except UNAVAILABLE as error:
        raise OperatorError(
            f"PostgreSQL does not say who holds the lease: {error or 'no answer'}. While it is away, nobody"
            " changes anything on a schedule; the last holder tells people of incidents, and after a minute"
            " every ops-service does."
        ) from None
    finally:
        database.terminate()
    if row is None:
        return None
    return Held(
        row["host"],
        row["held_since"],
        row["seconds_left"],
        row["epoch"],
        row["taken_lately"],
        row["holder"] == identity(home, settings),
    )


async def require_here(home: Home, settings: Settings) -> None:
    """Make sure that what an operator says here reaches whoever calls people.

    Raises:
        OperatorError: another machine's ops-service does. If PostgreSQL does not say who, none is known to.
    """
    if not settings.database_url:
        return  # an embedded one is this machine's own
    try:
        found = await ask(home, settings)
    except OperatorError:
        return
    if found is not None and found.is_held and not found.is_here:
        raise acts_elsewhere(found.host)
