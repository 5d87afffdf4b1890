"""Settings that must not be printed: text that shows only when it is asked for.

`repr`, `str`, formats and tracebacks show stars; msgspec and pickle refuse to encode it.
"""

from __future__ import annotations

import re
from typing import NoReturn, Self

HIDDEN = "********"


class Secret:
    """A secret from the settings; `reveal` returns it."""

    __slots__ = ("_text",)

    def __init__(self, text: str = "") -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __str__(self) -> str:
        return HIDDEN if self._text else ""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be encoded")


class SecretUrl(Secret):
    """A URL whose password is hidden."""

    __slots__ = ()

    def __str__(self) -> str:
        shown = re.sub(r"(://[^:@/?#]*:)[^/?#]*@", rf"\1{HIDDEN}@", self._text)
        return re.sub(r"(?i)([?&][^&=]*password[^&=]*=)[^&#]*", rf"\1{HIDDEN}", shown)


def from_text(kind: type, value: object) -> object:
    """Decode a secret: msgspec's ``dec_hook`` wherever settings are read."""
    if issubclass(kind, Secret) and isinstance(value, str):
        return kind(value)
    raise ValueError("Expected `str`")


def to_text(value: object) -> str:
    """Encode a secret as what it is: msgspec's ``enc_hook`` where nobody else can listen."""
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} cannot be encoded")
