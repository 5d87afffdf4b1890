"""The words of pages, by key, in each language that they speak."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources

import msgspec
from markupsafe import Markup, escape

from chitlaq.core.visible import visible

_AFTER_ONE_LETTER = re.compile(r"(?<=\b[^\W\d_])-(?=[^\W\d_])")


class Words:
    """One language's words, by key; a key that is missing is an error."""

    def __init__(self, language: str, texts: Mapping[str, str]) -> None:
        self.language = language
        self.keys = frozenset(texts)
        self._texts = texts

    def __call__(self, key: str, /, **values: object) -> str:
        """Return a text with its values.

        Raises:
            KeyError: there is no such text, or a value is missing.
        """
        return self._texts[key].format_map(values)

    def count(self, key: str, number: int) -> str:
        """Return the text for a number of things: of the key's two forms, the one for this number."""
        return self(f"{key}.{'one' if number == 1 else 'other'}", n=self.number(number))

    def number(self, number: int) -> str:
        """Return a whole number as people write it."""
        return f"{number:,}".replace(",", self._texts["number.group"])


class PageWords(Words):
    """The same for a template: what others wrote is escaped, hides nothing and reorders nothing."""

    def __call__(self, key: str, /, **values: object) -> Markup:
        shown = {name: visible(one) if type(one) is str else one for name, one in values.items()}
        return escape(self._texts[key]).format_map(shown)


@cache
def texts(package: str, name: str, language: str) -> dict[str, str]:
    """Return the texts of a file ``NAME.LANGUAGE.json`` of a package.

    No line ends after the hyphen of a word such as *e-posta*, which would leave a letter alone.
    """
    file = resources.files(package).joinpath(f"{name}.{language}.json")
    said = msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    return {
        key: _AFTER_ONE_LETTER.sub("\N{NON-BREAKING HYPHEN}", text) for key, text in said.items()
    }
