"""Signing in to the console, and out."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie, State
from litestar.response import Redirect

from chitlaq.core import passwords
from chitlaq.core.http import client_address, openapi, problems
from chitlaq.core.http.operators import operator
from chitlaq.core.telemetry import logs
from chitlaq.ops.console import forms
from chitlaq.ops.console.access import guards, operators
from chitlaq.ops.console.access.links import Link, LinkWish
from chitlaq.ops.console.access.sessions import LASTS, Session
from chitlaq.ops.console.console import Console
from chitlaq.ops.console.pages import ConsoleRequest, form, open_form, open_page, page
from chitlaq.ops.state import OpsState
from chitlaq.web.console.pages import CONSOLE

log = logs.get("console")

HOME = "/ops/"
MOST_NAME_CHARACTERS = 64
"""Of a name that somebody tries, so much is remembered."""
_AGAIN = "Sign in again: this takes a sign-in of the last five minutes. Nothing was done."
_WRONG = "Name, password or code is wrong, or the code was used already: wait for the next one."


class SignIn(msgspec.Struct):
    name: str
    password: str
    code: str
    next: str = HOME


class LinkUse(msgspec.Struct):
    link: str


@get("/", is_page=True, include_in_schema=False, guards=[guards.reachable], sync_to_thread=False)
def entrance() -> Redirect:
    return Redirect(HOME, status_code=303)


@get(
    "/ops/static/{name:path}",
    is_page=True,
    include_in_schema=False,
    guards=[guards.reachable],
    sync_to_thread=False,
)
def static(name: str) -> Response[bytes]:
    return CONSOLE.static(name.removeprefix("/"))


@open_page("/ops/sign-in", sync_to_thread=False)
def sign_in_page(request: ConsoleRequest) -> Response[str]:
    error = _AGAIN if "again" in request.query_params else ""
    return page(
        request, "sign_in.html", next=_own_path(request.query_params.get("next", "")), error=error
    )


@open_form("/ops/sign-in")
async def sign_in(request: ConsoleRequest, state: OpsState) -> Response[Any]:
    given = await forms.read(request, SignIn)
    subjects = [f"operator {given.name[:MOST_NAME_CHARACTERS]}"]
    if network := client_address.limited_address(request):
        subjects.append(f"address {network}")
    if wait := state.console.attempts.wait_seconds(subjects):
        raise problems.too_many_requests(
            math.ceil(wait),
            "sign-in",
            "Too many failed attempts; a link of `chitlaq console` signs you in at once",
        )
    state.console.attempts.begin(subjects)
    step = await _step_of_right(state.console, given)
    if step is None:
        # Not the name: people also type their password there.
        log.warning("sign-in refused", address=_address(request))
        return page(request, "sign_in.html", 403, next=_own_path(given.next), error=_WRONG)
    state.console.attempts.succeed(subjects)
    await _end_present(request, state.console)
    session = await state.console.sessions.begin(
        given.name, is_by_link=False, address=_address(request), totp_step=step
    )
    return _entering(request, session, _own_path(given.next))


async def _end_present(request: ConsoleRequest, console: Console) -> None:
    """End the session that the browser has: it gets another one."""
    token = request.cookies.get(guards.COOKIE, "")
    if token and (present := await console.sessions.find(token)):
        await console.sessions.end(present)


async def _step_of_right(console: Console, given: SignIn) -> int | None:
    """Return the time step of the code if name, password and code are right, in the same time for all."""
    operator = console.operators.find(given.name)
    is_right = await passwords.matches(
        given.password[: operators.MOST_CHARACTERS],
        operator.password_hash if operator else None,
    )
    since = operator.changed_at if operator else datetime.now(UTC)
    used = await console.sessions.last_step(given.name, since)
    step = operators.step_of(operator, given.code, used) if operator else None
    # Of requests at the same time with the same code, all have come here: one of them gets in.
    is_in = is_right and step and console.sessions.claim_step(given.name, step, since)
    return step if is_in else None


@open_page("/ops/link", sync_to_thread=False)
def link_page(request: ConsoleRequest, state: OpsState) -> Response[str]:
    """Show a button: programs that look at links in messages use none up."""
    token = request.query_params.get("token", "")
    is_open = state.console.links.is_open(token)
    return page(request, "link.html", 200 if is_open else 410, token=token, is_open=is_open)


@open_form("/ops/link")
async def use_link(request: ConsoleRequest, state: OpsState) -> Response[Any]:
    given = await forms.read(request, LinkUse)
    operator = state.console.links.use(given.link)
    if operator is None:
        return page(request, "link.html", 410, token="", is_open=False)
    await _end_present(request, state.console)
    session = await state.console.sessions.begin(
        operator, is_by_link=True, address=_address(request)
    )
    return _entering(request, session, HOME)


@post(
    "/console-links",
    status_code=201,
    summary="Make a link that signs in to the console once",
    guards=[operator],
    security=openapi.SIGNED_IN,
)
async def make_link(data: LinkWish, state: OpsState) -> Link:
    return Link(state.console.links.make(data.operator))


@form("/ops/sign-out")
async def sign_out(request: ConsoleRequest, state: OpsState) -> Response[Any]:
    await forms.read(request, forms.Nothing)
    await state.console.sessions.end(request.user)
    return _leaving()


@form("/ops/sign-out-everywhere")
async def sign_out_everywhere(request: ConsoleRequest, state: OpsState) -> Response[Any]:
    await forms.read(request, forms.Nothing)
    await state.console.sessions.end_all(request.user.operator)
    return _leaving()


def _entering(request: ConsoleRequest, session: Session, path: str) -> Redirect:
    cookie = Cookie(
        guards.COOKIE,
        path="/ops",
        value=session.token,
        max_age=int(LASTS.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=guards.is_https(request),
    )
    return Redirect(path, status_code=303, cookies=[cookie])


def _leaving() -> Redirect:
    gone = Cookie(guards.COOKIE, path="/ops", value="", max_age=0, httponly=True, samesite="strict")
    return Redirect(
        "/ops/sign-in", status_code=303, cookies=[gone], headers={"Clear-Site-Data": '"cache"'}
    )


def _own_path(path: str) -> str:
    """A path of this console, and nothing else: no other site, no other machine."""
    is_own = path.startswith(HOME) and "//" not in path and "\\" not in path and path.isprintable()
    return path if is_own else HOME


def _address(request: Request[Any, Any, State]) -> str:
    """Where somebody signs in from, for the record."""
    return client_address.client_address(request) or "unknown"
