"""What proves, beside a password, who somebody is; and proving it again for what is dangerous."""

from __future__ import annotations

from contextlib import suppress
from http import HTTPStatus
from typing import Any
from uuid import UUID

from litestar import Request
from litestar.datastructures import State

from chitlaq.core.http import problems
from chitlaq.core.http.identity import Identity
from chitlaq.core.http.problems import Problem
from chitlaq.core.http.service import Context
from chitlaq.services.auth import metrics
from chitlaq.services.auth.audit import audit
from chitlaq.services.auth.factors import owner, passkeys, recovery, totp
from chitlaq.services.auth.factors.refusals import second_factor_needed, second_factor_required
from chitlaq.services.auth.factors.schemas import Assertion, Proof
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.passwords import passwords
from chitlaq.services.auth.state import AuthState

RECENT_SECONDS = 600

PASSKEY_REFUSED = (
    "The passkey is not accepted: ask for a new challenge at /api/auth/passkeys/options, and let the passkey"
    " verify you."
)


async def require(
    state: AuthState,
    account_id: UUID,
    code: str | None,
    origin: Origin,
    passkey: Assertion | None = None,
    asked: UUID | None = None,
) -> tuple[str, ...]:
    """Require what the account needs beside its password; return by what it was proved.

    Only for somebody who has passed what comes before it, such as the password: answers say what it needs.

    Args:
        state: the service's.
        account_id: the account.
        code: of an app, or a recovery code.
        origin: from where.
        passkey: the answer of one, instead of a code.
        asked: who was given the passkey's challenge; None for somebody who signs in.

    Raises:
        Problem: 401 if a second factor is needed or wrong, 429 for too many wrong codes.
    """
    methods: list[str] = await state.database.value("second_factors", account_id)
    if not methods:
        return ()
    if passkey is not None:
        if await _is_signed(state, passkey, asked, account_id, origin):
            return ("passkey",)
        raise second_factor_required(PASSKEY_REFUSED, methods)
    if code is None:
        raise second_factor_needed(methods)
    plain = recovery.plain(code)
    if totp.is_code(plain):
        if await totp.check(state, account_id, plain, origin):
            return ("totp",)
        raise second_factor_required(
            "The code is wrong or was used: send the one that the app shows next.",
            methods,
        )
    if await _use_recovery_code(state, account_id, plain, origin):
        return ("recovery_code",)
    raise second_factor_required("The recovery code is wrong or was used: send another.", methods)


async def step_up(state: AuthState, member: Identity, given: Proof, origin: Origin) -> None:
    """Let a member prove again who they are, as at sign-in: dangerous routes are open for a while.

    Raises:
        Problem: 422 for a missing or wrong password, 401 for a missing or wrong second factor, 429 for too
            many tries, 409 if the account has nothing to prove it by.
    """
    methods: tuple[str, ...] = ()
    asked = member.account_id
    if given.passkey is not None and given.password is None:
        if not await _is_signed(state, given.passkey, asked, asked, origin):
            raise problems.not_signed_in(PASSKEY_REFUSED)
        methods = ("passkey",)
    elif given.password is not None:
        await passwords.confirmed(state, member, given.password, origin, "password")
        methods = ("password",)
    elif await state.database.value("has_any_password", member.account_id):
        raise problems.invalid({"password": "is missing"})
    if methods != ("passkey",):
        methods += await require(state, asked, given.code, origin, given.passkey, asked)
    if not methods:
        raise problems.conflict(
            "Your account has no password and no second factor: prove at your identity provider who you are,"
            " at /api/auth/sso/NAME?prove=true."
        )
    async with state.database.transaction() as session:
        if not await session.execute("prove_session", member.session_id, list(methods)):
            raise problems.not_signed_in("The session has ended: sign in again.")
        await audit.write(
            session, member.account_id, "stepped_up", origin, methods=" ".join(methods)
        )


async def recent(request: Request[Any, Any, State]) -> None:
    """Require of a dangerous route that its member proved within `RECENT_SECONDS` who they are.

    A route says ``requires=(proving.recent,)``.

    Raises:
        Problem: 403; 401 for a session that is over, which not every process knows yet.
    """
    who: Identity = request.user
    context: Context = request.app.state.context
    is_recent = await context.database.value("is_session_recent", who.session_id, RECENT_SECONDS)
    if is_recent is None:
        raise problems.not_signed_in("This session has ended: sign in again.")
    if not is_recent:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "This is dangerous, and you have not proved lately who you are: send your password, and a code"
            " if your account asks for one, or a passkey's answer to /api/auth/step-up, and then this again."
            " If you have none of these, sign in again at /api/auth/sso/NAME?prove=true.",
            kind="step-up-required",
        )


async def _is_signed(
    state: AuthState, passkey: Assertion, asked: UUID | None, account_id: UUID, origin: Origin
) -> bool:
    with suppress(passkeys.RefusedError):
        return await passkeys.prove(state, passkey, asked, origin) == account_id
    return False


async def _use_recovery_code(
    state: AuthState, account_id: UUID, plain: str, origin: Origin
) -> bool:
    async with state.database.transaction() as session:
        is_right = await recovery.use(session, account_id, plain)
        if is_right:
            left = await session.value("count_recovery_codes", account_id)
            await owner.tell(
                session, state.settings, account_id, "recovery_code_used", origin, left=left
            )
    result = "success" if is_right else "failure"
    metrics.SECOND_FACTORS.labels("recovery_code", result).inc()
    return is_right
