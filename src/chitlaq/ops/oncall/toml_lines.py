"""On which line of a TOML file a value stands: the parser of the standard library does not say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

Path = tuple[str | int, ...]

_HEADER = re.compile(r"\s*(?P<open>\[\[?)\s*(?P<name>[^\[\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"\s*(?P<name>[\w.\"'-]+(?:\s*\.\s*[\w\"'-]+)*)\s*=")


def lines(text: str) -> Mapping[Path, int]:
    """Return the line, from 1, of each table and each key that begins a line of a valid file."""
    found: dict[Path, int] = {}
    seen: Counter[Path] = Counter()
    table: Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.fullmatch(line):
            table = _within_arrays(_parts(header["name"]), seen)
            if header["open"] == "[[":
                seen[table] += 1
                table = (*table, seen[table] - 1)
            for length in range(1, len(table) + 1):
                found.setdefault(table[:length], number)
        elif key := _KEY.match(line):
            found.setdefault((*table, *_parts(key["name"])), number)
    return found


def line_of(path: Path, known: Mapping[Path, int]) -> int:
    """Return the line of a value, or of the nearest table or key around it."""
    while path and path not in known:
        path = path[:-1]
    return known.get(path, 1)


def _parts(name: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in name.split("."))


def _within_arrays(path: Path, seen: Mapping[Path, int]) -> Path:
    """Add the position of the last element wherever the path goes through an array of tables."""
    made: Path = ()
    for part in path[:-1]:
        made = (*made, part)
        if made in seen:
            made = (*made, seen[made] - 1)
    return (*made, path[-1])
