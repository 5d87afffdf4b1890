"""What members do on the status page: subscribe, confirm, and end it.

Of ops-service's routes these alone are members', through nginx (``is_public``). Programs open the links in
mails before people do, so GET only shows a page with a button, and POST acts.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.params import Parameter

from chitlaq.core.errors import OperatorError
from chitlaq.core.http import bodies, client_address
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.languages import LANGUAGES
from chitlaq.core.telemetry import logs
from chitlaq.ops.state import OpsState
from chitlaq.ops.statuspage.components import COMPONENTS
from chitlaq.ops.statuspage.subscriptions import InvalidTokenError, Subscriptions, TooOftenError
from chitlaq.web.console.status import pages
from chitlaq.web.console.status.words import words
from chitlaq.web.pages import spoken

Asked = Request[Any, Any, State]
Token = Annotated[str, Parameter(description="The token in the link of a mail.")]

log = logs.get("subscriptions")


def _subscriptions(state: OpsState) -> Subscriptions:
    context = state.context
    secrets = Secrets(context.home.secrets)
    return Subscriptions(state.operations, context.database, context.settings, secrets)


@post(
    "/status/subscribe",
    is_public=True,
    is_page=True,
    include_in_schema=False,
    request_max_body_size=bodies.MOST_FORM_BYTES,
)
async def subscribe(request: Asked, state: OpsState) -> Response[str]:
    form = await request.form()
    language = form.get("language")
    if language not in LANGUAGES:
        language = spoken(request)
    names = [one for one in form.getall("component", []) if isinstance(one, str)]
    if not names or not COMPONENTS.keys() >= set(names):
        return _refusal(request, state, language, HTTPStatus.UNPROCESSABLE_ENTITY, "components")
    network = client_address.limited_address(request)
    try:
        await _subscriptions(state).ask(str(form.get("address", "")), language, names, network)
    except ValueError:
        return _refusal(request, state, language, HTTPStatus.UNPROCESSABLE_ENTITY, "address")
    except TooOftenError:
        return _refusal(request, state, language, HTTPStatus.TOO_MANY_REQUESTS, "often")
    except (OperatorError, OSError) as error:
        return _unavailable(request, state, language, error)
    return _answer(request, state, language, "asked")


@get("/status/confirm", is_public=True, is_page=True, include_in_schema=False, sync_to_thread=False)
def show_confirmation(request: Asked, state: OpsState, token: Token = "") -> Response[str]:
    try:
        wanted = _subscriptions(state).wish(token)
    except InvalidTokenError:
        return _refusal(request, state, spoken(request), HTTPStatus.BAD_REQUEST, "link")
    names = words(wanted.language).components(wanted.components)
    return _answer(
        request,
        state,
        wanted.language,
        "confirm",
        action=f"/status/confirm?token={token}",
        address=wanted.address,
        components=names,
    )


@post("/status/confirm", is_public=True, is_page=True, include_in_schema=False, status_code=200)
async def confirm(request: Asked, state: OpsState, token: Token = "") -> Response[str]:
    try:
        wanted = await _subscriptions(state).confirm(token)
    except InvalidTokenError:
        return _refusal(request, state, spoken(request), HTTPStatus.BAD_REQUEST, "link")
    except OperatorError as error:
        return _unavailable(request, state, spoken(request), error)
    names = words(wanted.language).components(wanted.components)
    return _answer(
        request, state, wanted.language, "confirmed", address=wanted.address, components=names
    )


@get(
    "/status/unsubscribe",
    is_public=True,
    is_page=True,
    include_in_schema=False,
    sync_to_thread=False,
)
def show_end(request: Asked, state: OpsState, token: Token = "") -> Response[str]:
    try:
        ending = _subscriptions(state).subscription(token)
    except InvalidTokenError:
        return _refusal(request, state, spoken(request), HTTPStatus.BAD_REQUEST, "link")
    return _answer(
        request, state, ending.language, "end", action=f"/status/unsubscribe?token={token}"
    )


@post(
    "/status/unsubscribe",
    is_public=True,
    is_page=True,
    include_in_schema=False,
    status_code=200,
    request_max_body_size=bodies.MOST_FORM_BYTES,
)
async def unsubscribe(request: Asked, state: OpsState, token: Token = "") -> Response[str]:
    """End a subscription: pressed on the page, or sent by a mail program (RFC 8058)."""
    try:
        ended = await _subscriptions(state).end(token)
    except InvalidTokenError:
        return _refusal(request, state, spoken(request), HTTPStatus.BAD_REQUEST, "link")
    except OperatorError as error:
        return _unavailable(request, state, spoken(request), error)
    return _answer(request, state, ended.language, "ended")


def _answer(
    request: Asked, state: OpsState, language: str, name: str, *, action: str = "", **values: str
) -> Response[str]:
    said = words(language)
    return _page(
        request,
        state,
        language,
        HTTPStatus.OK,
        title=said(f"{name}.title"),
        text=said(f"{name}.text", **values),
        action=action,
        button=said(f"{name}.button") if action else "",
    )


def _refusal(
    request: Asked, state: OpsState, language: str, status: HTTPStatus, reason: str
) -> Response[str]:
    said = words(language)
    return _page(
        request,
        state,
        language,
        status,
        title=said("invalid.title"),
        text=said(f"invalid.{reason}"),
        action="",
        button="",
    )


def _unavailable(request: Asked, state: OpsState, language: str, error: Exception) -> Response[str]:
    log.error("subscription not stored", error=str(error))
    return _refusal(request, state, language, HTTPStatus.SERVICE_UNAVAILABLE, "storage")


def _page(
    request: Asked, state: OpsState, language: str, status: HTTPStatus, **values: Any
) -> Response[str]:
    return pages.STATUS.html(
        request,
        "answer.html.j2",
        status,
        t=words(language),
        language=language,
        links=pages.links(language, ""),
        contact=state.context.settings.statuspage.contact,
        **values,
    )
