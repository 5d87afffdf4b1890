"""Who reaches a page of the console, checked before anything else of a request is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler
from litestar.response import Redirect

from chitlaq.core.http import problems
from chitlaq.web.console.pages import CONSOLE

if TYPE_CHECKING:
    from chitlaq.ops.console.console import Console

COOKIE = "chitlaq-console"

Connection = ASGIConnection[Any, Any, Any, State]


class NotSignedIn(Exception):  # noqa: N818 - a state, not a fault
    """There is no session: the browser is sent to the page where operators sign in."""


def is_through_edge(connection: Connection) -> bool:
    """Whether nginx forwards this request, on the Unix socket."""
    client = connection.scope.get("client")
    return not (client and client[0])


def is_https(connection: Connection) -> bool:
    """Whether the browser uses TLS: nginx or the proxy before it says so, or the address that is public."""
    console: Console = connection.app.state.console
    return is_through_edge(connection) and (
        console.has_tls or connection.headers.get("x-forwarded-proto") == "https"
    )


def is_reachable(connection: Connection) -> bool:
    """Whether pages are shown: through the edge only where the settings say so."""
    console: Console = connection.app.state.console
    return console.is_public or not is_through_edge(connection)


async def reachable(connection: Connection, _: BaseRouteHandler) -> None:
    """Answer where the console is reachable.

    Raises:
        Problem: 404.
    """
    if not is_reachable(connection):
        raise problems.not_found("page")


async def own_page(connection: Connection, _: BaseRouteHandler) -> None:
    """Accept forms of our own pages only: another port of this host is another site, too.

    Raises:
        Problem: 403.
    """
    site = connection.headers.get("sec-fetch-site", "same-origin")
    host = connection.headers.get("host", "")
    own = {f"http://{host}", f"https://{host}"}
    if site != "same-origin" or connection.headers.get("origin") not in own:
        raise problems.forbidden("This form was not sent by a page of this console: open it again.")


async def signed_in(connection: Connection, _: BaseRouteHandler) -> None:
    """Require a session, and make it the request's user.

    Raises:
        NotSignedIn: there is none, or it has ended.
    """
    console: Console = connection.app.state.console
    token = connection.cookies.get(COOKIE, "")
    session = await console.sessions.find(token) if token else None
    if session is None or not console.operators.allows(session):
        raise NotSignedIn
    connection.scope["user"] = session


def to_sign_in(request: Request[Any, Any, State], _: NotSignedIn) -> Response[Any]:
    """Send the browser to sign in, and back to where it was."""
    if request.headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
        # Browsers send the cookie only with requests that a page of our own begins: a link in a mail opens
        # a page that asks again.
        return CONSOLE.html(request, "again.html")
    query = ""
    if request.method == "GET" and request.url.path != "/ops":
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        query = "?" + urlencode({"next": asked})
    return Redirect(f"/ops/sign-in{query}", status_code=303)
