"""What a form of the console sends: small, typed, and with the token of the session it belongs to."""

from __future__ import annotations

import hmac
from datetime import datetime
from http import HTTPStatus
from typing import TypeVar, get_origin
from urllib.parse import parse_qsl

import msgspec
from msgspec import structs

from chitlaq.core import point_in_time
from chitlaq.core.http import problems
from chitlaq.core.http.problems import Problem
from chitlaq.core.local_time import local
from chitlaq.ops.console.access.sessions import Session
from chitlaq.ops.console.pages import ConsoleRequest

T = TypeVar("T", bound=msgspec.Struct)

MEDIA_TYPE = "application/x-www-form-urlencoded"
MOST_BYTES = 65_536
# What somebody wrote in words: a refusal gives it back, because browsers forget it.
_PROSE = ("title", "title_tr", "text", "text_tr", "why", "note")


class Nothing(msgspec.Struct):
    """A form that is only a button."""


def moment(text: str) -> datetime:
    """Read what a browser's field for a date and a time has, in the time zone that the page names.

    Raises:
        OperatorError: it is no moment, or the clock never showed it, or twice.
    """
    return point_in_time.parse(text, "Moment", may_be_future=True)


def field(at: datetime) -> str:
    """Return a moment as a browser's field for a date and a time takes it, at the full hour."""
    return f"{local(at):%Y-%m-%dT%H:00}"


async def read(request: ConsoleRequest, kind: type[T]) -> T:
    """Return the fields of a form; of a session's page only with the session's token.

    Raises:
        Problem: 415 for another media type, 413 for too much, 403 without the token, 422 for a field that
            is missing or not valid.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != MEDIA_TYPE:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"A form is {MEDIA_TYPE}.")
    body = await request.body()
    if len(body) > MOST_BYTES:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"This form takes at most {MOST_BYTES:,} bytes."
        )
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise problems.invalid({"form": "it is not UTF-8"}) from None
    fields: dict[str, str | list[str]] = {}
    lists = {one.name for one in structs.fields(kind) if get_origin(one.type) is list}
    for name, value in parse_qsl(text, keep_blank_values=True):
        # Browsers send line breaks as CR LF.
        line = value.replace("\r\n", "\n")
        fields[name] = [*fields.get(name, ()), line] if name in lists else line
    session = request.scope.get("user")
    if isinstance(session, Session):
        given = str(fields.pop("form_token", ""))
        if not hmac.compare_digest(given.encode(), session.form_token.encode()):
            raise problems.forbidden("This form is of another session: open the page again.")
        request.state["written"] = [fields[name] for name in _PROSE if fields.get(name)]
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        raise problems.invalid({"form": str(error)}) from None
