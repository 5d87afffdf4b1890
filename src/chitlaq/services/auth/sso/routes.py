"""Single sign-on over HTTP: for browsers, for the sign-in page, and for operators."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie, State
from litestar.params import Parameter
from litestar.response import Redirect

from chitlaq.core.http import bodies, client_address
from chitlaq.core.http import cookies as http_cookies
from chitlaq.core.http.identity import Identity
from chitlaq.core.http.operators import FOR_OPERATORS
from chitlaq.core.http.problems import Problem
from chitlaq.services.auth import origin
from chitlaq.services.auth.factors.schemas import Assertion
from chitlaq.services.auth.roles.schemas import Work
from chitlaq.services.auth.sessions import cookies
from chitlaq.services.auth.sso import providers, sso, steps
from chitlaq.services.auth.sso.schemas import (
    LoggedOut,
    NewProvider,
    ProviderChoices,
    ProviderItem,
    ProviderItems,
    ProviderTest,
    Unlinked,
    Unlinking,
)
from chitlaq.services.auth.sso.sso import Entered
from chitlaq.services.auth.state import AuthState
from chitlaq.web.site.pages import SITE

LONGEST_CODE = 60

_NO_REFERRER = {"Referrer-Policy": "no-referrer"}


@get("/auth/sso", summary="The identity providers to sign in with")
async def list_choices(state: AuthState) -> ProviderChoices:
    return ProviderChoices(await providers.choices(state.database))


@get("/auth/sso/{provider:str}", is_page=True, include_in_schema=False)
async def begin(
    provider: str,
    request: Request[Any, Any, State],
    state: AuthState,
    return_to: Annotated[str, Parameter(description="A path of this site to go on at.")] = "/",
    prove: Annotated[bool, Parameter(description="Let members prove again who they are.")] = False,
) -> Response[Any]:
    """Send the browser to an identity provider."""
    try:
        await state.address_limit.spend(client_address.limited_address(request))
        url, cookie = await sso.begin(state, provider, return_to, is_proof=prove)
    except Problem as problem:
        return _page(request, problem)
    return Redirect(url, status_code=303, cookies=[cookie], headers=_NO_REFERRER)


@get("/auth/sso/{provider:str}/callback", is_page=True, include_in_schema=False)
async def finish(
    provider: str, request: Request[Any, Any, State], state: AuthState
) -> Response[Any]:
    """Take the browser back from an identity provider, signed in."""
    asking, device = cookies.browser(request)
    answer = {name: str(request.query_params[name]) for name in request.query_params}
    cookie = http_cookies.value(request.headers, steps.COOKIE)
    try:
        entered = await sso.finish(state, provider, answer, cookie, asking)
    except Problem as problem:
        return _page(request, problem)
    return await _entered(request, state, provider, entered, device)


@post(
    "/auth/sso/{provider:str}/code",
    is_page=True,
    include_in_schema=False,
    status_code=200,
    request_max_body_size=bodies.MOST_FORM_BYTES,
)
async def finish_with_second_factor(
    provider: str, request: Request[Any, Any, State], state: AuthState
) -> Response[Any]:
    """Take a code or a passkey's answer from our own page."""
    asking, device = cookies.browser(request)
    cookie = http_cookies.value(request.headers, steps.COOKIE)
    try:
        cookies.require_own_page(request, state)
        form = await request.form()
        code = str(form.get("code", ""))[:LONGEST_CODE]
        passkey = _passkey(str(form.get("passkey", "")))
        entered = await sso.finish_with_second_factor(
            state, provider, code, passkey, cookie, asking
        )
    except Problem as problem:
        if problem.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS):
            return await _second_factor_page(request, state, provider, cookie, problem)
        return _page(request, problem)
    return await _entered(request, state, provider, entered, device)


@post(
    "/auth/sso/logout",
    status_code=200,
    summary="Sign this device out, and say where the identity provider does the same",
)
async def log_out(
    member: Identity, request: Request[Any, Any, State], state: AuthState
) -> Response[LoggedOut]:
    location = await sso.log_out(state, member, origin.of(request, member.session_id))
    is_by_cookie = "authorization" not in request.headers
    return Response(LoggedOut(location), cookies=cookies.forgotten() if is_by_cookie else None)


@get("/sso/providers", **FOR_OPERATORS)
async def list_providers(state: AuthState) -> ProviderItems:
    return ProviderItems(await providers.listed(state))


@post("/sso/providers", **FOR_OPERATORS)
async def add_provider(data: NewProvider, state: AuthState) -> ProviderItem:
    return await providers.add(state, data)


@post("/sso/providers/{provider:str}/test", status_code=200, **FOR_OPERATORS)
async def test_provider(provider: str, state: AuthState) -> ProviderTest:
    return await providers.test(state, provider)


@post("/sso/providers/{provider:str}/enable", status_code=204, **FOR_OPERATORS)
async def enable_provider(provider: str, state: AuthState) -> None:
    await providers.set_open(state, provider, is_open=True)


@post("/sso/providers/{provider:str}/disable", status_code=204, **FOR_OPERATORS)
async def disable_provider(provider: str, state: AuthState) -> None:
    await providers.set_open(state, provider, is_open=False)


@post("/sso/providers/{provider:str}/remove", status_code=204, **FOR_OPERATORS)
async def remove_provider(provider: str, data: Work, state: AuthState) -> None:
    await providers.remove(state, provider, data.operator)


@post("/sso/providers/{provider:str}/unlink", status_code=200, **FOR_OPERATORS)
async def unlink(provider: str, data: Unlinking, state: AuthState) -> Unlinked:
    return Unlinked(await providers.unlink(state, provider, data))


def _passkey(text: str) -> Assertion | None:
    """What a passkey has signed; None for anything else, which is then refused as a missing code."""
    try:
        return msgspec.json.decode(text, type=Assertion)
    except (msgspec.DecodeError, RecursionError):
        return None


async def _entered(
    request: Request[Any, Any, State],
    state: AuthState,
    provider: str,
    entered: Entered,
    device: Cookie,
) -> Response[Any]:
    if entered.signed_in is None:
        page = await _second_factor_page(request, state, provider, entered.cookie.value)
        page.cookies.append(entered.cookie)
        return page
    kept = [*cookies.kept(state, entered.signed_in), device, entered.cookie]
    return Redirect(entered.path, status_code=303, cookies=kept, headers=_NO_REFERRER)


async def _second_factor_page(
    request: Request[Any, Any, State],
    state: AuthState,
    provider: str,
    cookie: str | None,
    problem: Problem | None = None,
) -> Response[str]:
    """Ask for a code, or for a passkey if there is one."""
    try:
        methods, asked = await sso.second_factors(state, provider, cookie)
    except Problem as over:
        return _page(request, over)
    return SITE.localized(
        request,
        "sso.html",
        refused=problem,
        state="code",
        provider=provider,
        methods=methods,
        passkey=msgspec.json.encode(asked).decode(),
        is_wrong=problem is not None and problem.status is HTTPStatus.UNAUTHORIZED,
    )


def _page(request: Request[Any, Any, State], problem: Problem) -> Response[str]:
    """Say to somebody in front of a browser what happened; their attempt is over."""
    page = SITE.localized(request, "sso.html", refused=problem, state="over")
    page.cookies.append(steps.forgotten())
    return page
