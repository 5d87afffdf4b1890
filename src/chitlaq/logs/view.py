"""`chitlaq logs`: the lines of all components in chronological order, across rotated files."""

from __future__ import annotations

import heapq
import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.visible import visible
from chitlaq.inventory import COMPONENTS
from chitlaq.logs import parsing, rotation
from chitlaq.logs.follow import Follower

POLL_SECONDS = 0.2


def pattern(text: str) -> re.Pattern[str]:
    """Compile a case-insensitive regular expression.

    Raises:
        OperatorError: it is invalid.
    """
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise OperatorError(f"{text!r} is not a regular expression: {error}.") from None


def sources(home: Home, services: Sequence[str]) -> list[tuple[Path, str]]:
    """Return the logs of these components, or of all, each with its component.

    Raises:
        OperatorError: there is no such component.
    """
    known = [*COMPONENTS, "supervisor"]
    for service in services:
        if service not in known:
            raise OperatorError(f"There is no component {service}; there are {', '.join(known)}.")
    chosen = services or known
    found = [(home.logs / f"{service}.log", service) for service in chosen]
    return [*found, (home.access_log, "nginx")] if "nginx" in chosen else found


@dataclass(frozen=True, slots=True)
class Entry:
    """One line with its time and component."""

    time: datetime
    service: str
    text: str


class View:
    def __init__(
        self,
        home: Home,
        services: Sequence[str],
        *,
        tail: int | None,
        since: datetime | None,
        pattern: re.Pattern[str] | None,
        errors_only: bool,
        slower_than: float | None,
        is_raw: bool,
        is_coloured: bool,
    ) -> None:
        self._sources = sources(home, services)
        self._is_of_one = len(services) == 1
        self._tail, self._since, self._pattern = tail, since, pattern
        self._errors_only, self._slower_than = errors_only, slower_than
        self._is_raw, self._is_coloured = is_raw, is_coloured

    def lines(self, *, follow: bool) -> Iterator[str]:
        """Yield the selected lines; when following, until interrupted."""
        followed = {path: Follower(path) for path, _ in self._sources} if follow else {}
        streams = [
            self._entries(path, service, followed.get(path)) for path, service in self._sources
        ]
        merged = heapq.merge(*streams, key=lambda entry: entry.time)
        chosen = (entry for entry in merged if self._is_wanted(entry))
        for entry in chosen if self._tail is None else deque(chosen, maxlen=self._tail):
            yield self._rendered(entry)
        while follow:
            for path, service in self._sources:
                for line in followed[path].new_lines():
                    text = line.decode(errors="replace")
                    entry = Entry(parsing.time_of(text) or datetime.now(UTC), service, text)
                    if self._is_wanted(entry):
                        yield self._rendered(entry)
            time.sleep(POLL_SECONDS)

    def _entries(self, path: Path, service: str, followed: Follower | None) -> Iterator[Entry]:
        """Yield a log's lines, oldest first; the follower yields those of the files it has open."""
        for file in rotation.history(path):
            try:
                state = file.stat()
                if followed is not None and followed.has(state):
                    break
                for at, text in parsing.timed(rotation.lines(file), state.st_mtime):
                    yield Entry(at, service, text)
            except FileNotFoundError:
                continue  # rotated away meanwhile
        if followed is not None:
            texts = (line.decode(errors="replace") for line in followed.new_lines())
            for at, text in parsing.timed(texts, followed.written_at):
                yield Entry(at, service, text)

    def _is_wanted(self, entry: Entry) -> bool:
        if self._since is not None and entry.time < self._since:
            return False
        if self._errors_only and not parsing.is_error(entry.text):
            return False
        if (
            self._slower_than is not None
            and (parsing.seconds_of(entry.text) or 0) < self._slower_than
        ):
            return False
        return self._pattern is None or self._pattern.search(entry.text) is not None

    def _rendered(self, entry: Entry) -> str:
        if self._is_raw:
            return visible(entry.text)
        text = parsing.readable(entry.text, is_coloured=self._is_coloured)
        return f"{entry.service:<15} | {text}" if not self._is_of_one else text
