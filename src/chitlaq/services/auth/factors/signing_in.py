"""Signing in with a passkey alone: it is something that one has, and has verified its user."""

from __future__ import annotations

from chitlaq.core.http import problems
from chitlaq.services.auth.attempts import attempts
from chitlaq.services.auth.factors import passkeys, proving
from chitlaq.services.auth.factors.schemas import Assertion
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.sessions import sessions
from chitlaq.services.auth.sessions.schemas import SignedIn
from chitlaq.services.auth.state import AuthState


async def sign_in(state: AuthState, passkey: Assertion, origin: Origin) -> SignedIn:
    """Open a session for the account whose passkey has signed a challenge.

    Raises:
        Problem: 401 if it is not accepted, 403 if the account is disabled, 429 for too many attempts.
    """
    async with attempts.by_address(state, origin):
        try:
            account_id = await passkeys.prove(state, passkey, None, origin)
        except passkeys.RefusedError:
            raise problems.not_signed_in(proving.PASSKEY_REFUSED) from None
        async with state.database.transaction() as session:
            signed_in = await sessions.begin(state, session, account_id, origin, ("passkey",))
    attempts.note("success", origin, signed_in.user.username)
    return signed_in
