"""The pages of the site over HTTP."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import Cookie, State
from litestar.response import Redirect

from chitlaq.core.http import bodies, cookies
from chitlaq.core.languages import LANGUAGES
from chitlaq.services.gateway.pages import screens, settings
from chitlaq.services.gateway.state import GatewayState
from chitlaq.web.pages import PARAMETER, THEME, THEMES
from chitlaq.web.site import robots, worker
from chitlaq.web.site.pages import (
    KEYS,
    SCROLLING,
    SITE,
    SWITCH,
    YEAR_SECONDS,
)

Asked = Request[Any, Any, State]


@get("/", is_page=True, is_site=True, include_in_schema=False)
async def landing(request: Asked, state: GatewayState) -> Response[Any]:
    if cookies.value(request.headers, cookies.ACCESS) is not None:
        return Redirect("/home", status_code=303)
    return await state.screens.show(request, screens.LANDING)


@get("/home", is_page=True, include_in_schema=False)
async def home(request: Asked, state: GatewayState) -> Response[Any]:
    return await state.screens.show(request, screens.HOME)


@get("/compose", is_page=True, include_in_schema=False)
async def compose(request: Asked, state: GatewayState) -> Response[Any]:
    quote = request.query_params.get("quote", "")
    draft = request.query_params.get("draft", "")
    screen = screens.QUOTING if quote else screens.COMPOSE
    return await state.screens.show(request, screen, quote=quote, draft=draft)


@get("/bookmarks", is_page=True, include_in_schema=False)
async def bookmarks(request: Asked, state: GatewayState) -> Response[Any]:
    return await state.screens.show(request, screens.BOOKMARKS)


@get("/drafts", is_page=True, include_in_schema=False)
async def drafts(request: Asked, state: GatewayState) -> Response[Any]:
    return await state.screens.show(request, screens.DRAFTS, cursor=_cursor(request))


@get("/explore", is_page=True, is_site=True, include_in_schema=False)
async def explore(request: Asked, state: GatewayState) -> Response[Any]:
    return await state.screens.show(request, screens.EXPLORE, cursor=_cursor(request))


@get("/about", is_page=True, is_site=True, include_in_schema=False)
async def about(request: Asked, state: GatewayState) -> Response[Any]:
    return await state.screens.show(request, screens.ABOUT)


@get("/rules", is_page=True, is_site=True, include_in_schema=False)
async def rules(request: Asked, state: GatewayState) -> Response[Any]:
    return await state.screens.show(request, screens.RULES)


@get("/search", is_page=True, is_site=True, include_in_schema=False)
async def search(request: Asked, state: GatewayState) -> Response[Any]:
    asked = request.query_params
    kind = asked.get("type", "members")
    kind = kind if kind in screens.SEARCHES else "members"
    text = asked.get("q", "").strip()[: screens.MOST_LETTERS]
    return await state.screens.show(
        request,
        screens.SEARCHES[kind] if text else screens.NOT_YET_SEARCHED,
        q=text,
        type=kind,
        sort="time" if asked.get("sort") == "time" else "relevance",
        cursor=_cursor(request),
    )


@get("/notifications", is_page=True, include_in_schema=False)
async def notifications(request: Asked, state: GatewayState) -> Response[Any]:
    filtered = "true" if request.query_params.get("filtered") == "true" else "false"
    return await state.screens.show(
        request, screens.NOTIFICATIONS, filtered=filtered, cursor=_cursor(request)
    )


@get("/tags/{tag:str}", is_page=True, is_site=True, include_in_schema=False)
async def tagged(tag: str, request: Asked, state: GatewayState) -> Response[Any]:
    return await state.screens.show(request, screens.TAG, tag=tag, cursor=_cursor(request))


@get("/{handle:str}", is_page=True, is_site=True, include_in_schema=False)
async def profile(handle: str, request: Asked, state: GatewayState) -> Response[Any]:
    # nginx asks for /nothing in place of a page that no service declares.
    if not handle.startswith("@"):
        return await state.screens.nothing(request)
    return await state.screens.show(
        request, screens.PROFILE, handle=handle[1:], cursor=_cursor(request)
    )


@get("/{handle:str}/followers", is_page=True, is_site=True, include_in_schema=False)
async def followers(handle: str, request: Asked, state: GatewayState) -> Response[Any]:
    return await _members(handle, "followers", request, state)


@get("/{handle:str}/following", is_page=True, is_site=True, include_in_schema=False)
async def following(handle: str, request: Asked, state: GatewayState) -> Response[Any]:
    return await _members(handle, "following", request, state)


async def _members(handle: str, name: str, request: Asked, state: GatewayState) -> Response[Any]:
    if not handle.startswith("@"):
        return await state.screens.nothing(request)
    return await state.screens.show(
        request, screens.MEMBERS[name], handle=handle[1:], list=name, cursor=_cursor(request)
    )


@get("/follow-requests", is_page=True, include_in_schema=False)
async def requests(request: Asked, state: GatewayState) -> Response[Any]:
    return await state.screens.show(request, screens.REQUESTS, cursor=_cursor(request))


@get("/{handle:str}/p/{post_id:str}", is_page=True, is_site=True, include_in_schema=False)
async def thread(handle: str, post_id: str, request: Asked, state: GatewayState) -> Response[Any]:
    try:
        wanted = UUID(post_id)
    except ValueError:
        return await state.screens.nothing(request)
    return await state.screens.show(
        request,
        screens.THREAD,
        handle=handle.removeprefix("@"),
        post=str(wanted),
        cursor=_cursor(request),
    )


@get("/{handle:str}/p/{post_id:str}/{about:str}", is_page=True, include_in_schema=False)
async def about_post(
    handle: str, post_id: str, about: str, request: Asked, state: GatewayState
) -> Response[Any]:
    screen = screens.ABOUT_POSTS.get(about)
    try:
        wanted = UUID(post_id)
    except ValueError:
        screen = None
    if screen is None:
        return await state.screens.nothing(request)
    return await state.screens.show(
        request,
        screen,
        handle=handle.removeprefix("@"),
        post=str(wanted),
        kind=about,
        cursor=_cursor(request),
    )


@get("/chat", is_page=True, include_in_schema=False)
async def chats(request: Asked, state: GatewayState) -> Response[Any]:
    if request.query_params.get("folder") == "archived":
        return await state.screens.show(request, screens.ARCHIVE, folder="archived")
    return await state.screens.show(request, screens.CHATS)


@get("/chat/{conversation_id:str}", is_page=True, include_in_schema=False)
async def conversation(conversation_id: str, request: Asked, state: GatewayState) -> Response[Any]:
    try:
        wanted = UUID(conversation_id)
    except ValueError:
        return await state.screens.nothing(request)
    at = request.query_params.get("at", "")
    if re.fullmatch(r"\d{1,18}", at, re.ASCII):
        return await state.screens.show(
            request, screens.CONVERSATION_AT_MESSAGE, conversation=str(wanted), at=at
        )
    if re.fullmatch(r"\d{4}-\d\d-\d\d(T[\d:.]+Z)?", at, re.ASCII):
        moment = at if "T" in at else f"{at}T00:00:00Z"
        return await state.screens.show(
            request, screens.CONVERSATION_AT_MOMENT, conversation=str(wanted), at=at, moment=moment
        )
    return await state.screens.show(request, screens.CONVERSATION, conversation=str(wanted))


@get("/shell", is_page=True, include_in_schema=False)
async def shell(request: Asked, state: GatewayState) -> Response[Any]:
    return await state.screens.show(request, screens.SHELL_ALONE)


@get("/sw.js", is_page=True, include_in_schema=False, sync_to_thread=False)
def service_worker() -> Response[bytes]:
    return SITE.file(worker.script(), "text/javascript")


@get("/manifest.webmanifest", is_page=True, include_in_schema=False, sync_to_thread=False)
def manifest() -> Response[bytes]:
    return SITE.file(msgspec.json.encode(worker.manifest()), worker.MANIFEST_TYPE)


@get("/robots.txt", is_page=True, include_in_schema=False, sync_to_thread=False)
def for_robots() -> Response[bytes]:
    return SITE.file(robots.text(), "text/plain")


@get("/settings/appearance", is_page=True, include_in_schema=False)
async def appearance(request: Asked, state: GatewayState) -> Response[Any]:
    return await state.screens.show(request, settings.APPEARANCE)


@get("/settings", is_page=True, include_in_schema=False)
async def settings_index(request: Asked, state: GatewayState) -> Response[Any]:
    return await state.screens.show(request, settings.INDEX)


@get("/settings/{section:str}", is_page=True, include_in_schema=False)
async def settings_of(section: str, request: Asked, state: GatewayState) -> Response[Any]:
    screen = settings.SECTIONS.get(section)
    if screen is None:
        return await state.screens.nothing(request)
    cursors = {name: request.query_params.get(name, "") for name in settings.LISTS}
    return await state.screens.show(request, screen, **cursors)


@post(
    "/settings/appearance",
    is_page=True,
    include_in_schema=False,
    status_code=303,
    request_max_body_size=bodies.MOST_FORM_BYTES,
)
async def choose_appearance(request: Asked, state: GatewayState) -> Redirect:
    """Keep the chosen colours and language in this browser, and whether lists go on by themselves."""
    cookies.require_own_page(request.headers, state.settings.base_url)
    form = await request.form()
    chosen = {
        THEME: (str(form.get(THEME, "")), THEMES),
        PARAMETER: (str(form.get(PARAMETER, "")), LANGUAGES),
        SCROLLING: (str(form.get(SCROLLING, "")), SWITCH),
    }
    kept = [_kept(name, one) for name, (one, known) in chosen.items() if one in known]
    return Redirect("/settings/appearance", status_code=303, cookies=kept)


@get("/settings/shortcuts", is_page=True, include_in_schema=False)
async def shortcuts(request: Asked, state: GatewayState) -> Response[Any]:
    return await state.screens.show(request, settings.SHORTCUTS)


@post(
    "/settings/shortcuts",
    is_page=True,
    include_in_schema=False,
    status_code=303,
    request_max_body_size=bodies.MOST_FORM_BYTES,
)
async def choose_shortcuts(request: Asked, state: GatewayState) -> Redirect:
    """Keep in this browser whether single keys act."""
    cookies.require_own_page(request.headers, state.settings.base_url)
    chosen = "on" if (await request.form()).get(KEYS) == "on" else "off"
    return Redirect("/settings/shortcuts", status_code=303, cookies=[_kept(KEYS, chosen)])


def _cursor(request: Asked) -> str:
    """Return where a list goes on."""
    return request.query_params.get("cursor", "")


def _kept(name: str, value: str) -> Cookie:
    return Cookie(name, path="/", value=value, max_age=YEAR_SECONDS, samesite="lax")
