"""Group the log lines of a period by pattern: lines that differ only in numbers share a pattern.

A component's log is read up to a size limit, newest part first; the access log up to a time limit. Where
a limit cut the period short, the result says how far back it reaches.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import msgspec

from chitlaq.core.errors import UnknownResult
from chitlaq.core.installation.home import Home
from chitlaq.logs import access, parsing, rotation

READ_BYTES = 12_000_000
"""Limit for each component's log, uncompressed."""
COUNT_SECONDS = 15.0
"""Limit for the access log; 20 MB take 0.06 s."""
MINUTE_SECONDS = 60
BENCHMARK_AGENT = "chitlaq-bench"
"""The user agent of `chitlaq bench --here`, which is counted apart."""
SAMPLE_WIDTH = 300
EDGE = timedelta(minutes=15)
"""A period without requests at its beginning counts as complete up to this long."""

_POSTGRES_HEAD = re.compile(r"^\S+ \S+ (?:UTC|GMT) \[\d+\] .*?(?=[A-Z]+: )")
_BARMAN_HEAD = re.compile(r"^\d{4}-\d\d-\d\d \S+ \[\d+\] [\w.]+ ")
_NGINX_HEAD = re.compile(r"^\d{4}/\d\d/\d\d \S+ (\[\w+\]) \d+#\d+: (?:\*\d+ )?")
_VALKEY_HEAD = re.compile(r"^\d+:[A-Z] \S+(?: \w+ \d+ [\d:.]+)? # ")
_WARNING = re.compile(r'"level": ?"warn', re.IGNORECASE)
_CONNECTION = re.compile(r"connection|disconnect|timed? ?out", re.IGNORECASE)
_TLS = re.compile(r"\bssl|\btls|certificate|handshake", re.IGNORECASE)

_EXPECTED = {
    # A client connected before PostgreSQL had started; yoyo probes for tables that need not exist.
    "postgres": re.compile(
        r"^\S+ \S+ (?:UTC|GMT) \[\d+\] [^:\"]*(?:FATAL:  the database system is starting up"
        r'|ERROR:  table "yoyo_tmp_\w+" does not exist|ERROR:  relation "yoyo_lock" already exists)'
    ),
    # Advice about snapshots; ours writes none.
    "redis": re.compile(_VALKEY_HEAD.pattern + "WARNING Memory overcommit must be enabled"),
}
"""Lines that are logged as errors and are harmless, by component: what others say may hold the same words."""
_OF_CLIENTS = re.compile(r'".*"|, client: .*')
"""The parts of a line of nginx's error log, or of PostgreSQL's, that a client may have chosen."""

_TIMELESS = re.compile(r"^wrote /")
"""Lines that need no time: our own note before each start that a configuration was written."""

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
    """Lines of one pattern: their number, the first and last time, and the last line as a sample.

    ``minutes`` are those, since 1970, in which there was one.
    """

    service: str
    pattern: str
    count: int
    first: datetime
    last: datetime
    sample: str
    minutes: set[int]


_Field = str | list[int | str] | None
"""A journal field: a list of bytes where it is not text, a list of texts where it occurs repeatedly."""


class _Entry(msgspec.Struct):
    """The fields that are read from a journal entry, in the format of `journalctl -o json`."""

    at: str = msgspec.field(name="__REALTIME_TIMESTAMP")
    priority: str = msgspec.field(name="PRIORITY")
    unit: _Field = msgspec.field(name="_SYSTEMD_UNIT", default=None)
    identifier: _Field = msgspec.field(name="SYSLOG_IDENTIFIER", default=None)
    message: _Field = msgspec.field(name="MESSAGE", default=None)


JOURNAL_FIELDS = [one.encode_name for one in msgspec.structs.fields(_Entry)]


@dataclass
class ComponentLog:
    """One component's log over the period: the number of lines, and the notable ones in groups."""

    lines: int = 0
    since: datetime | None = None
    """Where the reading begins, if it does not cover the period."""
    errors: dict[str, Group] = field(default_factory=dict)
    slow: dict[str, Group] = field(default_factory=dict)
    connections: dict[str, Group] = field(default_factory=dict)
    tls: dict[str, Group] = field(default_factory=dict)


