"""The words of the status page and its mails, in each language that it speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import cache

from chitlaq.core.local_time import abbreviation
from chitlaq.web.words import Words, texts


class StatusWords(Words):
    """One language's words, with those of dates and numbers."""

    def __init__(self, language: str, texts: Mapping[str, str], months: Sequence[str]) -> None:
        super().__init__(language, texts)
        self._months = months

    def components(self, names: Sequence[str]) -> str:
        """Return components as a list in a sentence."""
        *first, last = (self(f"component.{name}") for name in names)
        return f"{', '.join(first)}{self('and')}{last}" if first else last

    def day(self, day: date) -> str:
        return f"{day.day} {self._months[day.month - 1]} {day.year}"

    def moment(self, at: datetime) -> str:
        """Return a moment with its time zone; it is in that of the page already."""
        return f"{self.day(at)} {at:%H:%M} {abbreviation(at)}"

    def period(self, start: datetime, end: datetime) -> str:
        """Return from when to when something is; what both moments share is said once."""
        first, last = self.moment(start), self.moment(end)
        zone = f" {abbreviation(end)}"
        if first.endswith(zone):
            first = first.removesuffix(zone)
            last = last.removeprefix(f"{self.day(start)} ")
        return self("from_to", start=first, end=last)

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
def words(language: str) -> StatusWords:
    """Return the words of a language of `LANGUAGES`."""
    said = dict(texts(__package__, "words", language))
    return StatusWords(language, said, said.pop("months").split())
