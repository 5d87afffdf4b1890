"""The words of the status page and its mails, in each language that it speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import cache
from importlib import resources

import msgspec

from chitlaq.core.local_time import abbreviation

LANGUAGES = ("en", "tr")
"""The first is for who prefers none of them."""


class Words:
    """One language's words, by key; a key that is missing is an error."""

    def __init__(self, language: str, texts: Mapping[str, str], months: Sequence[str]) -> None:
        self.language = language
        self.keys = frozenset(texts)
        self._texts = texts
        self._months = months

    def __call__(self, key: str, /, **values: object) -> str:
        """Return a text with its values.

        Raises:
            KeyError: there is no such text, or a value is missing.
        """
        return self._texts[key].format_map(values)

    def components(self, names: Sequence[str]) -> str:
        """Return components as a list in a sentence."""
        *first, last = (self(f"component.{name}") for name in names)
        return f"{', '.join(first)}{self('and')}{last}" if first else last

    def day(self, day: date) -> str:
        return f"{day.day} {self._months[day.month - 1]} {day.year}"

    def moment(self, at: datetime) -> str:
        """Return a moment with its time zone; it is in that of the page already."""
        return f"{self.day(at)} {at:%H:%M} {abbreviation(at)}"

    def duration(self, seconds: float) -> str:
        """Return a time in whole minutes."""
        hours, minutes = divmod(max(1, round(seconds / 60)), 60)
        parts = [self("hours", count=hours)] if hours else []
        return " ".join([*parts, self("minutes", count=minutes)] if minutes or not hours else parts)

    def share(self, ratio: float) -> str:
        """Return a percentage, never rounded up to 100."""
        percent = 100.0 if ratio >= 1 else min(99.99, round(100 * ratio, 2))
        return self("percent", number=f"{percent:.2f}".replace(".", self("decimal")))


@cache
def words(language: str) -> Words:
    """Return the words of a language of `LANGUAGES`."""
    file = resources.files(__package__).joinpath(f"words.{language}.json")
    texts = msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    return Words(language, texts, texts.pop("months").split())
