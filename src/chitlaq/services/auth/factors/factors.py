"""The second factors of an account as a whole."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http import problems
from chitlaq.core.http.identity import Identity
from chitlaq.services.auth.factors import owner, passkeys, recovery
from chitlaq.services.auth.factors.schemas import Factors
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.sessions import sessions
from chitlaq.services.auth.state import AuthState


async def of(database: Database, account_id: UUID) -> Factors:
    """Return the second factors of an account."""
    async with database.session() as session:
        return Factors(
            await session.value("totp_of_account", account_id),
            await passkeys.listed(session, account_id),
            await session.value("count_recovery_codes", account_id),
        )


async def renew_codes(state: AuthState, who: Identity, origin: Origin) -> list[str]:
    """Return new recovery codes.

    Raises:
        Problem: 401 if the session that asks has ended; 409 if the account has no second factor.
    """
    account_id = who.account_id
    async with state.database.transaction() as session:
        await sessions.require_live(session, who)
        if not await session.value("second_factors", account_id):
            raise problems.conflict(
                "Recovery codes stand in for a second factor, and your account has none: set one up first."
            )
        await owner.tell(session, state.settings, account_id, "recovery_codes_renewed", origin)
        return await recovery.renew(session, account_id)


async def reset(state: AuthState, account_id: UUID, operator: str, identified_by: str) -> None:
    """Let the owner of an account who has lost their second factors sign in with the password alone.

    Args:
        state: the service's.
        account_id: the account.
        operator: who decides it.
        identified_by: how they know that it is the owner who asks.
    """
    async with state.database.transaction() as session:
        await session.execute("lock_account", account_id)
        if await session.value("second_factors", account_id):
            await session.execute("remove_factors", account_id, None)
            await owner.tell_of_change(
                session,
                state.settings,
                account_id,
                "factors_reset",
                None,
                operator,
                identified_by=identified_by,
            )


async def remove_newer(session: Session, account_id: UUID, than: datetime) -> None:
    """Remove what a thief added, and all recovery codes, when an owner takes the account back.

    Args:
        session: the transaction, which has locked the account.
        account_id: whose factors.
        than: when the thief took it; factors from before are the owner's.
    """
    await session.execute("remove_factors", account_id, than)
