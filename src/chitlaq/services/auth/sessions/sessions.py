"""Sessions: a family of refresh tokens each, from signing in to signing out."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http import problems
from chitlaq.core.http.identity import ENROLLING, LEAVING, Identity
from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.telemetry import logs
from chitlaq.services.auth import mails
from chitlaq.services.auth.accounts.accounts import token_hash, user_of
from chitlaq.services.auth.accounts.schemas import User
from chitlaq.services.auth.attempts import known_devices
from chitlaq.services.auth.attempts.attempts import Attempt
from chitlaq.services.auth.audit import audit
from chitlaq.services.auth.factors.refusals import second_factor_needed
from chitlaq.services.auth.mails import Recipient
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.sessions import devices
from chitlaq.services.auth.sessions.schemas import SessionItem, SignedIn
from chitlaq.services.auth.state import AuthState

GRACE_SECONDS = 10
"""So long after its use a refresh token may come again: from another tab, or after a lost answer."""
FORGET_SECONDS = 3600.0

NO_SESSION = UUID(int=0)

log = logs.get("sessions")


async def begin(
    state: AuthState,
    session: Session,
    account_id: UUID,
    origin: Origin,
    methods: Sequence[str] = ("password",),
) -> SignedIn:
    """Begin a session in the caller's transaction, for somebody who has proved who they are.

    It replaces the one that their browser is in, if any, whoever's that is.

    Args:
        state: the service's.
        session: the transaction; what is returned is good once it has been committed.
        account_id: whose session it is.
        origin: from where.
        methods: how they proved it: ``password``, and what `factors` and `sso` add.

    Raises:
        Problem: 403 if the account is disabled.
    """
    signed_in = await _begin(state, session, account_id, origin, methods)
    assert signed_in is not None
    return signed_in


async def begin_by_password(
    state: AuthState,
    account_id: UUID,
    password_hash: str,
    origin: Origin,
    methods: Sequence[str],
    attempt: Attempt,
) -> SignedIn:
    """Begin a session for who typed the right password, and forgive the attempt.

    Mostly one statement: a transaction is needed where a mail or the end of another session belongs to it.

    Raises:
        Problem: 401 if the password alone is not enough; 403 if the account is disabled; 503, the password is
            another by now. What changes a password ends all sessions, so this one, too.
    """
    attempted = (password_hash, attempt.name_hash, attempt.place, attempt.network)
    if origin.replaced is None:
        async with state.database.session() as session:
            signed_in = await _begin(
                state, session, account_id, origin, methods, attempted, tells=False
            )
        if signed_in is not None:
            return signed_in
    async with state.database.transaction() as session:
        signed_in = await _begin(state, session, account_id, origin, methods, attempted)
    assert signed_in is not None
    return signed_in


async def _begin(
    state: AuthState,
    session: Session,
    account_id: UUID,
    origin: Origin,
    methods: Sequence[str],
    attempted: tuple[str | None, bytes | None, str | None, str | None] = (None, None, None, None),
    *,
    tells: bool = True,
) -> SignedIn | None:
    """Begin a session; None, nothing was done: its owner must be told, and is not without ``tells``."""
    refresh_token = secrets.token_urlsafe(32)
    tokens = state.settings.tokens
    row = await session.row(
        "begin_session",
        account_id,
        token_hash(refresh_token),
        origin.user_agent,
        origin.address,
        list(methods),
        tokens.session_days,
        tokens.longest_session_days,
        known_devices.key_of(origin),
        origin.limited,
        tells,
        *attempted,
        tokens.second_factor_for_roles,
    )
    assert row is not None
    outcome = row["outcome"]
    if outcome == "disabled":
        raise _disabled()
    if outcome == "changed":
        raise problems.unavailable("The password was changed at this moment: sign in again.")
    if outcome == "incomplete":
        raise second_factor_needed(row["factors"])
    if outcome == "new_device":
        return None
    if origin.replaced is not None:
        await _end_replaced(session, origin.replaced, origin)
    if row["is_new_device"]:
        to = Recipient(row["email"], row["display_name"], row["language"])
        await known_devices.tell(session, state.settings, account_id, to, origin)
    return await _signed_in(state, session, row, row["session_id"], refresh_token)


async def refresh(
    state: AuthState, refresh_token: str, origin: Origin, session_id: UUID | None = None
) -> SignedIn:
    """Exchange a refresh token, which works once, for new tokens.

    A token that comes again within `GRACE_SECONDS`, before its successor was used, gets the same successor.
    Otherwise it was stolen, from whoever used it first or by them: the session ends, and its owner is told.

    Args:
        state: the service's.
        refresh_token: as it was presented.
        origin: from where.
        session_id: the session that it must be of, if that is known.

    Raises:
        Problem: 401 for a token that is unknown, used or expired, or whose session is over or another; 403 if
            its account is disabled.
    """
    presented = token_hash(refresh_token)
    tokens = state.settings.tokens
    async with state.database.transaction() as session:
        row = await session.row(
            "lock_session", presented, tokens.longest_session_days, float(GRACE_SECONDS)
        )
        if row is None:
            is_disabled = await session.value("is_disabled", presented)
            raise _disabled() if is_disabled else _refused()
        if session_id is not None and row["id"] != session_id:
            raise _refused()
        if row["refresh_hash"] == presented:
            key = secrets.token_bytes(32)
            fresh = _successor(key, refresh_token)
            await session.execute(
                "rotate_session",
                row["id"],
                token_hash(fresh),
                key,
                tokens.session_days,
                tokens.longest_session_days,
                origin.address,
            )
            account = await _account(state, session, row["id"])
            return await _signed_in(state, session, account, row["id"], fresh)
        if row["is_recent"] and row["successor_key"] is not None:
            fresh = _successor(row["successor_key"], refresh_token)
            if token_hash(fresh) == row["refresh_hash"]:
                account = await _account(state, session, row["id"])
                return await _signed_in(state, session, account, row["id"], fresh)
        await _end_stolen(state, session, row["id"], row["account_id"], origin)
    log.warning("refresh token used again", session_id=row["id"], account_id=row["account_id"])
    raise _refused()


async def require_live(session: Session, who: Identity) -> None:
    """Refuse what a session asks that has ended a moment ago, which not every process knows yet.

    In the transaction of what must not be done then: before it ends, the session does not. It also keeps two
    sessions from waiting for each other, each of which ends the other.

    Raises:
        Problem: 401.
    """
    await session.execute("lock_account", who.account_id)
    if not await session.value("is_live_session", who.session_id):
        raise problems.not_signed_in("This session has ended: sign in again.")


async def end(database: Database, who: Identity, session_id: UUID, origin: Origin) -> bool:
    """Sign a device out; return whether it was signed in.

    Raises:
        Problem: 401 if the session that asks has ended.
    """
    async with database.transaction() as session:
        await require_live(session, who)
        has_ended = await session.execute("end_session", session_id, who.account_id) > 0
        if has_ended:
            action: audit.Action = "signed_out" if session_id == who.session_id else "session_ended"
            await audit.write(session, who.account_id, action, origin, ended=str(session_id))
    return has_ended


async def end_others(database: Database, who: Identity, origin: Origin) -> None:
    """Sign all devices out but the one that asks.

    Raises:
        Problem: 401 if the session that asks has ended.
    """
    async with database.transaction() as session:
        await require_live(session, who)
        ended = await end_all(session, who.account_id, but=who.session_id)
        if ended:
            await audit.write(session, who.account_id, "sessions_ended", origin, count=ended)


async def end_all(session: Session, account_id: UUID, but: UUID | None = None) -> int:
    """End the sessions of an account in the caller's transaction; return how many.

    Args:
        session: the transaction.
        account_id: whose sessions end.
        but: the session that goes on: the one that asks.
    """
    return await session.execute("end_sessions", account_id, but)


async def revoke_account(session: Session, account_id: UUID) -> None:
    """Refuse the access tokens that an account has so far, in the caller's transaction; sessions go on.

    Clients refresh them, and get tokens that say what is true now.
    """
    await session.execute("lock_account", account_id)
    await session.execute("revoke_tokens", account_id)


async def user(database: Database, identity: Identity) -> User | None:
    """The account behind a token, or None when its session was ended."""
    row = await database.row("session_account", identity.session_id)
    return user_of(row) if row else None


async def listed(
    database: Database, account_id: UUID, paging: Paging, asking: UUID = NO_SESSION
) -> Page[SessionItem]:
    """Return a page of the signed-in devices: the one that asks, then those that signed in last."""
    rows = await database.rows("sessions_of_account", account_id, *paging.window, asking)

    def item(row: asyncpg.Record) -> SessionItem:
        device = devices.described(row["user_agent"])
        return SessionItem(
            **row,
            device=device.name,
            program=device.program,
            system=device.system,
            country=devices.country_of(row["address"]),
        )

    return paging.page_of(rows, item)


async def forget_forever(database: Database) -> None:
    """Delete sessions that were over long ago, and what was revoked, again and again."""
    while True:
        async with database.session() as session:
            while await session.execute("forget_sessions"):
                pass
            await session.execute("forget_revocations")
        await asyncio.sleep(FORGET_SECONDS)


def _successor(key: bytes, refresh_token: str) -> str:
    """The token that follows one: always the same, and unknown to whoever has only one of the two."""
    digest = hmac.digest(key, refresh_token.encode(), "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


async def _account(state: AuthState, session: Session, session_id: UUID) -> Any:
    row = await session.row(
        "signed_in_account", session_id, state.settings.tokens.second_factor_for_roles
    )
    assert row is not None
    return row


async def _signed_in(
    state: AuthState, session: Session, row: Any, session_id: UUID, refresh_token: str
) -> SignedIn:
    is_enrolling = state.settings.tokens.second_factor_for_everyone and await session.value(
        "lacks_second_factor", session_id
    )
    left = row["session_expires_at"] - row["issued_at"]
    lifetime = max(1, min(state.settings.tokens.access_seconds, int(left)))
    erase_at = row["erase_at"]
    roles: tuple[str, ...] = ("member", *row["roles"])
    if erase_at or is_enrolling:
        roles = (LEAVING,) * bool(erase_at) + (ENROLLING,) * is_enrolling
    token = state.signing_keys.signer.sign(row["id"], session_id, lifetime, row["issued_at"], roles)
    return SignedIn(
        "Bearer",
        lifetime,
        user_of(row),
        token,
        refresh_token,
        erase_at or msgspec.UNSET,
        is_enrolling or msgspec.UNSET,
    )


async def _end_replaced(session: Session, refresh_hash: bytes, origin: Origin) -> None:
    row = await session.row("end_replaced_session", refresh_hash)
    if row is not None:
        left = replace(origin, session_id=row["id"])
        await audit.write(session, row["account_id"], "signed_out", left, ended=str(row["id"]))


async def _end_stolen(
    state: AuthState, session: Session, session_id: UUID, account_id: UUID, origin: Origin
) -> None:
    await session.execute("end_session", session_id, account_id)
    await audit.write(session, account_id, "token_reused", replace(origin, session_id=session_id))
    row = await _account(state, session, session_id)
    to = Recipient(row["email"], row["display_name"], row["language"])
    await mails.tell(session, state.settings, to, "session_stolen", "/settings/sessions")


def _disabled() -> problems.Problem:
    return problems.forbidden(
        "This account is disabled: nobody can sign in to it. Ask whoever runs ChitLaq at your university."
    )


def _refused() -> problems.Problem:
    return problems.not_signed_in("The refresh token is not valid: sign in again.")
