"""Signing in with a password."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from chitlaq.core import passwords
from chitlaq.core.http import problems
from chitlaq.core.http.problems import Problem
from chitlaq.services.auth.accounts.accounts import login_name
from chitlaq.services.auth.attempts import attempts
from chitlaq.services.auth.attempts.attempts import Attempt
from chitlaq.services.auth.factors import proving, refusals
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.sessions import sessions
from chitlaq.services.auth.sessions.schemas import Login, SignedIn
from chitlaq.services.auth.state import AuthState


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
    row = await state.database.row("account_by_login", name)
    attempt = await attempts.by_password(state, name, row, wanted.password, origin)
    if attempt is None or row is None:
        raise problems.not_signed_in(
            "The name or the password is wrong, or the address is not confirmed yet: then open the link"
            " in the mail, or join again to get a new one."
        )
    methods: tuple[str, ...] = ("password",)
    if wanted.code is not None or wanted.passkey is not None:
        methods += await _second_factor(state, row, wanted, attempt, origin)
    try:
        signed_in = await _begin(state, row, wanted.password, methods, attempt, origin)
    except Problem as problem:
        await attempts.uncount(state, attempt)
        is_incomplete = problem.kind == refusals.KIND
        attempts.note("incomplete" if is_incomplete else "failure", origin, row["username"])
        raise
    attempts.note("success", origin, row["username"])
    return signed_in


async def _second_factor(
    state: AuthState, row: Any, wanted: Login, attempt: Attempt, origin: Origin
) -> tuple[str, ...]:
    """Judge what was sent beside the password, which was right."""
    try:
        return await proving.require(state, row["id"], wanted.code, origin, wanted.passkey)
    except Problem as problem:
        is_limited = problem.status is HTTPStatus.TOO_MANY_REQUESTS
        await attempts.failed(state, attempt)
        attempts.note("limited" if is_limited else "failure", origin, row["username"])
        raise


async def _begin(
    state: AuthState,
    row: Any,
    password: str,
    methods: Sequence[str],
    attempt: Attempt,
    origin: Origin,
) -> SignedIn:
    """Begin a session for who typed the right password, hashed anew if the parameters have changed.

    Raises:
        Problem: as of `sessions.begin_by_password`.
    """
    account_id, password_hash = row["id"], row["password_hash"]
    if passwords.needs_rehash(password_hash):
        with suppress(Problem):  # Too many wait: the next sign-in will do it.
            rehashed = await passwords.hashed(password, origin.client)
            async with state.database.session() as session:
                if await session.execute("replace_password", account_id, password_hash, rehashed):
                    password_hash = rehashed
    return await sessions.begin_by_password(
        state, account_id, password_hash, origin, methods, attempt
    )
