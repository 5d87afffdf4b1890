"""Queries in ``queries.sql`` (PostgreSQL) or ``sqlite.sql`` beside the code that uses them.

Each begins with ``-- name: NAME``, or ``-- name: NAME (prepared)``, and a sentence on what it gives.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from typing import NamedTuple

# A job that is due at once, of a kind that the statement names.
_NEW_JOB = re.compile(
    r"INSERT INTO jobs\.jobs \(kind, payload, request_id\)\s+(?:SELECT|VALUES \()\s*'(?P<kind>\w+)'"
)
_NAME_LINE = re.compile(r"^-- name: (?P<name>\w+)(?P<prepared> \(prepared\))?$", re.MULTILINE)


class NamedQuery(NamedTuple):
    """A statement without its comments and its final semicolon."""

    name: str
    sql: str
    is_prepared: bool

    @property
    def job_kinds(self) -> frozenset[str]:
        """The kinds of jobs that it writes and that are due at once."""
        return frozenset(found["kind"] for found in _NEW_JOB.finditer(self.sql))


def load(*packages: str, file_name: str = "queries.sql") -> Iterator[NamedQuery]:
    """Yield the queries of these packages, where they have such a file.

    Raises:
        ValueError: two queries share a name.
    """
    known: set[str] = set()
    for package in packages:
        file = resources.files(package).joinpath(file_name)
        for query in _parsed(file.read_text()) if file.is_file() else ():
            if query.name in known:
                raise ValueError(f"{package}: two queries are named {query.name}")
            known.add(query.name)
            yield query


def _parsed(text: str) -> Iterator[NamedQuery]:
    marks = list(_NAME_LINE.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    for mark, end in zip(marks, ends, strict=False):
        body = text[mark.end() : end]
        lines = [line for line in body.splitlines() if line.strip() and not line.startswith("--")]
        yield NamedQuery(mark["name"], "\n".join(lines).rstrip(";"), mark["prepared"] is not None)
