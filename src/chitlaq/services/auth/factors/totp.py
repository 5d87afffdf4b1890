"""Codes of an authenticator app (TOTP, RFC 6238): six digits, another every 30 seconds."""

from __future__ import annotations

import hmac
from typing import Any, Literal
from uuid import UUID

from chitlaq.core.data.postgres import Session
from chitlaq.core.http import problems
from chitlaq.core.http.identity import Identity
from chitlaq.core.http.problems import Problem
from chitlaq.core.sealing import UnreadableError
from chitlaq.core.telemetry import logs
from chitlaq.services.auth import metrics
from chitlaq.services.auth.factors import owner, recovery
from chitlaq.services.auth.factors.schemas import Enrollment
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.sessions import sessions
from chitlaq.services.auth.state import AuthState

Result = Literal["success", "failure", "limited"]

DIGITS = 6
NEIGHBORING_STEPS = (0, -1, 1)
"""A phone's clock may be half a minute wrong."""
MOST_FAILURES = 10
"""Wrong codes within an hour. Somebody who knows the password guesses a code in a year with 1 in 4.

It is counted beside the key in PostgreSQL, so it holds without Valkey. Recovery codes and passkeys, which
nobody can guess, still let the owner in.
"""

log = logs.get("factors")


def is_code(plain: str) -> bool:
    """Whether this is a code of an app; else it may be a recovery code."""
    return len(plain) == DIGITS and plain.isascii() and plain.isdigit()


async def enroll(state: AuthState, who: Identity) -> Enrollment:
    """Return a new key, which counts once a code of it was sent.

    Raises:
        Problem: 401 if the session that asks has ended; 409 if the account has a key.
    """
    import pyotp
    import segno

    secret = pyotp.random_base32()
    sealed = state.totp_sealer.sealed(secret, who.account_id)
    async with state.database.transaction() as session:
        await sessions.require_live(session, who)
        if not await session.execute("enroll_totp", who.account_id, sealed):
            raise problems.conflict(
                "Your account asks for codes of an app already: disable them first, at"
                " /api/auth/totp/disable."
            )
        row = await session.row("account_of_owner", who.account_id)
    assert row is not None
    host = state.settings.base_url.partition("://")[2]
    uri = pyotp.TOTP(secret).provisioning_uri(
        name=f"{row['username']}@{host}", issuer_name="ChitLaq"
    )
    image = segno.make(uri, micro=False).svg_inline(scale=4, light="#fff", border=4)
    return Enrollment(secret, uri, image)


async def confirm(state: AuthState, who: Identity, code: str, origin: Origin) -> list[str]:
    """Ask for codes from now on; return recovery codes.

    Raises:
        Problem: 401 if the session that asks has ended; 409 if there is no key that waits, 422 if the code is
            wrong, 429 for too many wrong ones.
    """
    account_id = who.account_id
    async with state.database.transaction() as session:
        await sessions.require_live(session, who)
        row = await session.row("lock_totp", account_id)
        if row is None or not row["is_to_be_confirmed"]:
            raise problems.conflict(
                "There is no key to confirm, or it was made over an hour ago: get one at"
                " /api/auth/totp/enroll."
            )
        result = await _judge(state, session, row, account_id, recovery.plain(code), origin)
        if result == "success":
            await owner.tell_of_change(session, state.settings, account_id, "totp_enabled", origin)
            await session.execute("add_method", who.session_id, "totp")
            return await recovery.renew(session, account_id)
    if result == "limited":
        raise limited(row["seconds_left"])
    raise problems.invalid({"code": "is wrong: send what the app shows now, and check its clock"})


async def disable(state: AuthState, who: Identity, origin: Origin) -> None:
    """Ask for no more codes, and forget a key that waits to be confirmed; repeating it changes nothing.

    Raises:
        Problem: 401 if the session that asks has ended.
    """
    account_id = who.account_id
    async with state.database.transaction() as session:
        await sessions.require_live(session, who)
        if await session.value("remove_totp", account_id):
            await owner.tell_of_change(session, state.settings, account_id, "totp_disabled", origin)
            await recovery.forget_if_needless(session, account_id)


async def check(state: AuthState, account_id: UUID, plain_code: str, origin: Origin) -> bool:
    """Return whether a code is right: of now or of a neighboring step, and later than the last one.

    Raises:
        Problem: 429 for too many wrong ones.
    """
    async with state.database.transaction() as session:
        row = await session.row("lock_totp", account_id)
        if row is None or not row["is_confirmed"]:
            return False
        result = await _judge(state, session, row, account_id, plain_code, origin)
    if result == "limited":
        raise limited(row["seconds_left"])
    return result == "success"


async def _judge(
    state: AuthState,
    session: Session,
    row: Any,
    account_id: UUID,
    plain_code: str,
    origin: Origin,
) -> Result:
    """Judge a code, and note the result in the transaction that has locked the key."""
    result: Result
    if row["failures"] >= MOST_FAILURES:
        result = "limited"
    elif (step := _step_of(state, row, account_id, plain_code)) is not None:
        result = "success"
        await session.execute("accept_totp", account_id, step)
    else:
        result = "failure"
        await session.execute("refuse_totp", account_id, row["failures"] + 1)
        if row["failures"] + 1 == MOST_FAILURES:
            await owner.tell(session, state.settings, account_id, "codes_limited", origin)
    metrics.SECOND_FACTORS.labels("totp", result).inc()
    return result


def _step_of(state: AuthState, row: Any, account_id: UUID, plain_code: str) -> int | None:
    """Return the step whose code this is, if that is later than one that was used (RFC 6238, 5.2)."""
    import pyotp

    try:
        totp = pyotp.TOTP(state.totp_sealer.opened(row["sealed_key"], account_id))
    except UnreadableError:
        log.error(
            "a TOTP key cannot be read: is secrets/sealing-key another?", account_id=account_id
        )
        return None
    for step in (row["step"] + offset for offset in NEIGHBORING_STEPS):
        is_right = hmac.compare_digest(totp.generate_otp(step).encode(), plain_code.encode())
        if is_right and step > row["last_step"]:
            return int(step)
    return None


def limited(seconds_left: int) -> Problem:
    """429: too many wrong codes."""
    return problems.too_many_requests(
        max(1, seconds_left),
        "second_factor",
        "Too many wrong codes; a recovery code or a passkey still works",
    )
