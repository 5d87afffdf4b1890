"""Who changes other people's accounts: operators with commands, and members with a role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chitlaq.core.data.postgres import Session
from chitlaq.core.http import roles
from chitlaq.core.http.identity import Identity
from chitlaq.services.auth.audit import audit
from chitlaq.services.auth.origin import Origin


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes an account.

    Args:
        name: as the audit log calls them: an operator's name, or only the role of a member, since whom it
            concerns reads it.
        rank: they may change accounts below it, and give roles below it.
        account_id: their own, if they are a member.
        origin: from where, if they are a member.
    """

    name: str
    rank: int
    account_id: UUID | None = None
    origin: Origin | None = None

    async def record(
        self, session: Session, account_id: UUID, action: audit.Action, **detail: Any
    ) -> None:
        """Write to the audit log of the account, and to the actor's own, in the caller's transaction."""
        await audit.write(session, account_id, action, operator=self.name, **detail)
        if self.account_id is not None:
            await audit.write(
                session,
                self.account_id,
                "moderated",
                self.origin,
                did=action,
                account=str(account_id),
                **detail,
            )


def operator(name: str) -> Actor:
    """Return an operator, who may change every account."""
    return Actor(name, len(roles.ROLES))


def member(who: Identity, origin: Origin) -> Actor:
    """Return a member who has a role."""
    rank = roles.rank(who.roles)
    return Actor(roles.ROLES[rank], rank, who.account_id, origin)