@dataclass
class Traffic:
    """The access log over the period."""

    requests: int = 0
    benchmark: int = 0
    """Requests of our own benchmark, which no other figure includes."""
    unread: int = 0
    """Lines of the files that could not be read, so that no figure includes them."""
    first: datetime | None = None
    since: datetime | None = None
    """Where the counting begins, if it does not cover the period."""
    addresses: Counter[str] = field(default_factory=Counter)
    signed_in: Counter[str] = field(default_factory=Counter)
    """Of these, requests with a genuine token."""
    limited: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """What each limit refused, by address. Refused connections are in no other figure."""
    refused_members: Counter[str] = field(default_factory=Counter)
    """Of these, requests with a genuine token, by limit."""
    refused_accounts: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """The accounts that these are of, by limit."""
    refusals: dict[str, Group] = field(default_factory=dict)
    """What each limit refused."""
    statuses: Counter[int] = field(default_factory=Counter)
    failures: dict[str, Group] = field(default_factory=dict)

    def prepend(self, earlier: Traffic) -> None:
        """Add the traffic of an earlier file."""
        self.requests += earlier.requests
        self.benchmark += earlier.benchmark
        self.unread += earlier.unread
        self.first = earlier.first or self.first
        self.addresses.update(earlier.addresses)
        self.signed_in.update(earlier.signed_in)
        for limit, refused in earlier.limited.items():
            self.limited[limit].update(refused)
        self.refused_members.update(earlier.refused_members)
        for limit, accounts in earlier.refused_accounts.items():
            self.refused_accounts[limit] |= accounts
        self.statuses.update(earlier.statuses)
        _prepend(self.failures, earlier.failures)
        _prepend(self.refusals, earlier.refusals)


@dataclass
class Journal:
    """The system's journal over the period, by priority."""

    errors: dict[str, Group] = field(default_factory=dict)
    warnings: dict[str, Group] = field(default_factory=dict)
    first: datetime | None = None
    entries: int = 0


def component(home: Home, service: str, since: datetime, slow_seconds: float) -> ComponentLog:
    """Read one component's log.

    Raises:
        UnknownResult: no line is in a known format, so errors would go unnoticed.
    """
    found = ComponentLog()
    path = home.logs / f"{service}.log"
    is_known = is_empty = True
    for at, text, is_cut in _timed_lines(path, since):
        if is_empty or not is_known:
            is_known = _is_known(text)
        if is_cut and is_empty and at >= since:
            found.since = at
        is_empty = False
        if at < since:
            continue
        found.lines += 1
        if (expected := _EXPECTED.get(service)) and expected.match(text):
            continue
        is_error = parsing.is_error(text)
        if is_error:
            _add(found.errors, service, pattern_of(text), at, text)
        if (parsing.seconds_of(text) or 0) >= slow_seconds or parsing.is_about_locks(text):
            _add(found.slow, service, pattern_of(text), at, text)
        if not (is_error or _WARNING.search(text) or parsing.is_postgres_log(text)):
            continue
        words = pattern_of(text if text.startswith("{") else _OF_CLIENTS.sub("", text))
        if _CONNECTION.search(words):
            _add(found.connections, service, pattern_of(text), at, text)
        if _TLS.search(words):
            _add(found.tls, service, pattern_of(text), at, text)
    if not is_known:
        raise UnknownResult(f"no line of {path} has a timestamp")
    return found


def _is_known(text: str) -> bool:
    is_timed = parsing.time_of(text) is not None
    return is_timed or parsing.is_error(text) or _TIMELESS.match(text) is not None


def traffic(home: Home, since: datetime, keep_files: int) -> Traffic:
    """Count nginx's access log, newest file first, until `COUNT_SECONDS` are over.

    Args:
        home: the installation.
        since: the beginning of the period.
        keep_files: how many rotated files are kept.
    """
    found = Traffic()
    deadline = monotonic() + COUNT_SECONDS
    with access.opened(home, since, keep_files) as (files, is_incomplete):
        is_cut = is_incomplete
        for lines in files:
            counted = _counted(lines, since, deadline)
            if counted is None:
                is_cut = True
                break
            found.prepend(counted)
    if is_cut and (found.first is None or found.first > since + EDGE):
        found.since = found.first or datetime.now(UTC)
    return found


def _counted(lines: Iterable[bytes], since: datetime, deadline: float) -> Traffic | None:
    """Count one file; None if the deadline passed, since half a file covers no definite period."""
    found = Traffic()
    read = access.reader(access.Access)
    for number, text in enumerate(lines):
        if number % 10_000 == 0 and monotonic() > deadline:
            return None
        line = read(text)
        if line is None:
            found.unread += 1
            continue
        if found.first is None:
            found.first = line.time
        if line.time < since:
            continue
        if access.is_probe(line.remote_addr, line.user_agent):
            continue
        if line.user_agent == BENCHMARK_AGENT:
            found.benchmark += 1
            continue
        if line.limit:
            _add(found.refusals, "nginx", line.limit, line.time, "")
            found.limited[line.limit][line.remote_addr] += 1
            found.refused_members[line.limit] += line.is_signed_in
            if line.refused_account:
                found.refused_accounts[line.limit].add(line.refused_account)
        if not line.method:
            continue  # a refused connection
        found.requests += 1
        found.signed_in[line.remote_addr] += line.is_signed_in
        found.addresses[line.remote_addr] += 1
        found.statuses[line.status] += 1
        if line.status >= 400:
            words = f"{line.status} {line.method} {line.route}"
            _add(found.failures, "nginx", words, line.time, text.decode(errors="replace"))
    return found


