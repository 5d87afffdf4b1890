"""Refuse what web pages send to a service's TCP port, which is for programs on this machine.

A browser on this machine reaches that port, too. It names the page's origin, and where a page's own name was
made to resolve to 127.0.0.1 (DNS rebinding), that name stands in the Host header; a page can change neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus

from litestar.types import ASGIApp, Receive, Scope, Send

from chitlaq.core.http import problems
from chitlaq.core.http.problems import Problem

_NAME = rb"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/]+?)\.?(?::[0-9]+)?"
_HOST, _ORIGIN = re.compile(_NAME), re.compile(rb"https?://" + _NAME)


class OwnPagesOnly:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self._app = app
        self._names = frozenset(name.encode() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = self._problem(scope)
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await _refuse(problem, send)

    def lets_in(self, scope: Scope) -> bool:
        """Whether the request comes from nginx, or from no page but our own."""
        return self._problem(scope) is None

    def _problem(self, scope: Scope) -> Problem | None:
        client = scope.get("client")
        if not (client and client[0]):
            # On the Unix socket, nginx forwards what members asked for, by any name.
            return None
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._is_own(_HOST, hosts[0]):
            return Problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                "This port is for programs on this machine: use http://localhost.",
            )
        if all(
            self._is_own(_ORIGIN, value) for name, value in scope["headers"] if name == b"origin"
        ):
            return None
        return Problem(HTTPStatus.FORBIDDEN, "This port does not answer pages of other origins.")

    def _is_own(self, pattern: re.Pattern[bytes], value: bytes) -> bool:
        found = pattern.fullmatch(value)
        return found is not None and found[1].lower() in self._names


async def _refuse(problem: Problem, send: Send) -> None:
    media_type = problems.MEDIA_TYPE.encode()
    await send(
        {
            "type": "http.response.start",
            "status": problem.status,
            "headers": [(b"content-type", media_type)],
        }
    )
    await send({"type": "http.response.body", "body": problem.body(), "more_body": False})
