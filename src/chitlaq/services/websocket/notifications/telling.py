"""Telling: what is stored becomes what exists, once for each cause, however often it is looked at.

Everything that adds notifications, or takes some out, does it by `Telling.tell`. States are compared, not
events counted: docs/notifications.md.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from chitlaq.core.data.postgres import PostgresUnavailableError, Session
from chitlaq.core.telemetry import logs
from chitlaq.services.websocket.notifications.kinds import Kind
from chitlaq.services.websocket.notifications.schemas import Reading

log = logs.get("notifications")


class Cause(NamedTuple):
    """What somebody is told of.

    Args:
        recipient_id: who is told.
        kind: of the notification.
        subject_id: what it is about; the recipient, if it is about them alone.
        actor_id: who did it; the recipient, if nobody did.
    """

    recipient_id: UUID
    kind: Kind
    subject_id: UUID
    actor_id: UUID


class State(NamedTuple):
    """How a cause is now.

    Args:
        at: since when it exists; None if it does not, or if the recipient may not see it.
        is_told: whether it becomes a notification, if it was none yet.
        text: of an announcement and its like.
        is_filtered: whether the recipient keeps it apart.
    """

    at: datetime | None
    is_told: bool = True
    text: str | None = None
    is_filtered: bool = False


GONE = State(None)


@dataclass(frozen=True, slots=True)
class Change:
    """What changed for a recipient.

    Args:
        recipient_id: the member.
        told: groups that are new or have grown, in the order of their positions.
        shrunk: groups that have lost some of who did it.
        removed: groups that are gone.
        unseen: how many are unseen now.
        unread: how many are unread now.
    """

    recipient_id: UUID
    told: Sequence[UUID]
    shrunk: Sequence[UUID]
    removed: Sequence[UUID]
    unseen: int
    unread: int


class Listener(Protocol):
    """Hears of changes after their commit, in the process that made them. It must not take long."""

    async def changed(self, changes: Sequence[Change]) -> None: ...

    async def read(self, recipient_id: UUID, reading: Reading) -> None: ...

    def suspect(self) -> None:
        """Something may have been committed of which nobody else will tell."""


class Telling:
    """Stores notifications.

    Args:
        push: lets devices of members be pushed to, in the transaction that tells them something.
        listeners: what hears of changes after the commit.
    """

    def __init__(
        self, push: Callable[[Session, Sequence[UUID]], Awaitable[None]], *listeners: Listener
    ) -> None:
        self._push = push
        self._listeners = listeners

    async def lock(self, session: Session, recipients: set[UUID]) -> set[UUID]:
        """Lock what these members are told until the transaction ends; return those who still exist.

        Before the state of causes is read: else an older one might be stored after a newer one.
        """
        asked = sorted(recipients)
        await session.execute("begin_notified", asked)
        return {row["account_id"] for row in await session.rows("lock_notified", asked)}

    async def tell(self, session: Session, states: Mapping[Cause, State]) -> Sequence[Change]:
        """Store causes as they are now; their recipients are locked. `after_commit` takes the result."""
        if not states:
            return []
        columns = [list(each) for each in zip(*states, strict=True)]
        columns += [list(each) for each in zip(*states.values(), strict=True)]
        changes = _changes(await session.rows("tell", *columns))
        if told := [change.recipient_id for change in changes if change.told]:
            await self._push(session, told)
        return changes

    async def untell(
        self, session: Session, subjects: Sequence[UUID], recipients: set[UUID]
    ) -> Sequence[Change]:
        """Delete what these recipients, who are locked, were told of subjects that are no more."""
        if not subjects:
            return ()
        return _changes(await session.rows("untell", subjects, list(recipients)))

    async def after_commit(self, changes: Sequence[Change]) -> None:
        """Let the listeners know what was committed; what one of them raises stops nothing."""
        if not changes:
            return
        for listener in self._listeners:
            try:
                await listener.changed(changes)
            except Exception as error:
                log.error("change not passed on", fault=error)

    async def after_read(self, recipient_id: UUID, reading: Reading) -> None:
        """Let the listeners know how far a member has read."""
        for listener in self._listeners:
            try:
                await listener.read(recipient_id, reading)
            except Exception as error:
                log.error("reading not passed on", fault=error)

    @asynccontextmanager
    async def committing(
        self, transaction: AbstractAsyncContextManager[Session]
    ) -> AsyncIterator[Session]:
        """Let the listeners know if it stays unknown whether a transaction was committed."""
        try:
            async with transaction as session:
                yield session
        except PostgresUnavailableError:
            for listener in self._listeners:
                listener.suspect()
            raise


def _changes(rows: Sequence[Any]) -> Sequence[Change]:
    """Return what changed for each recipient; groups that are gone have no position."""
    groups: dict[UUID, list[Any]] = {}
    for row in rows:
        groups.setdefault(row["recipient_id"], []).append(row)
    return [
        Change(
            recipient,
            [row["id"] for row in of_one if row["position"] is not None and not row["is_shrunk"]],
            [row["id"] for row in of_one if row["is_shrunk"]],
            [row["id"] for row in of_one if row["position"] is None],
            of_one[0]["unseen"],
            of_one[0]["unread"],
        )
        for recipient, of_one in groups.items()
    ]
