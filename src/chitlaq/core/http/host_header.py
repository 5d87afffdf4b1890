"""Refuse requests to a service's TCP port that name a host which is not this machine's.

Only programs on this machine reach that port, web pages in its browsers among them. A page whose own name was
made to resolve to 127.0.0.1 (DNS rebinding) could read what is meant for operators; it cannot change the
Host header.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus

from litestar.types import ASGIApp, Receive, Scope, Send

from chitlaq.core.http import problems
from chitlaq.core.http.problems import Problem

_HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+?)\.?(?::[0-9]+)?")


class OwnHostOnly:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self._app = app
        self._names = frozenset(name.encode() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.lets_in(scope):
            await self._app(scope, receive, send)
        else:
            await _refuse(send)

    def lets_in(self, scope: Scope) -> bool:
        """Whether the request comes from nginx, or names this host."""
        client = scope.get("client")
        if not (client and client[0]):
            # On the Unix socket, nginx forwards what members asked for by any name.
            return True
        named = [value for name, value in scope["headers"] if name == b"host"]
        found = _HOST.fullmatch(named[0]) if len(named) == 1 else None
        return found is not None and found[1].lower() in self._names


async def _refuse(send: Send) -> None:
    problem = Problem(
        HTTPStatus.MISDIRECTED_REQUEST,
        "This port is for programs on this machine: use http://localhost.",
    )
    media_type = problems.MEDIA_TYPE.encode()
    await send(
        {
            "type": "http.response.start",
            "status": problem.status,
            "headers": [(b"content-type", media_type)],
        }
    )
    await send({"type": "http.response.body", "body": problem.body(), "more_body": False})
