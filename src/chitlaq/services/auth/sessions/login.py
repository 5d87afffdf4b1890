"""Signing in with a password."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from uuid import UUID

from chitlaq.core import passwords
from chitlaq.core.http import problems
from chitlaq.core.http.limits import ATTEMPT_UNITS
from chitlaq.core.http.problems import Problem
from chitlaq.core.telemetry import logs
from chitlaq.services.auth import metrics
from chitlaq.services.auth.accounts.accounts import login_name
from chitlaq.services.auth.factors import proving
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.sessions import sessions
from chitlaq.services.auth.sessions.schemas import Login, SignedIn
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
            saying which), and for a second factor that is missing or wrong; 429 for too many attempts, 503
            if too many wait.
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
            client=origin.client,
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
    proved = await _second_factor(state, row["id"], wanted, origin)
    signed_in = await _begin(state, row, wanted.password, origin, ("password", *proved))
    metrics.AUTH_ATTEMPTS.labels("success").inc()
    log.info("logged in", account_id=row["id"], address=origin.address)
    return signed_in


async def _second_factor(
    state: AuthState, account_id: UUID, wanted: Login, origin: Origin
) -> tuple[str, ...]:
    """Require what the account needs beside its password, which was right."""
    try:
        return await proving.require(state, account_id, wanted.code, origin, wanted.passkey)
    except Problem as problem:
        result = "limited" if problem.status is HTTPStatus.TOO_MANY_REQUESTS else "failure"
        if wanted.code is None and wanted.passkey is None:
            result = "incomplete"
        else:
            with suppress(Problem):
                await state.address_limit.spend(origin.limited, ATTEMPT_UNITS)
        metrics.AUTH_ATTEMPTS.labels(result).inc()
        log.info(
            "second factor refused", account_id=account_id, address=origin.address, result=result
        )
        raise


async def _begin(
    state: AuthState, row: Any, password: str, origin: Origin, methods: Sequence[str]
) -> SignedIn:
    """Begin a session for who typed the right password, hashed anew if the parameters have changed.

    Raises:
        Problem: 503, it is another hash by now. What changes a password ends all sessions, so this one, too.
    """
    account_id, password_hash = row["id"], row["password_hash"]
    if passwords.needs_rehash(password_hash):
        rehashed = await passwords.hashed(password, origin.client)
        async with state.database.session() as session:
            if await session.execute("replace_password", account_id, password_hash, rehashed):
                password_hash = rehashed
    async with state.database.transaction() as session:
        if await session.value("has_password", account_id, password_hash):
            return await sessions.begin(state, session, account_id, origin, methods)
    raise problems.unavailable("The password was changed at this moment: sign in again.")
