"""Second factors and proving again who one is, over HTTP."""

from __future__ import annotations

from typing import Any

from litestar import Request, get, post
from litestar.datastructures import State

from chitlaq.core.http.identity import Identity
from chitlaq.services.auth import origin
from chitlaq.services.auth.factors import factors, proving, totp
from chitlaq.services.auth.factors.schemas import (
    Confirmation,
    Enrollment,
    Factors,
    Proof,
    RecoveryCodes,
)
from chitlaq.services.auth.state import AuthState


@get("/auth/factors", summary="One's second factors")
async def own_factors(member: Identity, state: AuthState) -> Factors:
    return await factors.of(state.database, member.account_id)


@post(
    "/auth/step-up",
    status_code=204,
    summary="Prove again who one is, for what is dangerous",
    refuses=(409,),
)
async def step_up(
    data: Proof, member: Identity, request: Request[Any, Any, State], state: AuthState
) -> None:
    await proving.step_up(state, member, data, origin.of(request, member.session_id))


@post(
    "/auth/totp/enroll",
    status_code=200,
    summary="Get a key for an authenticator app",
    requires=(proving.recent,),
    refuses=(409,),
)
async def enroll_totp(member: Identity, state: AuthState) -> Enrollment:
    return await totp.enroll(state, member.account_id)


@post(
    "/auth/totp/confirm",
    status_code=200,
    summary="Ask for codes from now on",
    refuses=(409,),
)
async def confirm_totp(
    data: Confirmation, member: Identity, request: Request[Any, Any, State], state: AuthState
) -> RecoveryCodes:
    asking = origin.of(request, member.session_id)
    return RecoveryCodes(await totp.confirm(state, member.account_id, data.code, asking))


@post(
    "/auth/totp/disable",
    status_code=204,
    summary="Ask for codes no more",
    requires=(proving.recent,),
)
async def disable_totp(
    member: Identity, request: Request[Any, Any, State], state: AuthState
) -> None:
    await totp.disable(state, member.account_id, origin.of(request, member.session_id))


@post(
    "/auth/recovery-codes",
    status_code=200,
    summary="Get new recovery codes; the old ones no longer work",
    requires=(proving.recent,),
    refuses=(409,),
)
async def renew_recovery_codes(
    member: Identity, request: Request[Any, Any, State], state: AuthState
) -> RecoveryCodes:
    asking = origin.of(request, member.session_id)
    return RecoveryCodes(await factors.renew_codes(state, member.account_id, asking))
