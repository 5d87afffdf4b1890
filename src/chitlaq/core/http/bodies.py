"""Request bodies: JSON and forms of the declared types, and which field is at fault if they are not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import ValidationException

from chitlaq.core.http import problems

T = TypeVar("T")

MOST_FORM_BYTES = 16_384
_PLACE = re.compile(r"(.*) - at `(?:key` in `)?\$(.*?)`", re.DOTALL)
"""A message of the validator, and where in the body the fault is."""


class StrictRequest(Request[Any, Any, State]):
    """Takes a body's values as they are: the framework would accept ``0`` for false and ``"1"`` for 1.

    That is right for query parameters, which are text, and wrong for JSON: the description of the API
    says boolean, and a client that sends something else is mistaken about what it means.
    """

    async def json(self) -> Any:
        """Return the body as the type of the handler's ``data``.

        Raises:
            ValidationException: it is JSON, but not of this type.
        """
        value = await super().json()
        declared = self.route_handler.parsed_fn_signature.parameters.get("data")
        if declared is None:
            return value
        try:
            return msgspec.convert(value, declared.annotation)
        except msgspec.ValidationError as error:
            raise ValidationException(extra=[{"message": str(error), "key": "data"}]) from error


def of_form(fields: Mapping[str, str], kind: type[T]) -> T:
    """Return the fields of a form as the type that a JSON body has.

    Raises:
        Problem: 422, which names the fields at fault.
    """
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        message = {"message": str(error), "key": "data"}
        raise problems.invalid(field_errors([message])) from None


def field_errors(extra: list[Any]) -> dict[str, str]:
    """Turn msgspec's error message into {field: reason}."""
    errors: dict[str, str] = {}
    for item in extra:
        message, field = str(item.get("message", "not valid")), str(item.get("key", ""))
        found = _PLACE.fullmatch(message)
        reason = found[1] if found else message
        if found:
            field = found[2].strip(".") or field
        if not field or field == "data":
            # A struct's own check says "field: reason"; a missing field is named in the message.
            head, colon, tail = reason.partition(": ")
            named = reason.rpartition("field `")[2].rstrip("`") if "field `" in reason else ""
            field, reason = (head, tail) if colon else (named or "body", reason)
        errors[field] = _plain(reason)
    return errors


_PLAIN = (
    (re.compile(r"Expected `(?:str|array)` of length >= 1"), "must not be empty"),
    (re.compile(r"Expected `str` of length >= (\d+)"), r"must be at least \1 characters long"),
    (re.compile(r"Expected `str` of length <= (\d+)"), r"must be at most \1 characters long"),
    (re.compile(r"Expected `str` matching regex .*", re.DOTALL), "is not in the right form"),
    (re.compile(r"Expected `array` of length >= (\d+)"), r"must have at least \1 items"),
    (re.compile(r"Expected `array` of length <= (\d+)"), r"must have at most \1 items"),
    (re.compile(r"Expected `(?:int|float)` >= (\S+)"), r"must be at least \1"),
    (re.compile(r"Expected `(?:int|float)` <= (\S+)"), r"must be at most \1"),
    (re.compile(r"Expected `str\b.*"), "must be text"),
    (re.compile(r"Expected `int\b.*|Integer value out of range"), "must be a whole number"),
    (re.compile(r"Expected `float\b.*"), "must be a number"),
    (re.compile(r"Expected `bool\b.*"), "must be true or false"),
    (re.compile(r"Expected `array\b.*"), "must be a list"),
    (re.compile(r"Expected `object\b.*"), "must be a group of fields"),
    (re.compile(r"(?:Expected `uuid\b|Invalid UUID).*"), "must be an id"),
    (
        re.compile(r"(?:Expected `datetime\b|Invalid RFC3339).*"),
        "must be a moment with a time zone, such as 2026-09-01T08:00:00Z",
    ),
    (re.compile(r"Invalid enum value .*", re.DOTALL), "must be one of the choices that there are"),
    # The framework's words for a body that is not there.
    (re.compile(r"^'data'$"), "is missing"),
    (re.compile(r"Object missing required field .*"), "is missing"),
    (re.compile(r"Object contains unknown field .*"), "is an unknown field"),
)
"""The validator's words for programmers, and those that complete a sentence after a field's name."""


def _plain(reason: str) -> str:
    """Translate msgspec's message for the user of a form."""
    for pattern, words in _PLAIN:
        if found := pattern.search(reason):
            return found.expand(words)
    return reason
