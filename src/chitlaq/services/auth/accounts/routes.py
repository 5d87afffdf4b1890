"""Registration and verified addresses over HTTP."""

from __future__ import annotations

from typing import Any

from litestar import Request, post
from litestar.datastructures import State

from chitlaq.core.http.client_address import limited_address
from chitlaq.core.http.limits import ATTEMPT_UNITS
from chitlaq.services.auth import origin
from chitlaq.services.auth.accounts import registrations
from chitlaq.services.auth.accounts.schemas import (
    Registered,
    Registration,
    Resend,
    Verification,
    Verified,
)
from chitlaq.services.auth.state import AuthState


@post("/auth/register", summary="Register with a university address", refuses=(429,))
async def register(
    data: Registration, request: Request[Any, Any, State], state: AuthState
) -> Registered:
    await state.address_limit.spend(limited_address(request), ATTEMPT_UNITS)
    return Registered(await registrations.register(state, data), verification="sent")


@post(
    "/auth/verify",
    status_code=200,
    summary="Verify an address with the token from the mail",
    refuses=(429, 503),
)
async def verify(
    data: Verification, request: Request[Any, Any, State], state: AuthState
) -> Verified:
    if data.password is not None:
        await state.address_limit.spend(limited_address(request), ATTEMPT_UNITS)
    return Verified(await registrations.verify(state, data, origin.of(request)))


@post(
    "/auth/verify/resend",
    status_code=202,
    summary="Mail a new link to an unverified address",
    refuses=(429,),
)
async def resend(
    data: Resend, request: Request[Any, Any, State], state: AuthState
) -> dict[str, str]:
    await state.address_limit.spend(limited_address(request), ATTEMPT_UNITS)
    await state.resend_limit.spend(data.email)
    await registrations.request_resending(state.database, data.email)
    return {"verification": "sent"}
