"""The layout of the console: its screens in the navigation, and how a handler answers with one.

A screen is a handler with `screen`, which returns `page`; a form's handler has `form` (see `acting`).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

import asyncpg
import msgspec
from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from chitlaq.core.errors import OperatorError, UnknownResult
from chitlaq.core.http.problems import Problem
from chitlaq.core.local_time import zone_name
from chitlaq.ops.console.access import guards
from chitlaq.ops.console.access.sessions import Session
from chitlaq.stack import commands
from chitlaq.web.console.pages import CONSOLE

T = TypeVar("T")

ConsoleRequest = Request[Session, Any, State]

LOOK_SECONDS = 0.6
"""How long a panel may wait for what it shows: the page waits for the slowest."""


@dataclass(frozen=True, slots=True)
class Screen:
    path: str
    title: str


SCREENS = (
    Screen("/ops/", "Now"),
    Screen("/ops/alerts", "Alerts"),
    Screen("/ops/incidents", "Incidents"),
    Screen("/ops/services", "Services"),
    Screen("/ops/routines", "Routines"),
    Screen("/ops/dashboards", "Dashboards"),
    Screen("/ops/logs", "Logs"),
    Screen("/ops/backups", "Backups"),
    Screen("/ops/capacity", "Capacity"),
    Screen("/ops/actions", "Actions"),
    Screen("/ops/oncall", "On call"),
    Screen("/ops/audit", "Audit"),
    Screen("/ops/status", "Status page"),
)


@dataclass(frozen=True, slots=True)
class Unknown:
    """What a panel shows that could not look: why."""

    reason: str


async def looked(answer: Awaitable[T], seconds: float = LOOK_SECONDS) -> T | Unknown:
    """Return what a panel shows, or why it is unknown: a screen never fails with what it looks at."""
    try:
        async with asyncio.timeout(seconds):
            return await answer
    except TimeoutError:
        return Unknown(f"no answer within {seconds:g} s")
    except Problem as problem:
        return Unknown(problem.detail)
    except (
        OperatorError, UnknownResult, OSError, msgspec.MsgspecError, asyncpg.PostgresError, sqlite3.Error
    ) as error:  # fmt: skip
        return Unknown(str(error) or type(error).__name__)


CONSOLE.environment.tests["unknown"] = lambda value: isinstance(value, Unknown)


def page(
    request: ConsoleRequest, template: str, /, status: int = 200, **values: Any
) -> Response[str]:
    """Return a screen: the template extends ``layout.html`` and fills the blocks title and main.

    It names commands as they are typed here.
    """
    session = request.scope.get("user")
    answer = CONSOLE.html(
        request,
        template,
        status,
        screens=SCREENS,
        here=_here(request.url.path),
        session=session,
        form_token=session.form_token if isinstance(session, Session) else "",
        zone=zone_name(datetime.now(UTC)),
        **values,
    )
    answer.content = commands.in_text(answer.content, request.app.state.console.home)
    return answer


def _here(path: str) -> str:
    """The screen that a page belongs to: an incident's page to Incidents."""
    # The framework's path has no slash at its end.
    return "/ops/" if path.rstrip("/") == "/ops" else "/".join(path.split("/")[:3])


def _refused(request: ConsoleRequest, problem: Problem) -> Response[str]:
    answer = _told(request, problem.status, problem.detail)
    answer.headers.update(problem.headers())
    return answer


def _refused_by_operator_error(request: ConsoleRequest, error: OperatorError) -> Response[str]:
    return _told(request, HTTPStatus.CONFLICT, str(error))


def _refused_by_framework(request: ConsoleRequest, error: HTTPException) -> Response[str]:
    return _told(request, HTTPStatus(error.status_code), error.detail)


def _told(request: ConsoleRequest, status: HTTPStatus, detail: str) -> Response[str]:
    is_nowhere = status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}
    title = "Not found" if is_nowhere else "Not done"
    written = request.state.get("written", ())
    return page(request, "problem.html", int(status), title=title, detail=detail, written=written)


def nothing_here(request: ConsoleRequest, status: HTTPStatus) -> Response[str] | None:
    """Return what a browser is shown at an address that is not there, or that takes forms alone.

    None where a browser does not come: through an edge without a console.
    """
    said = {
        HTTPStatus.NOT_FOUND: "There is nothing at this address.",
        HTTPStatus.METHOD_NOT_ALLOWED: "There is nothing to see at this address: it takes what a form sends.",
    }
    if status not in said or not guards.is_reachable(request):
        return None
    return _told(request, status, said[status])


_ERRORS: Any = {
    guards.NotSignedIn: guards.to_sign_in,
    Problem: _refused,
    OperatorError: _refused_by_operator_error,
    HTTPException: _refused_by_framework,
}

# Also of what is no page: numbers for the browser, an action's output, a postmortem.
_NOT_KEPT = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

screen = partial(
    get,
    guards=[guards.reachable, guards.signed_in],
    exception_handlers=_ERRORS,
    response_headers=_NOT_KEPT,
    include_in_schema=False,
    media_type="text/html",
    is_page=True,
)
"""Declares a screen for operators who are signed in; it only reads."""

open_page = partial(
    get,
    guards=[guards.reachable],
    exception_handlers=_ERRORS,
    include_in_schema=False,
    media_type="text/html",
    is_page=True,
)
"""Declares a page for anybody: signing in."""

form = partial(
    post,
    guards=[guards.reachable, guards.own_page, guards.signed_in],
    exception_handlers=_ERRORS,
    include_in_schema=False,
    media_type="text/html",
    status_code=200,
)
"""Declares what a form of a screen does; `forms.read` checks the form's token."""

open_form = partial(
    post,
    guards=[guards.reachable, guards.own_page],
    exception_handlers=_ERRORS,
    include_in_schema=False,
    media_type="text/html",
    status_code=200,
)
"""Declares what a form does that anybody may send: signing in."""
