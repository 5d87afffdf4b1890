"""What all structs that cross the border have in common."""

from __future__ import annotations

import msgspec

from chitlaq.core.http import problems


class Incoming(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A request's body: unknown fields are refused, and no text holds what cannot be stored.

    PostgreSQL's text cannot hold NUL; surrogates that stand alone the JSON decoder refuses.
    A subclass that checks more raises ``ValueError("field: reason")`` in its `__post_init__`.
    """

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, str) and "\x00" in value:
                raise ValueError(f"{name}: must not contain NUL characters")


def without_nul(field: str, value: str) -> str:
    """Return a query parameter's text as it may be used in a query.

    Raises:
        Problem: 422.
    """
    if "\x00" in value:
        raise problems.invalid({field: "must not contain NUL characters"})
    return value
