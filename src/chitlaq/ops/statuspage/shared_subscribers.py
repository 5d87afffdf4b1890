"""Subscribers are known to every ops-service of a site: whoever acts tells all, and a link ends it anywhere.

People confirm and end subscriptions at whichever node they reach, also while PostgreSQL is away, and what
they wanted last holds. Each node hands that to PostgreSQL, encrypted, and takes over what others have. It
repeats all of it once an hour: so a PostgreSQL that was restored from a backup learns what it has forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from chitlaq.core.data.postgres import Database
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.sealing import Sealer, UnreadableError
from chitlaq.core.telemetry import logs
from chitlaq.ops.database.database import OpsDatabase, moment, statement

WHOLE_EVERY = timedelta(hours=1)

log = logs.get("subscribers")


class Subscriber(msgspec.Struct, frozen=True):
    """What is encrypted of one; ``components`` as JSON."""

    address: str
    language: str
    components: str


class Wish(msgspec.Struct, frozen=True):
    """What somebody wanted at a moment: mails, or None of them."""

    id: UUID
    at: str
    wanted: Subscriber | None


class SharedSubscribers:
    """One process's part in it.

    Args:
        operations: this ops-service's own memory.
        database: with the named queries of this package.
        secrets: with the key, which all nodes have.
    """

    def __init__(self, operations: OpsDatabase, database: Database, secrets: Secrets) -> None:
        self._operations = operations
        self._database = database
        self._sealer = Sealer(secrets.subscription_key, "subscriber")
        self._seen = 0
        self._whole_at: datetime | None = None

    async def share(self) -> None:
        """Hand over what is new here, and take over what is new elsewhere.

        Raises:
            OpsDatabaseUnavailableError: the own memory cannot be read or written.
            PostgresUnavailableError, PostgresError, OSError: PostgreSQL does not answer.
        """
        now = datetime.now(UTC)
        is_whole = self._whole_at is None or now - self._whole_at > WHOLE_EVERY
        rows = await self._operations.rows("wishes_here", is_whole)
        here = [Wish(UUID(row["id"]), row["at"], _wanted(dict(row))) for row in rows]
        async with self._database.transaction() as session:
            if here:
                await session.execute("lock_subscribers")
                await session.execute(
                    "keep_subscribers",
                    [one.id for one in here],
                    [datetime.fromisoformat(one.at) for one in here],
                    [self._sealed(one) for one in here],
                )
            if is_whole:
                await session.execute("forget_ended_subscribers")
            changed = await session.rows("changed_subscribers", 0 if is_whole else self._seen)
        known = list(self._opened(map(dict, changed)))
        if here or known:
            await self._adopt(_json(here), known)
        self._seen = max((row["change"] for row in changed), default=self._seen)
        if is_whole:
            self._whole_at = now

    async def _adopt(self, shared: str, known: Iterable[Wish]) -> None:
        ends = _json([one for one in known if one.wanted is None])
        begun = _json([one for one in known if one.wanted is not None])
        await self._operations.write(
            statement("subscribers_are_shared", shared),
            statement("ends_are_shared", shared),
            statement("adopt_unsubscribing", ends),
            statement("adopt_ends", ends),
            statement("adopt_subscribers", begun),
            statement("adopt_beginning"),
        )

    def _sealed(self, one: Wish) -> bytes | None:
        return None if one.wanted is None else self._sealer.sealed(_json(one.wanted), one.id)

    def _opened(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[Wish]:
        for row in rows:
            wanted = None
            if row["sealed"] is not None:
                try:
                    text = self._sealer.opened(row["sealed"], row["id"])
                except UnreadableError:
                    log.error(
                        "a subscriber cannot be read: have all nodes the same secrets/subscription-key?",
                        subscriber=row["id"],
                    )
                    continue
                wanted = msgspec.json.decode(text, type=Subscriber)
            yield Wish(row["id"], moment(row["changed_at"]), wanted)


def _wanted(row: Mapping[str, Any]) -> Subscriber | None:
    if row["address"] is None:
        return None
    return Subscriber(row["address"], row["language"], row["components"])


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
