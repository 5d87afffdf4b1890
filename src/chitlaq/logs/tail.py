"""The newest lines of all logs, and those written since: in bounded time, for the console.

`chitlaq logs` reads everything; this reads only the ends of files. What follows continues from positions
that the caller keeps, so that nothing is kept here between two calls.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Annotated, Literal

import msgspec

from chitlaq.core.formatting import size
from chitlaq.core.installation.home import Home
from chitlaq.logs import parsing, view
from chitlaq.logs.follow import Follower

END_BYTES = 500_000
"""How much of the end of each log is read; for a text, which is looked for further back, `SEARCH_BYTES`."""
SEARCH_BYTES = 4_000_000
FOLLOW_BYTES = 2_000_000
"""A log that has grown by more since the last look is continued at its end."""
LINE_CHARACTERS = 2000

Level = Literal["all", "warning", "error"]

# The time and the level at the beginning of a readable line, which stand apart.
_BEGINNING = re.compile(r"\d{4}-\d\d-\d\dT\S+ \w* +")

Positions = dict[str, dict[str, Annotated[int, msgspec.Meta(ge=0)]]]
"""Where each log was read to: by the file's name, then as `Follower.positions`."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines: at least of a level, of one component or of all, and containing a text."""

    level: Level = "all"
    service: str = ""
    text: str = ""

    def has(self, line: str) -> bool:
        if self.text and self.text.lower() not in line.lower():
            return False
        if self.level == "all":
            return True
        levels = {"error"} if self.level == "error" else {"error", "warning"}
        return parsing.level_of_line(line) in levels


class Line(msgspec.Struct, frozen=True):
    """A line of a log; every character of its text is visible, and there are at most `LINE_CHARACTERS`."""

    at: datetime
    service: str
    level: str
    text: str


@dataclass(slots=True)
class Lines:
    """Lines in the order of their times, where each log was read to, and what was not read."""

    lines: list[Line]
    positions: Positions = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)


def newest(home: Home, wanted: Wanted, count: int, seconds: float) -> Lines:
    """Return the newest lines that are wanted.

    Args:
        home: the installation.
        wanted: which lines.
        count: at most so many.
        seconds: after which logs that were not read yet are left out, and named in ``unread``.

    Raises:
        OperatorError: there is no such component.
    """
    found, until = Lines([]), monotonic() + seconds
    depth = SEARCH_BYTES if wanted.text else END_BYTES
    for path, service in view.sources(home, [wanted.service] if wanted.service else []):
        if monotonic() > until:
            found.unread.append(f"{path.name}: no time was left")
            continue
        try:
            follower = Follower(path, is_from_end=True)
            positions, written_at = follower.positions, follower.written_at
            follower.close()
            # What is written from now on comes with `since`.
            texts = _end(path, next(iter(positions.values()), 0), depth)
            timed = parsing.timed(texts, written_at)
            # Lines without a time take that of a neighbour, so all are read before any is chosen.
            chosen = (one for one in timed if wanted.has(one[1]))
            found.lines += [_line(at, service, text) for at, text in deque(chosen, maxlen=count)]
            found.positions[path.name] = positions
        except OSError as error:
            found.unread.append(f"{path.name}: {error.strerror}")
    found.lines = sorted(found.lines, key=lambda line: line.at)[-count:]
    return found


def since(home: Home, wanted: Wanted, positions: Positions, count: int) -> Lines:
    """Return the newest lines since these positions; arguments and errors as of `newest`."""
    found = Lines([])
    for path, service in view.sources(home, [wanted.service] if wanted.service else []):
        try:
            follower = Follower(path, positions=positions.get(path.name))
            if follower.waiting_bytes > FOLLOW_BYTES:
                found.unread.append(f"{path.name}: {size(follower.waiting_bytes)} at once")
                follower.skip()
            texts = [line.decode(errors="replace") for line in follower.new_lines()]
            found.positions[path.name] = follower.positions
            follower.close()
        except OSError as error:
            found.unread.append(f"{path.name}: {error.strerror}")
            continue
        now = datetime.now(UTC).timestamp()
        chosen = (one for one in parsing.timed(texts, now) if wanted.has(one[1]))
        found.lines += [_line(at, service, text) for at, text in deque(chosen, maxlen=count)]
    found.lines = sorted(found.lines, key=lambda line: line.at)[-count:]
    return found


def _end(path: Path, end: int, depth: int) -> Iterator[str]:
    """Yield the whole lines of a log in the ``depth`` bytes before ``end``, which is of its current file."""
    before = path.with_name(path.name + ".1")
    if depth > end and before.exists():
        yield from _block(before, before.stat().st_size, depth - end)
    if end:
        yield from _block(path, end, depth)


def _block(path: Path, end: int, depth: int) -> Iterable[str]:
    start = max(0, end - depth)
    with path.open("rb") as file:
        file.seek(start)
        if start:
            file.readline()  # The rest of a line.
        while file.tell() < end and (line := file.readline()):
            yield line.rstrip(b"\n").decode(errors="replace")


def _line(at: datetime, service: str, text: str) -> Line:
    words = parsing.readable(text, is_coloured=False)
    if text.startswith("{"):
        words = _BEGINNING.sub("", words, count=1)
    if len(words) > LINE_CHARACTERS:
        words = words[:LINE_CHARACTERS] + " …"
    return Line(at, service, parsing.level_of_line(text), words)
