"""Single sign-on over HTTP: for browsers, for the sign-in page, and for operators."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from litestar import Request, Response, delete, get, post
from litestar.datastructures import Cookie, State
from litestar.params import Parameter
from litestar.response import Redirect

from chitlaq.core.http import client_address
from chitlaq.core.http import cookies as http_cookies
from chitlaq.core.http.identity import Identity
from chitlaq.core.http.operators import FOR_OPERATORS
from chitlaq.core.http.problems import Problem
from chitlaq.services.auth import origin
from chitlaq.services.auth.sessions import cookies
from chitlaq.services.auth.sso import attempts, providers, sso
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

MOST_BYTES = 16_384
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
) -> Response[Any]:
    """Send the browser to an identity provider."""
    try:
        await state.address_limit.spend(client_address.limited_address(request))
        url, cookie = await sso.begin(state, provider, return_to)
    except Problem as problem:
        return _page(problem)
    return Redirect(url, status_code=303, cookies=[cookie], headers=_NO_REFERRER)


@get("/auth/sso/{provider:str}/callback", is_page=True, include_in_schema=False)
async def finish(
    provider: str, request: Request[Any, Any, State], state: AuthState
) -> Response[Any]:
    """Take the browser back from an identity provider, signed in."""
    asking, device = cookies.browser(request)
    answer = {name: str(request.query_params[name]) for name in request.query_params}
    cookie = http_cookies.value(request.headers, attempts.COOKIE)
    try:
        entered = await sso.finish(state, provider, answer, cookie, asking)
    except Problem as problem:
        return _page(problem)
    return _entered(state, provider, entered, device)


@post(
    "/auth/sso/{provider:str}/code",
    is_page=True,
    include_in_schema=False,
    status_code=200,
    request_max_body_size=MOST_BYTES,
)
async def finish_with_code(
    provider: str, request: Request[Any, Any, State], state: AuthState
) -> Response[Any]:
    """Take the code of a second factor from our own page."""
    asking, device = cookies.browser(request)
    cookie = http_cookies.value(request.headers, attempts.COOKIE)
    try:
        cookies.require_own_page(request, state)
        code = str((await request.form()).get("code", ""))[:LONGEST_CODE]
        entered = await sso.finish_with_code(state, provider, code, cookie, asking)
    except Problem as problem:
        if problem.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS):
            return _code_page(provider, problem)
        return _page(problem)
    return _entered(state, provider, entered, device)


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


@delete("/sso/providers/{provider:str}", **FOR_OPERATORS)
async def remove_provider(provider: str, state: AuthState) -> None:
    await providers.remove(state, provider)


@post("/sso/providers/{provider:str}/unlink", status_code=200, **FOR_OPERATORS)
async def unlink(provider: str, data: Unlinking, state: AuthState) -> Unlinked:
    return Unlinked(await providers.unlink(state, provider, data))


def _entered(state: AuthState, provider: str, entered: Entered, device: Cookie) -> Response[Any]:
    if entered.signed_in is None:
        page = _code_page(provider)
        page.cookies.append(entered.cookie)
        return page
    kept = [*cookies.kept(state, entered.signed_in), device, entered.cookie]
    return Redirect(entered.path, status_code=303, cookies=kept, headers=_NO_REFERRER)


def _code_page(provider: str, problem: Problem | None = None) -> Response[str]:
    """Ask for the code of a second factor."""
    refused = ""
    if problem is not None:
        refused = (
            "The code is missing or wrong, or was used: send the one that the app shows next."
            if problem.status is HTTPStatus.UNAUTHORIZED
            else problem.detail
        )
    status = problem.status if problem else HTTPStatus.OK
    page = SITE.html("sso.html", status, state="code", provider=provider, refused=refused)
    page.headers.update(problem.headers() if problem else {})
    return page


def _page(problem: Problem) -> Response[str]:
    """Say to somebody in front of a browser what happened; their attempt is over."""
    page = SITE.html("sso.html", problem.status, state="over", detail=problem.detail)
    page.headers.update(problem.headers())
    page.cookies.append(attempts.forgotten())
    return page
