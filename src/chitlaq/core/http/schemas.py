"""The base of all request bodies."""

from __future__ import annotations

from collections.abc import Callable
from datetime import MAXYEAR, MINYEAR, datetime

import msgspec

from chitlaq.core.http import problems
from chitlaq.core.visible import is_one_line, is_seen


class Incoming(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A request body: unknown fields and text that cannot be stored are refused.

    PostgreSQL's text cannot hold NUL; the JSON decoder refuses lone surrogates.
    A subclass with more rules raises ``ValueError("field: reason")`` in its `__post_init__`.
    """

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            texts = value if isinstance(value, list | tuple) else (value,)
            if any(isinstance(text, str) and "\x00" in text for text in texts):
                raise ValueError(f"{name}: must not contain NUL characters")


def normalize(body: Incoming, field: str, checked: Callable[[str], str]) -> None:
    """Replace a field by the form in which it is stored and compared.

    Raises:
        ValueError: ``checked`` refuses it, as ``field: reason``.
    """
    try:
        msgspec.structs.force_setattr(body, field, checked(getattr(body, field)))
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from None


def without_nul(field: str, value: str) -> str:
    """Return a query parameter's text if it has no NUL.

    Raises:
        Problem: 422.
    """
    if "\x00" in value:
        raise problems.invalid({field: "must not contain NUL characters"})
    return value


def require_moment(field: str, value: datetime) -> None:
    """Refuse a moment that is none without a time zone, or that UTC has no year for.

    Raises:
        ValueError: it is, as ``field: reason``.
    """
    # At the edges of the calendar, the zone's offset leads out of it.
    if value.tzinfo is None or not MINYEAR < value.year < MAXYEAR:
        raise ValueError(f"{field}: must be a moment with a time zone, in the years 2 to 9998")


def require_one_line(field: str, value: str) -> None:
    """Refuse a name that breaks lines, hides, or acts on a terminal.

    Raises:
        ValueError: it does, as ``field: reason``.
    """
    if not is_one_line(value):
        raise ValueError(f"{field}: must be one line, without control or invisible characters")


def require_name(field: str, value: str) -> None:
    """Refuse a name for people that shows nothing, or that `require_one_line` refuses.

    Raises:
        ValueError: it does, as ``field: reason``.
    """
    require_one_line(field, value)
    if not is_seen(value):
        raise ValueError(f"{field}: must not be empty")
