"""Sessions: sign in, stay signed in, sign out."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from uuid import UUID

from chitlaq.core import passwords
from chitlaq.core.data.postgres import Database
from chitlaq.core.http import problems
from chitlaq.core.http.identity import Identity
from chitlaq.core.http.limits import ATTEMPT_UNITS
from chitlaq.core.http.problems import Problem
from chitlaq.core.telemetry import logs
from chitlaq.services.auth import metrics
from chitlaq.services.auth.accounts.accounts import login_name, token_hash, user_of
from chitlaq.services.auth.accounts.schemas import User
from chitlaq.services.auth.audit import audit
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.sessions.schemas import Login, SessionItem, SignedIn
from chitlaq.services.auth.state import AuthState

log = logs.get("sessions")


async def login(state: AuthState, wanted: Login, origin: Origin) -> SignedIn:
    """Open a session for an account, given its password.

    Only failures count towards the limit of the address, which may be a whole campus's.

    Args:
        state: the service's.
        wanted: what was typed.
        origin: from where, for limits and for the list of devices.

    Raises:
        Problem: 401 for a wrong name or password, or an address that is not verified yet (without
            saying which), 429 for too many attempts.
    """
    name = login_name(wanted.login)
    try:
        await state.address_limit.require(origin.limited, ATTEMPT_UNITS)
        await state.login_limit.spend(name)
        row = await state.database.row("account_by_login", name)
        is_right = await passwords.matches(
            wanted.password,
            row["password_hash"] if row else None,
            # Again when it is this attempt's turn: those before it in the queue may all have failed.
            permit=lambda: state.address_limit.require(origin.limited, ATTEMPT_UNITS),
        )
    except Problem as problem:
        if problem.status is HTTPStatus.TOO_MANY_REQUESTS:
            metrics.AUTH_ATTEMPTS.labels("limited").inc()
        raise
    if not is_right or row is None:
        with suppress(Problem):
            await state.address_limit.spend(origin.limited, ATTEMPT_UNITS)
        metrics.AUTH_ATTEMPTS.labels("failure").inc()
        log.info("login failed", address=origin.address)
        raise problems.not_signed_in(
            "The name or the password is wrong, or the address is not confirmed yet: then open the link"
            " in the mail, or request a new one at /api/auth/verify/resend."
        )
    if passwords.needs_rehash(row["password_hash"]):
        rehashed = await passwords.hashed(wanted.password)
        async with state.database.session() as session:
            await session.execute("set_password_hash", row["id"], rehashed)
    refresh_token = secrets.token_urlsafe(32)
    async with state.database.transaction() as session:
        session_id = await session.value(
            "insert_session",
            row["id"],
            token_hash(refresh_token),
            origin.user_agent,
            origin.address,
            state.settings.tokens.session_days,
        )
        await audit.write(session, row["id"], "signed_in", replace(origin, session_id=session_id))
    metrics.AUTH_ATTEMPTS.labels("success").inc()
    log.info("logged in", account_id=row["id"], session_id=session_id, address=origin.address)
    return _signed_in(state, user_of(row), session_id, refresh_token)


async def refresh(state: AuthState, refresh_token: str) -> SignedIn:
    """Exchange a refresh token, which works once, for new tokens.

    A second use means that the token was stolen and ends the session, unless it comes within a
    minute: two tabs, or a response that got lost.

    Raises:
        Problem: 401 for a token that is unknown, used or expired.
    """
    fresh = secrets.token_urlsafe(32)
    async with state.database.transaction() as session:
        row = await session.row("session_by_refresh", token_hash(refresh_token))
        is_stolen = row is not None and not row["is_current"] and not row["is_recent"]
        if row is not None and is_stolen:
            await session.execute("end_session", row["id"], row["account_id"])
        elif row is not None:
            await session.execute(
                "rotate_session", row["id"], token_hash(fresh), state.settings.tokens.session_days
            )
    if row is None or is_stolen:
        if row is not None:
            log.warning("refresh token used twice", session_id=row["id"])
        raise problems.not_signed_in("The refresh token is not valid: sign in again.")
    user = User(
        row["account_id"], row["username"], row["display_name"], row["email"],
        row["university"], verified=True,
    )  # fmt: skip
    return _signed_in(state, user, row["id"], fresh)


async def end(database: Database, account_id: UUID, session_id: UUID) -> bool:
    """Sign a device out; return whether it was signed in."""
    async with database.session() as session:
        return await session.execute("end_session", session_id, account_id) > 0


async def user(database: Database, identity: Identity) -> User | None:
    """The account behind a token, or None when its session was ended."""
    row = await database.row("session_account", identity.session_id)
    return user_of(row) if row else None


async def listed(database: Database, identity: Identity) -> list[SessionItem]:
    """Return the signed-in devices, most recently used first."""
    rows = await database.rows("sessions_of_account", identity.account_id)
    return [SessionItem(**row, current=row["id"] == identity.session_id) for row in rows]


def _signed_in(state: AuthState, user: User, session_id: UUID, refresh_token: str) -> SignedIn:
    lifetime = state.settings.tokens.access_seconds
    token = state.signer.sign(user.id, session_id, lifetime)
    return SignedIn(token, "Bearer", lifetime, refresh_token, user)
