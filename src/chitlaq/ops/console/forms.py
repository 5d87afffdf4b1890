"""What a form of the console sends: small, typed, and with the token of the session it belongs to."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec

from chitlaq.core.http import problems
from chitlaq.core.http.problems import Problem
from chitlaq.ops.console.access.sessions import Session
from chitlaq.ops.console.pages import ConsoleRequest

T = TypeVar("T")

MEDIA_TYPE = "application/x-www-form-urlencoded"
MOST_BYTES = 65_536


class Nothing(msgspec.Struct):
    """A form that is only a button."""


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
    # Browsers send line breaks as CR LF.
    pairs = parse_qsl(body.decode(), keep_blank_values=True)
    fields = {name: value.replace("\r\n", "\n") for name, value in pairs}
    session = request.scope.get("user")
    if isinstance(session, Session):
        given = fields.pop("form_token", "")
        if not hmac.compare_digest(given.encode(), session.form_token.encode()):
            raise problems.forbidden("This form is of another session: open the page again.")
    try:
        return msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        raise problems.invalid({"form": str(error)}) from None
