"""What the logs of a time say, in groups: the same words with other numbers are one pattern.

Only so much of each log is read, its newest part first, and how far back that reached is said.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from chitlaq.core.home import Home
from chitlaq.stack import logfiles, logview

READ_BYTES = 12_000_000
"""Of each log, before compression: about 35,000 lines of the access log."""
SAMPLE_WIDTH = 300

_POSTGRES_HEAD = re.compile(r"^\S+ \S+ UTC \[\d+\] .*?(?=[A-Z]+: )")
_NGINX_HEAD = re.compile(r"^\d{4}/\d\d/\d\d \S+ (\[\w+\]) \d+#\d+: (?:\*\d+ )?")
_VALKEY_HEAD = re.compile(r"^\d+:[A-Z] .{20,26} # ")
_WARNING = re.compile(r'"level": ?"warn')
_CONNECTION = re.compile(r"connection|disconnect|timed? ?out", re.IGNORECASE)
_TLS = re.compile(r"\bssl|\btls|certificate|handshake", re.IGNORECASE)
_WAIT_FOR_LOCK = re.compile(r"still waiting for|deadlock|canceling statement due to", re.IGNORECASE)

_EXPECTED = re.compile(
    # Somebody asked before PostgreSQL had started; and yoyo tries for a table that need not be there.
    r"FATAL:  the database system is starting up"
    r"|table \"yoyo_tmp_\w+\" does not exist|relation \"yoyo_lock\" already exists"
)
"""What is logged as an error and is none: each with its reason here."""

_PLACEHOLDERS = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{16,}\b"), "<id>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "<address>"),
    (re.compile(r'"[^"]*"'), '"…"'),
    (re.compile(r"'[^']*'"), "'…'"),
    (re.compile(r"(?:/[\w.\-]+){2,}"), "<path>"),
    (re.compile(r"\b\d+(?:\.\d+)?\b"), "<n>"),
)


class Group(msgspec.Struct):
    """Lines of one pattern: how many, when first and last, and the last of them."""

    service: str
    pattern: str
    count: int
    first: datetime
    last: datetime
    sample: str


class _Access(msgspec.Struct):
    """What is read of a line of the access log."""

    time: datetime
    remote_addr: str
    status: int
    method: str
    route: str
    request_time: float


@dataclass
class Component:
    """One component's log over the time: its lines, and those worth a look in groups."""

    lines: int = 0
    since: datetime | None = None
    """The first line that was read, where not all of the time was."""
    errors: dict[str, Group] = field(default_factory=dict)
    slow: dict[str, Group] = field(default_factory=dict)
    connections: dict[str, Group] = field(default_factory=dict)
    tls: dict[str, Group] = field(default_factory=dict)


@dataclass
class Traffic:
    """The access log over the time."""

    requests: int = 0
    since: datetime | None = None
    addresses: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: dict[str, Group] = field(default_factory=dict)


def component(home: Home, service: str, since: datetime, slow_seconds: float) -> Component:
    """Read one component's log."""
    found = Component()
    last = since
    is_wanted = False
    for text, is_cut in _lines(home.logs / f"{service}.log", since):
        at = logview.time_of(text)
        if at is not None:
            last, is_wanted = at, at >= since
            if is_cut and found.since is None:
                found.since = at
        # A line without a time (a traceback's) belongs to the one before it.
        if not is_wanted or at is None:
            continue
        found.lines += 1
        if _EXPECTED.search(text):
            continue
        if logview.is_error(text):
            _add(found.errors, service, pattern_of(text), last, text)
        if (logview.seconds_of(text) or 0) >= slow_seconds or _WAIT_FOR_LOCK.search(text):
            _add(found.slow, service, pattern_of(text), last, text)
        is_worth = logview.is_error(text) or _WARNING.search(text) or "LOG:" in text
        if is_worth and _CONNECTION.search(text):
            _add(found.connections, service, pattern_of(text), last, text)
        if is_worth and _TLS.search(text):
            _add(found.tls, service, pattern_of(text), last, text)
    return found


def traffic(home: Home, since: datetime) -> Traffic:
    """Read nginx's access log."""
    found = Traffic()
    decoder = msgspec.json.Decoder(_Access)
    for text, is_cut in _lines(home.access_log, since):
        try:
            line = decoder.decode(text)
        except msgspec.DecodeError:
            continue
        if line.time < since:
            continue
        if is_cut and found.since is None:
            found.since = line.time
        found.requests += 1
        found.addresses[line.remote_addr] += 1
        found.statuses[line.status] += 1
        if line.status >= 400:
            words = f"{line.status} {line.method} {line.route}"
            _add(found.failures, "nginx", words, line.time, text)
    return found


def _lines(path: Path, since: datetime) -> Iterator[tuple[str, bool]]:
    """Yield lines, oldest first, with whether older ones were left out for their number."""
    files: list[Path] = []
    room = READ_BYTES
    is_cut = False
    for file in reversed(logfiles.history(path)):
        try:
            state = file.stat()
        except FileNotFoundError:
            continue  # rotated away while we looked
        if state.st_mtime < since.timestamp():
            break
        # Lines of JSON shrink to about a tenth.
        size = state.st_size * (10 if file.suffix == ".gz" else 1)
        if files and size > room:
            is_cut = True
            break
        files.append(file)
        room -= size
    for file in reversed(files):
        try:
            is_long = file.suffix != ".gz" and file.stat().st_size > READ_BYTES
            for text in _tail(file) if is_long else logfiles.lines(file):
                yield text, is_cut or is_long
        except FileNotFoundError:
            continue


def _tail(file: Path) -> Iterator[str]:
    with file.open("rb") as log:
        log.seek(-READ_BYTES, os.SEEK_END)
        log.readline()
        for line in log:
            yield line.decode(errors="replace").rstrip("\n")


def _add(groups: dict[str, Group], service: str, pattern: str, at: datetime, text: str) -> None:
    group = groups.get(pattern)
    if group is None:
        groups[pattern] = Group(service, pattern, 1, at, at, text[:SAMPLE_WIDTH])
    else:
        group.count += 1
        group.last, group.sample = at, text[:SAMPLE_WIDTH]


class _Line(msgspec.Struct):
    """What makes the pattern of a JSON line; others' names for the same beside ours."""

    event: str = ""
    msg: str = ""
    part: str = ""
    error: str = ""
    err: str = ""
    exception: str = ""
    query: str = ""
    method: str = ""
    route: str = ""
    status: int = 0


def pattern_of(text: str) -> str:
    """Return a line's words without what differs from one time to the next."""
    if text.startswith("{"):
        try:
            line = msgspec.json.decode(text, type=_Line)
        except msgspec.DecodeError:
            return _generalised(text)
        fault = line.exception.strip().rpartition("\n")[2]
        request = f"{line.status} {line.method} {line.route}" if line.route else ""
        words = (line.part, line.event or line.msg, line.query, request)
        reason = _generalised(line.error or line.err or fault)
        return ": ".join(word for word in (*words, reason) if word)
    for head in (_POSTGRES_HEAD, _NGINX_HEAD, _VALKEY_HEAD):
        text = head.sub(r"\1 " if head is _NGINX_HEAD else "", text, count=1)
    return _generalised(text)


def _generalised(text: str) -> str:
    for found, placeholder in _PLACEHOLDERS:
        text = found.sub(placeholder, text)
    return text[:SAMPLE_WIDTH]
