"""Pages of a list that members read so often that the framework's way to a handler is too dear.

Routing, parameters, dependencies and the response's making cost a request more than the page itself. A hot
page takes the plain request of a signed-in member and returns the response's bytes; it does so beside the
handler of the same route, which takes every other request, and is what the OpenAPI document and the refusals
come from. So a hot page can change nothing but the cost.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from litestar.datastructures import Headers, State
from litestar.types import HTTPScope, Send

from chitlaq.core.data.postgres import PostgresUnavailableError
from chitlaq.core.http import cookies
from chitlaq.core.http.own_pages import OwnPagesOnly
from chitlaq.core.http.paging import Paging
from chitlaq.core.http.problems import Problem
from chitlaq.core.http.service import Context, HotPage

_BEARER = b"Bearer "
_NUMBER = re.compile(rb"[1-9][0-9]{0,3}")
_FIRST = {b"limit": _NUMBER}
_PLAIN = {**_FIRST, b"page": _NUMBER, b"cursor": re.compile(rb"[A-Za-z0-9_-]{1,100}")}
_TEXT = re.compile(rb"[!-~]*")


class HotPages:
    """Answers plain requests for a service's hot pages."""

    def __init__(self, pages: Mapping[str, HotPage], state: State, guard: OwnPagesOnly) -> None:
        self._pages = pages
        self._state = state
        self._guard = guard

    async def answer(self, scope: HTTPScope, send: Send) -> bool:
        """Answer a request, or return False: then it is the framework's to answer, or to refuse."""
        page = self._pages.get(scope["path"])
        if page is None or scope["method"] != "GET" or not self._guard.lets_in(scope):
            return False
        asked = _plain(page, scope["query_string"])
        token = _token(scope["headers"])
        if asked is None or token is None:
            return False
        context: Context = self._state.context
        try:
            who = await context.verifier.verify(token)
            await context.account_limit.spend(who.account_id.hex)
            body = await page.made(self._state, who.account_id, *asked)
        except (Problem, PostgresUnavailableError):
            return False
        scope["path_template"] = scope["path"]
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})
        return True


def _plain(page: HotPage, query: bytes) -> tuple[Paging, str] | None:
    """Return the part of a list that a query asks for, and the text, if it is one that needs no refusal."""
    asked: dict[bytes, bytes] = {}
    plain = _PLAIN if page.has_more else _FIRST
    wanted = page.text.encode() if page.text else None
    for part in query.split(b"&") if query else ():
        name, _, value = part.partition(b"=")
        is_plain = plain.get(name, _TEXT if name == wanted else None)
        if name in asked or is_plain is None or is_plain.fullmatch(value) is None:
            return None
        asked[name] = value
    text = ""
    if wanted:
        try:
            text = unquote_plus(asked.get(wanted, b"").decode(), errors="strict")
        except UnicodeDecodeError:
            return None
        if not 0 < len(text) <= page.max_letters or "\0" in text:
            return None
    limit = int(asked[b"limit"]) if b"limit" in asked else page.limit
    if limit > page.max_limit:
        return None
    cursor = asked.get(b"cursor")
    try:
        paging = Paging.of(
            int(asked.get(b"page", b"1")), limit, cursor.decode() if cursor else None
        )
    except Problem:
        return None
    return paging, text


def _token(headers: Any) -> str | None:
    """Return the access token of the header ``Authorization``, or else of the web application's cookie."""
    found = [value for name, value in headers if name == b"authorization"]
    if not found:
        return cookies.value(Headers(headers), cookies.ACCESS)
    if len(found) > 1 or not found[0].startswith(_BEARER) or not found[0].isascii():
        return None
    return str(found[0][len(_BEARER) :], "ascii")
