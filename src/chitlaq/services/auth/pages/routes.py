"""Joining, signing in, signing out and the mailbox, as pages."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.params import Parameter
from litestar.response import Redirect

from chitlaq.core.http import app, bodies, problems
from chitlaq.core.http.client_address import limited_address
from chitlaq.core.http.identity import LEAVING, Identity
from chitlaq.core.http.limits import ATTEMPT_UNITS
from chitlaq.core.http.problems import Problem
from chitlaq.services.auth import origin
from chitlaq.services.auth.accounts import registrations
from chitlaq.services.auth.accounts.schemas import Registration
from chitlaq.services.auth.departures import departures
from chitlaq.services.auth.pages import mailbox
from chitlaq.services.auth.sessions import cookies, sessions
from chitlaq.services.auth.sessions import login as signing_in
from chitlaq.services.auth.sessions.schemas import Login
from chitlaq.services.auth.sso import providers
from chitlaq.services.auth.sso.sso import checked_path
from chitlaq.services.auth.state import AuthState
from chitlaq.web.pages import spoken
from chitlaq.web.site.pages import SITE

HOME = "/home"

ReturnTo = Annotated[str, Parameter(description="A path of this site to go on at.")]


@get("/join", is_page=True, is_site=True, include_in_schema=False)
async def join_page(request: Request[Any, Any, State], state: AuthState) -> Response[str]:
    return SITE.localized(request, "join.html", state="ask", typed={})


@post(
    "/join",
    is_page=True,
    is_site=True,
    include_in_schema=False,
    status_code=200,
    request_max_body_size=bodies.MOST_FORM_BYTES,
)
async def join(request: Request[Any, Any, State], state: AuthState) -> Response[str]:
    form = await request.form()
    typed = {
        name: str(form.get(name, "")) for name in ("email", "username", "display_name", "password")
    }
    try:
        cookies.require_own_page(request, state)
        wanted = bodies.of_form({**typed, "language": spoken(request)}, Registration)
        await state.address_limit.spend(limited_address(request), ATTEMPT_UNITS)
        await registrations.register(state, wanted, origin.of(request))
    except Problem as problem:
        return SITE.localized(request, "join.html", refused=problem, state="ask", typed=typed)
    shown = mailbox.PATH if mailbox.is_open(request, state.settings) else ""
    return SITE.localized(request, "join.html", state="sent", email=wanted.email, mailbox=shown)


@get("/login", is_page=True, is_site=True, include_in_schema=False)
async def login_page(
    request: Request[Any, Any, State], state: AuthState, return_to: ReturnTo = HOME
) -> Response[str]:
    return await _login_page(request, state, return_to)


@post(
    "/login",
    is_page=True,
    is_site=True,
    include_in_schema=False,
    status_code=200,
    request_max_body_size=bodies.MOST_FORM_BYTES,
)
async def login(request: Request[Any, Any, State], state: AuthState) -> Response[Any]:
    form = await request.form()
    typed = {name: str(form.get(name, "")) for name in ("login", "password", "code")}
    return_to = str(form.get("return_to", HOME))
    try:
        cookies.require_own_page(request, state)
        given = {name: one for name, one in typed.items() if one or name != "code"}
        wanted = bodies.of_form(given, Login)
        asking, device = cookies.browser(request)
        signed_in = await signing_in.login(state, wanted, asking)
    except Problem as problem:
        return await _login_page(request, state, return_to, problem, typed["login"])
    return Redirect(
        _own_path(return_to), status_code=303, cookies=[*cookies.kept(state, signed_in), device]
    )


@post("/logout", is_page=True, is_site=True, include_in_schema=False, status_code=303)
async def logout(request: Request[Any, Any, State], state: AuthState) -> Redirect:
    """Sign this browser out; where its session has ended already, it only forgets it."""
    cookies.require_own_page(request, state)
    with suppress(Problem):
        member = await app.viewer(request)
        if member is not None:
            asking = origin.of(request, member.session_id)
            await sessions.end(state.database, member, member.session_id, asking)
    # What was kept in this browser to work without a connection goes, and so does its subscription to pushes.
    headers = {"Clear-Site-Data": '"storage"'}
    return Redirect("/", status_code=303, cookies=cookies.forgotten(), headers=headers)


@get("/keep", is_page=True, is_site=True, include_in_schema=False)
async def keep_page(request: Request[Any, Any, State], state: AuthState) -> Response[Any]:
    return await _keep_page(request, state)


@post("/keep", is_page=True, is_site=True, include_in_schema=False, status_code=200)
async def keep(request: Request[Any, Any, State], state: AuthState) -> Response[Any]:
    """Keep an account that was to be deleted; the next page gets tokens that are good everywhere."""
    member = None
    try:
        cookies.require_own_page(request, state)
        member = await app.viewer(request)
        if member is not None:
            await departures.keep(state, member, origin.of(request, member.session_id))
    except Problem as problem:
        return await _keep_page(request, state, problem)
    return _to_home(request, state, member)


@get(mailbox.PATH, is_page=True, is_site=True, include_in_schema=False)
async def show_mailbox(request: Request[Any, Any, State], state: AuthState) -> Response[str]:
    if not mailbox.is_open(request, state.settings):
        raise problems.not_found("page")
    mails = await state.database.rows("newest_mails")
    page = SITE.localized(request, "mailbox.html", mails=mails)
    page.headers["Cache-Control"] = "no-store"
    return page


async def _keep_page(
    request: Request[Any, Any, State], state: AuthState, refused: Problem | None = None
) -> Response[Any]:
    """Say when an account is deleted; all others have nothing to keep."""
    member = user = erase_at = None
    with suppress(Problem):
        member = await app.viewer(request)
    if member is not None:
        erase_at = await state.database.value("departure_of_account", member.account_id)
        user = await sessions.user(state.database, member)
    if user is None or erase_at is None:
        return _to_home(request, state, member)
    page = SITE.localized(
        request, "keep.html", refused=refused, username=user.username, erase_at=erase_at
    )
    page.headers["Cache-Control"] = "no-store"
    return page


def _to_home(
    request: Request[Any, Any, State], state: AuthState, member: Identity | None
) -> Redirect:
    """Lead to the home feed, with other tokens than those that only lead here."""
    is_leaving = member is not None and LEAVING in member.roles
    renewal = [cookies.to_be_renewed(request, state)] if is_leaving else []
    return Redirect(HOME, status_code=303, cookies=renewal)


async def _login_page(
    request: Request[Any, Any, State],
    state: AuthState,
    return_to: str,
    refused: Problem | None = None,
    typed: str = "",
) -> Response[str]:
    needs_code = refused is not None and refused.kind == "second-factor-required"
    return SITE.localized(
        request,
        "login.html",
        refused=refused,
        login=typed,
        return_to=_own_path(return_to),
        needs_code=needs_code,
        providers=await providers.choices(state.database),
    )


def _own_path(return_to: str) -> str:
    """Where somebody goes on: never another site, whatever a link says."""
    try:
        return checked_path(return_to)
    except Problem:
        return HOME
