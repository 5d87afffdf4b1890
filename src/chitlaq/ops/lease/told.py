"""What people have told the ops-service that acts is known to the others, one of which may have to act next.

The holder of the lease keeps it in PostgreSQL when it has changed, and the others take it over: stand-ins,
handover notes, notes on checks, announced work and what subscribers were told of it, words on components, and
what was done with incidents (`following`), which each ops-service opens for itself. Each works with its own
database of operations, also while PostgreSQL is away. Subscribers are shared beside it, by whoever holds the
lease or not.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Protocol

from chitlaq.core.data.postgres import Database
from chitlaq.core.telemetry import logs
from chitlaq.ops.database.database import (
    OpsDatabase,
    OpsDatabaseUnavailableError,
    Transaction,
    statement,
)
from chitlaq.ops.incidents import following
from chitlaq.ops.lease.lease import UNAVAILABLE, Lease

EVERY_SECONDS = 5.0
ADOPTED = (
    "overrides", "handover_notes", "notes", "maintenances", "maintenance_updates",
    "component_overrides",
)  # fmt: skip

log = logs.get("told")


class Shared(Protocol):
    """What every ops-service shares, also one that does not act."""

    async def share(self) -> None:
        """Share it now; errors as of `Told.share`."""


class Told:
    """One process's part in it.

    Args:
        operations: this ops-service's own memory.
        database: with the named queries of this package.
        lease: whether this ops-service acts.
        beside: what else is shared.
    """

    def __init__(
        self, operations: OpsDatabase, database: Database, lease: Lease, *beside: Shared
    ) -> None:
        self._operations = operations
        self._database = database
        self._lease = lease
        self._beside = beside
        self._adopted = ""
        self._epoch = 0

    @property
    def may_tell(self) -> bool:
        """Whether this ops-service acts, and knows what was said to whoever did before."""
        lease = self._lease
        is_known = not lease.is_shared or (
            lease.holder is not None and lease.holder.epoch == self._epoch
        )
        return lease.may_change and is_known

    async def share_forever(self) -> None:
        """Share while there may be others: an embedded PostgreSQL is this machine's own."""
        while self._lease.is_shared:
            try:
                await self.share_all()
            except (OpsDatabaseUnavailableError, *UNAVAILABLE) as error:
                log.warning("what people said is not shared", error=str(error))
            await asyncio.sleep(EVERY_SECONDS)

    async def share_all(self) -> None:
        """Share this and what is shared beside it; errors as of `share`."""
        holder = self._lease.holder
        for one in (self, *self._beside):
            await one.share()
        self._epoch = holder.epoch if holder is not None else 0

    async def share(self) -> None:
        """Keep what is new here, or take over what is new elsewhere.

        Raises:
            OpsDatabaseUnavailableError: the own memory cannot be read or written.
            PostgresUnavailableError, PostgresError, OSError: PostgreSQL does not answer.
        """
        holder, may_change = self._lease.holder, self._lease.may_change
        async with self._database.session() as session:
            kept = await session.row("told")
            if holder is None or not (may_change or self._lease.elsewhere):
                return
            if not may_change:
                if kept is not None and kept["told"] != self._adopted:
                    await self._adopt(kept["told"], is_whole=True)
                return
            if kept is not None and kept["epoch"] != holder.epoch:
                # Another acted until now. What somebody has said here since stays.
                await self._adopt(kept["told"], is_whole=False)
            now = datetime.now(UTC)
            of_incidents = await following.to_tell(self._operations, now)
            (row,) = await self._operations.rows("told_here", now, of_incidents)
            if kept is None or (kept["epoch"], kept["told"]) != (holder.epoch, row["told"]):
                await session.execute("keep_told", row["told"], holder.holder, holder.epoch)

    async def _adopt(self, told: str, *, is_whole: bool) -> None:
        now = datetime.now(UTC)
        # People take these back without a trace; of the rest they only say that it is over.
        drops = [
            statement("drop_overrides", told, now),
            statement("drop_component_overrides", told),
        ]
        adopted = [statement(f"adopt_{table}", told) for table in ADOPTED]

        def adopt(transaction: Transaction) -> None:
            transaction.write(*(drops if is_whole else ()), *adopted)
            following.adopt(transaction, told, now, is_whole=is_whole)

        await self._operations.transact(adopt)
        self._adopted = told
