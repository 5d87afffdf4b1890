"""Registration and verified addresses over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.params import Parameter

from chitlaq.core.http import bodies
from chitlaq.core.http.client_address import limited_address
from chitlaq.core.http.limits import ATTEMPT_UNITS
from chitlaq.core.http.problems import Problem
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
from chitlaq.web.site.pages import SITE


@post("/auth/register", summary="Register with a university address", refuses=(429, 503))
async def register(
    data: Registration, request: Request[Any, Any, State], state: AuthState
) -> Registered:
    await state.address_limit.spend(limited_address(request), ATTEMPT_UNITS)
    return Registered(
        await registrations.register(state, data, origin.of(request)), verification="sent"
    )


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
    await registrations.request_resending(state.database, data.email)
    return {"verification": "sent"}


@get("/verify", is_page=True, is_site=True, include_in_schema=False)
async def verification_page(
    request: Request[Any, Any, State],
    state: AuthState,
    token: Annotated[str, Parameter(description="The token in the link of a mail.")] = "",
) -> Response[str]:
    """Ask for the password; programs open the links in mails, too, so this confirms nothing."""
    return await _page(request, state, token)


@post(
    "/verify",
    is_page=True,
    is_site=True,
    include_in_schema=False,
    status_code=200,
    request_max_body_size=bodies.MOST_FORM_BYTES,
)
async def verify_by_page(request: Request[Any, Any, State], state: AuthState) -> Response[str]:
    form = await request.form()
    typed = {name: str(form.get(name, "")) for name in ("token", "username", "password")}
    try:
        wanted = bodies.of_form(typed, Verification)
        await state.address_limit.spend(limited_address(request), ATTEMPT_UNITS)
        user = await registrations.verify(state, wanted, origin.of(request))
    except Problem as problem:
        return await _page(request, state, typed["token"], problem, typed["username"])
    return SITE.localized(request, "verify.html", state="confirmed", username=user.username)


async def _page(
    request: Request[Any, Any, State],
    state: AuthState,
    token: str,
    refused: Problem | None = None,
    username: str = "",
) -> Response[str]:
    """The page of a link as it is now: to be confirmed, confirmed, or of no use any more."""
    link = await registrations.of_link(state.database, token)
    if link is None:
        return SITE.localized(request, "verify.html", HTTPStatus.UNPROCESSABLE_ENTITY, state="over")
    if link["account_id"] is not None:
        return SITE.localized(
            request, "verify.html", state="confirmed", username=link["account_username"]
        )
    return SITE.localized(
        request,
        "verify.html",
        refused=refused,
        state="open",
        email=link["email"],
        display_name=link["display_name"],
        username=username or link["username"],
        token=token,
    )
