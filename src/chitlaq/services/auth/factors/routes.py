"""Second factors and proving again who one is, over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, patch, post
from litestar.datastructures import State

from chitlaq.core.http import openapi, problems
from chitlaq.core.http.client_address import limited_address
from chitlaq.core.http.identity import Identity
from chitlaq.core.http.limits import ATTEMPT_UNITS
from chitlaq.services.auth import origin
from chitlaq.services.auth.factors import factors, passkeys, proving, signing_in, totp
from chitlaq.services.auth.factors.schemas import (
    AddedPasskey,
    Asked,
    Confirmation,
    Enrollment,
    Factors,
    Name,
    NewPasskey,
    Options,
    PasskeySignIn,
    Proof,
    RecoveryCodes,
)
from chitlaq.services.auth.sessions import cookies
from chitlaq.services.auth.sessions.schemas import SignedIn
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
    return await totp.enroll(state, member)


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
    return RecoveryCodes(await totp.confirm(state, member, data.code, asking))


@post(
    "/auth/totp/disable",
    status_code=204,
    summary="Ask for codes no more",
    requires=(proving.recent,),
)
async def disable_totp(
    member: Identity, request: Request[Any, Any, State], state: AuthState
) -> None:
    await totp.disable(state, member, origin.of(request, member.session_id))


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
    return RecoveryCodes(await factors.renew_codes(state, member, asking))


@post(
    "/auth/passkeys/options",
    status_code=200,
    summary="What a passkey is asked: to be made, or to sign a challenge",
    security=openapi.ANYBODY,
    refuses=(401, 429),
)
async def passkey_options(
    data: Asked, viewer: Identity | None, request: Request[Any, Any, State], state: AuthState
) -> Options:
    if viewer is None:
        if data.purpose == "registration":
            raise problems.not_signed_in()
        await state.address_limit.spend(limited_address(request), ATTEMPT_UNITS)
    purpose = data.purpose or ("registration" if viewer else "authentication")
    account_id = viewer.account_id if viewer else None
    return Options(await passkeys.options(state, account_id, purpose))


@post(
    "/auth/passkeys",
    summary="Add a passkey",
    requires=(proving.recent,),
    refuses=(409,),
)
async def add_passkey(
    data: NewPasskey, member: Identity, request: Request[Any, Any, State], state: AuthState
) -> AddedPasskey:
    asking = origin.of(request, member.session_id)
    return await passkeys.add(state, member, data, asking)


@post(
    "/auth/passkeys/login",
    status_code=200,
    summary="Sign in with a passkey",
    refuses=(401, 403, 429),
)
async def sign_in(
    data: PasskeySignIn, request: Request[Any, Any, State], state: AuthState
) -> Response[SignedIn]:
    if not data.cookies:
        return Response(await signing_in.sign_in(state, data.passkey, origin.of(request)))
    cookies.require_own_page(request, state)
    asking, device = cookies.browser(request)
    signed_in = await signing_in.sign_in(state, data.passkey, asking)
    return cookies.answered(state, signed_in, device)


@patch("/auth/passkeys/{passkey_id:uuid}", status_code=204, summary="Call a passkey something else")
async def rename_passkey(passkey_id: UUID, data: Name, member: Identity, state: AuthState) -> None:
    await passkeys.set_name(state.database, member.account_id, passkey_id, data.name)


@delete("/auth/passkeys/{passkey_id:uuid}", summary="Remove a passkey", requires=(proving.recent,))
async def remove_passkey(
    passkey_id: UUID, member: Identity, request: Request[Any, Any, State], state: AuthState
) -> None:
    asking = origin.of(request, member.session_id)
    await passkeys.remove(state, member, passkey_id, asking)
