"""The password of an account: whether one is right, and its change by who is signed in."""

from __future__ import annotations

from typing import Any

from chitlaq.core.http import problems
from chitlaq.core.http.identity import Identity
from chitlaq.core.telemetry import logs
from chitlaq.services.auth import mails
from chitlaq.services.auth.attempts import attempts
from chitlaq.services.auth.audit import audit
from chitlaq.services.auth.mails import Recipient
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.passwords import mailed_tokens, policy
from chitlaq.services.auth.passwords.schemas import PasswordChange
from chitlaq.services.auth.sessions import sessions
from chitlaq.services.auth.state import AuthState

log = logs.get("passwords")


async def confirmed(
    state: AuthState, who: Identity, password: str, origin: Origin, field: str
) -> Any:
    """Return the account's row of ``account_of_owner``, if its owner has typed its password.

    Args:
        state: the service's.
        who: is signed in.
        password: what was typed.
        origin: from where.
        field: what a refusal names.

    Raises:
        Problem: 403, the account has no password; 422, it is another one; 429, too many attempts; 503, too
            many wait.
    """
    row = await state.database.row("account_of_owner", who.account_id)
    if row is None or row["password_hash"] is None:
        raise problems.forbidden(
            "Your account has no password: you sign in through your university, which also keeps your"
            " address."
        )
    attempt = await attempts.by_password(state, str(who.account_id), row, password, origin)
    if attempt is None:
        raise problems.invalid({field: "is not your password"})
    async with state.database.session() as session:
        await attempts.forgive(session, attempt)
    return row


async def change(state: AuthState, who: Identity, wanted: PasswordChange, origin: Origin) -> None:
    """Give the account another password, and end its other sessions.

    Raises:
        Problem: as of `confirmed`; 422 for a password that may not be chosen.
    """
    field = "current_password"
    row = await confirmed(state, who, wanted.current_password, origin, field)
    known = [row["username"], row["display_name"], row["email"]]
    password_hash = await policy.hashed(wanted.password, known, origin)
    async with state.database.transaction() as session:
        await sessions.require_live(session, who)
        if not await session.execute(
            "replace_password", who.account_id, row["password_hash"], password_hash
        ):
            raise problems.invalid({field: "was changed at this moment"})
        await mailed_tokens.forget(session, who.account_id, "password_reset", "address_change")
        await sessions.end_all(session, who.account_id, but=who.session_id)
        await audit.write(session, who.account_id, "password_changed", origin)
        to = Recipient(row["email"], row["display_name"], row["language"])
        await mails.tell(session, state.settings, to, "password_changed", "/reset")
    log.info("password changed", account_id=who.account_id, address=origin.address)
