"""Passwords and addresses that change, over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.params import Parameter

from chitlaq.core.http import bodies
from chitlaq.core.http.client_address import limited_address
from chitlaq.core.http.identity import Identity
from chitlaq.core.http.limits import ATTEMPT_UNITS
from chitlaq.core.http.problems import Problem
from chitlaq.services.auth import origin
from chitlaq.services.auth.factors import proving
from chitlaq.services.auth.passwords import address_changes, mailed_tokens, passwords, resets
from chitlaq.services.auth.passwords.schemas import (
    AddressChange,
    AddressConfirmation,
    Forgotten,
    PasswordChange,
    Reset,
)
from chitlaq.services.auth.state import AuthState
from chitlaq.web.site.pages import SITE

Token = Annotated[str, Parameter(description="The token in the link of a mail.")]


@post(
    "/auth/password/forgot",
    status_code=202,
    summary="Mail a link that lets an account's owner choose a new password",
    refuses=(429,),
)
async def forgot(
    data: Forgotten, request: Request[Any, Any, State], state: AuthState
) -> dict[str, str]:
    await _request_reset(data, request, state)
    return {"reset": "sent"}


@post(
    "/auth/password/reset",
    status_code=204,
    summary="Choose a new password with the token from the mail",
    refuses=(429, 503),
)
async def reset(data: Reset, request: Request[Any, Any, State], state: AuthState) -> None:
    await _reset(data, request, state)


@post(
    "/auth/password/change",
    status_code=204,
    summary="Change one's password, and sign out all other devices",
    refuses=(403, 429, 503),
)
async def change(
    data: PasswordChange, member: Identity, request: Request[Any, Any, State], state: AuthState
) -> None:
    await passwords.change(state, member, data, origin.of(request, member.session_id))


@post(
    "/auth/email/change",
    status_code=202,
    summary="Mail a link to a new address that makes it the account's",
    requires=(proving.recent,),
    refuses=(403, 429, 503),
)
async def change_address(
    data: AddressChange, member: Identity, request: Request[Any, Any, State], state: AuthState
) -> dict[str, str]:
    asking = origin.of(request, member.session_id)
    await address_changes.request_change(state, member, data, asking)
    return {"confirmation": "sent"}


@post(
    "/auth/email/confirm",
    status_code=204,
    summary="Confirm a new address with the token from the mail to it",
)
async def confirm_address(
    data: AddressConfirmation, request: Request[Any, Any, State], state: AuthState
) -> None:
    await address_changes.confirm(state, data.token, origin.of(request))


@get("/reset", is_page=True, is_site=True, include_in_schema=False)
async def reset_page(
    request: Request[Any, Any, State], state: AuthState, token: Token = ""
) -> Response[str]:
    """Ask for the new password, or, without a token, for the address that a link is mailed to."""
    return await _page(request, state, token)


@post(
    "/reset",
    is_page=True,
    is_site=True,
    include_in_schema=False,
    status_code=200,
    request_max_body_size=bodies.MOST_FORM_BYTES,
)
async def reset_by_page(request: Request[Any, Any, State], state: AuthState) -> Response[str]:
    form = await request.form()
    token = str(form.get("token", ""))
    names = ("token", "password") if token else ("email",)
    typed = {name: str(form.get(name, "")) for name in names}
    try:
        if not token:
            await _request_reset(bodies.of_form(typed, Forgotten), request, state)
            return SITE.localized(request, "reset.html", state="sent", email=typed["email"])
        await _reset(bodies.of_form(typed, Reset), request, state)
    except Problem as problem:
        return await _page(request, state, token, problem, typed.get("email", ""))
    return SITE.localized(request, "reset.html", state="done")


@get("/confirm-address", is_page=True, is_site=True, include_in_schema=False)
async def address_page(
    request: Request[Any, Any, State], state: AuthState, token: Token = ""
) -> Response[str]:
    """Show a button: programs open the links in mails, too, so this confirms nothing."""
    row = await mailed_tokens.found(state.database, token, "address_change")
    if row is None:
        return SITE.localized(
            request, "address.html", HTTPStatus.UNPROCESSABLE_ENTITY, state="over"
        )
    return SITE.localized(
        request,
        "address.html",
        state="open",
        email=row["given_email"],
        username=row["username"],
        token=token,
    )


@post(
    "/confirm-address",
    is_page=True,
    is_site=True,
    include_in_schema=False,
    status_code=200,
    request_max_body_size=bodies.MOST_FORM_BYTES,
)
async def confirm_by_page(request: Request[Any, Any, State], state: AuthState) -> Response[str]:
    form = await request.form()
    try:
        await address_changes.confirm(state, str(form.get("token", "")), origin.of(request))
    except Problem as problem:
        return SITE.localized(request, "address.html", refused=problem, state="refused")
    return SITE.localized(request, "address.html", state="done")


async def _request_reset(
    wanted: Forgotten, request: Request[Any, Any, State], state: AuthState
) -> None:
    await state.address_limit.spend(limited_address(request), ATTEMPT_UNITS)
    await resets.request(state.database, wanted.email, origin.of(request))


async def _reset(wanted: Reset, request: Request[Any, Any, State], state: AuthState) -> None:
    await state.address_limit.spend(limited_address(request), ATTEMPT_UNITS)
    await resets.reset(state, wanted, origin.of(request))


async def _page(
    request: Request[Any, Any, State],
    state: AuthState,
    token: str,
    refused: Problem | None = None,
    email: str = "",
) -> Response[str]:
    """The page as it is now: asking for an address, or for a password, or with a link that is over."""
    if not token:
        return SITE.localized(request, "reset.html", refused=refused, state="ask", email=email)
    row = await mailed_tokens.found(state.database, token, "password_reset", "address_return")
    if row is None:
        return SITE.localized(request, "reset.html", HTTPStatus.UNPROCESSABLE_ENTITY, state="over")
    return SITE.localized(
        request,
        "reset.html",
        refused=refused,
        state="return" if row["given_email"] else "open",
        username=row["username"],
        returned=row["given_email"],
        token=token,
    )