def journal(lines: Iterable[str]) -> Journal:
    """Group the journal's entries of warning priority and above, one JSON object per line, oldest first.

    Raises:
        msgspec.DecodeError: a line is not in the journal's format.
    """
    found = Journal()
    decode = msgspec.json.Decoder(_Entry).decode
    for line in lines:
        entry = decode(line)
        at = datetime.fromtimestamp(int(entry.at) / 1e6, UTC)
        found.first = found.first or at
        found.entries += 1
        source = _text(entry.identifier) or _text(entry.unit) or "unknown"
        said = _text(entry.message) or "(not printable)"
        groups = found.warnings if entry.priority == "4" else found.errors
        _add(groups, "journal", f"{source}: {pattern_of(said)}", at, said)
    return found


def _text(value: _Field) -> str:
    if not isinstance(value, list):
        return value or ""
    letters = bytes(one for one in value if isinstance(one, int)).decode(errors="replace")
    return letters or " ".join(one for one in value if isinstance(one, str))


def _timed_lines(path: Path, since: datetime) -> Iterator[tuple[datetime, str, bool]]:
    """Yield (time, line, whether older lines were skipped for the limit), oldest first."""
    for file, is_cut in _files(path, since):
        with suppress(FileNotFoundError):  # rotated away meanwhile
            state = file.stat()
            texts = _tail(file) if _is_long(file, state.st_size) else rotation.lines(file)
            for at, text in parsing.timed(texts, state.st_mtime):
                yield at, text, is_cut


def _files(path: Path, since: datetime) -> list[tuple[Path, bool]]:
    """The files to read, oldest first, each with whether lines before it are skipped."""
    files: list[tuple[Path, bool]] = []
    room = READ_BYTES
    is_cut = False
    for file in reversed(rotation.history(path)):
        try:
            state = file.stat()
        except FileNotFoundError:
            continue  # rotated away meanwhile
        if state.st_mtime < since.timestamp():
            break
        # Lines of JSON shrink to about a tenth.
        size = state.st_size * (10 if file.suffix == ".gz" else 1)
        if files and size > room:
            is_cut = True
            break
        files.append((file, _is_long(file, state.st_size)))
        room -= size
    return [(file, is_cut or is_long) for file, is_long in reversed(files)]


def _is_long(file: Path, size: int) -> bool:
    return file.suffix != ".gz" and size > READ_BYTES


def _tail(file: Path) -> Iterator[str]:
    with file.open("rb") as log:
        log.seek(-READ_BYTES, os.SEEK_END)
        log.readline()
        for line in log:
            yield line.decode(errors="replace").rstrip("\n")


def _add(groups: dict[str, Group], service: str, pattern: str, at: datetime, text: str) -> None:
    group = groups.get(pattern)
    if group is None:
        group = groups[pattern] = Group(service, pattern, 0, at, at, "", set())
    group.count += 1
    group.last, group.sample = at, text[:SAMPLE_WIDTH]
    group.minutes.add(int(at.timestamp() // MINUTE_SECONDS))


def _prepend(groups: dict[str, Group], earlier: dict[str, Group]) -> None:
    """Add the groups of an earlier file."""
    for pattern, group in earlier.items():
        later = groups.setdefault(pattern, group)
        if later is not group:
            later.count += group.count
            later.first = group.first
            later.minutes |= group.minutes


class _Line(msgspec.Struct):
    """The fields that make the pattern of a JSON line, in our naming and in that of the observers."""

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
    """Return a line without its variable parts: times, numbers, ids, addresses, paths."""
    if text.startswith("{"):
        try:
            line = msgspec.json.decode(text, type=_Line)
        except (msgspec.DecodeError, RecursionError):
            return _generalised(text)
        fault = line.exception.strip().rpartition("\n")[2]
        request = f"{line.status} {line.method} {line.route}" if line.route else ""
        words = (line.part, line.event or line.msg, line.query, request)
        reason = _generalised(line.error or line.err or fault)
        return ": ".join(word for word in (*words, reason) if word)
    for head in (_POSTGRES_HEAD, _BARMAN_HEAD, _NGINX_HEAD, _VALKEY_HEAD):
        text = head.sub(r"\1 " if head is _NGINX_HEAD else "", text, count=1)
    return _generalised(text)


def _generalised(text: str) -> str:
    for found, placeholder in _PLACEHOLDERS:
        text = found.sub(placeholder, text)
    return text[:SAMPLE_WIDTH]
