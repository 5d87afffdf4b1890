"""Logs as a person reads them: all components, in the order of time, through rotated files."""

from __future__ import annotations

import heapq
import json
import re
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from chitlaq.core.errors import OperatorError
from chitlaq.core.home import Home
from chitlaq.stack import logfiles
from chitlaq.stack.components import NAMES

POLL_SECONDS = 0.2
LEVEL_COLOURS = {"error": "\x1b[31m", "warning": "\x1b[33m"}
QUIET, PLAIN = "\x1b[2m", "\x1b[0m"

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
# PostgreSQL's %m: 2026-11-23 14:24:53.351 UTC
_POSTGRES_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?) UTC")
# Levels of those who do not write JSON: PostgreSQL, nginx's error log, Valkey (# is its warning).
_ERRORS = re.compile(
    r"^\S+ \S+ UTC \[\d+\].*? (?:ERROR|FATAL|PANIC): "
    r"|^\d{4}/\d\d/\d\d \S+ \[(?:error|crit|alert|emerg)\] "
    r"|^\d+:[A-Z] .{20,26} # "
)
_POSTGRES_DURATION = re.compile(r"LOG:  duration: ([\d.]+) ms")
# nginx's error log: 2026/11/23 14:24:53, in local time
_NGINX_TIME = re.compile(r"(\d{4})/(\d\d)/(\d\d) (\d\d:\d\d:\d\d)")


def moment(text: str) -> datetime:
    """Read ``10m``, ``2h``, ``1d`` (ago) or an ISO time.

    Raises:
        OperatorError: it is neither.
    """
    short = re.fullmatch(r"(\d+)([smhd])", text.strip())
    if short:
        return datetime.now(UTC) - timedelta(**{_UNITS[short[2]]: int(short[1])})
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        raise OperatorError(
            f"{text!r} is no time: write 10m, 2h, 1d or 2026-01-31T09:00."
        ) from None


def pattern(text: str) -> re.Pattern[str]:
    """Read a regular expression; upper and lower case are the same.

    Raises:
        OperatorError: it is not one.
    """
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as error:
        raise OperatorError(f"{text!r} is no regular expression: {error}.") from None


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: when it was written, by whom, and as it stands in the file."""

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
        known = [*NAMES, "supervisor"]
        for service in services:
            if service not in known:
                raise OperatorError(
                    f"There is no component {service}; there are {', '.join(known)}."
                )
        self._services = list(services) or known
        self._home = home
        self._tail, self._since, self._pattern = tail, since, pattern
        self._errors_only, self._slower_than = errors_only, slower_than
        self._is_raw, self._is_coloured = is_raw, is_coloured

    def lines(self, *, follow: bool) -> Iterator[str]:
        """Yield the lines that were asked for; when following, until interrupted."""
        sources = self._sources()
        ends = {path: _size(path) for path, _ in sources} if follow else {}
        streams = [self._entries(path, service) for path, service in sources]
        merged = heapq.merge(*streams, key=lambda entry: entry.time)
        chosen = (entry for entry in merged if self._is_wanted(entry))
        for entry in chosen if self._tail is None else deque(chosen, maxlen=self._tail):
            yield self._rendered(entry)
        if follow:
            yield from self._follow(dict(sources), ends)

    def _sources(self) -> list[tuple[Path, str]]:
        sources = [(self._home.logs / f"{service}.log", service) for service in self._services]
        if "nginx" in self._services:
            sources.append((self._home.access_log, "nginx"))
        return sources

    def _entries(self, path: Path, service: str) -> Iterator[Entry]:
        """Yield a log's lines, oldest first; a line without a time belongs to the one before."""
        last = datetime.min.replace(tzinfo=UTC)
        for file in logfiles.history(path):
            try:
                for text in logfiles.lines(file):
                    last = time_of(text) or last
                    yield Entry(last, service, text)
            except FileNotFoundError:
                continue  # rotated away while we looked

    def _follow(self, sources: dict[Path, str], ends: dict[Path, int]) -> Iterator[str]:
        while True:
            for path, service in sources.items():
                size = _size(path)
                if size < ends[path]:
                    ends[path] = 0  # a new file after a rotation
                if size == ends[path]:
                    continue
                with path.open("rb") as file:
                    file.seek(ends[path])
                    data = file.read()
                whole = data[: data.rfind(b"\n") + 1]
                ends[path] += len(whole)
                for text in whole.decode(errors="replace").splitlines():
                    entry = Entry(time_of(text) or datetime.now(UTC), service, text)
                    if self._is_wanted(entry):
                        yield self._rendered(entry)
            time.sleep(POLL_SECONDS)

    def _is_wanted(self, entry: Entry) -> bool:
        if self._since is not None and entry.time < self._since:
            return False
        if self._errors_only and not is_error(entry.text):
            return False
        if self._slower_than is not None and (seconds_of(entry.text) or 0) < self._slower_than:
            return False
        return self._pattern is None or self._pattern.search(entry.text) is not None

    def _rendered(self, entry: Entry) -> str:
        if self._is_raw:
            return entry.text
        text = readable(entry.text, is_coloured=self._is_coloured)
        return f"{entry.service:<15} | {text}" if len(self._services) > 1 else text


def time_of(text: str) -> datetime | None:
    """When a line says that it was written, in any of the formats that our components use."""
    if text.startswith("{"):
        fields = _fields(text)
        stamp = fields.get("timestamp") or fields.get("time") or fields.get("ts")
        try:
            return datetime.fromisoformat(str(stamp)).astimezone(UTC)
        except ValueError:
            return None
    if found := _POSTGRES_TIME.match(text):
        return datetime.fromisoformat(f"{found[1]}T{found[2]}+00:00")
    if found := _NGINX_TIME.match(text):
        return datetime.fromisoformat(f"{found[1]}-{found[2]}-{found[3]}T{found[4]}").astimezone(
            UTC
        )
    return None


def is_error(text: str) -> bool:
    """Whether a line says that something went wrong that should not: 5xx, and the level of errors."""
    if text.startswith("{"):
        fields = _fields(text)
        return fields.get("level") == "error" or _number(fields.get("status")) >= 500
    return _ERRORS.match(text) is not None


def seconds_of(text: str) -> float | None:
    """How long what a line tells of took, where it says so."""
    if text.startswith("{"):
        fields = _fields(text)
        seconds = fields.get("duration_seconds", fields.get("request_time"))
        return None if seconds is None else _number(seconds)
    found = _POSTGRES_DURATION.search(text)
    return float(found[1]) / 1000 if found else None


def readable(text: str, *, is_coloured: bool) -> str:
    """One line for people: ours as words, the access log as web servers write it, others as is."""
    fields = _fields(text) if text.startswith("{") else {}
    if "remote_addr" in fields:
        return _combined(fields)
    if "msg" in fields and "ts" in fields:  # Prometheus, Alertmanager, node-exporter
        fields |= {"event": fields.pop("msg"), "timestamp": fields.pop("ts")}
        fields.pop("caller", None)
    if "event" not in fields:
        return text
    stamp, level = str(fields.pop("timestamp", "")), str(fields.pop("level", ""))
    event, identifier = str(fields.pop("event")), str(fields.pop("request_id", "-"))
    fields.pop("service", None)
    part = fields.pop("part", None)
    exception = fields.pop("exception", "")
    details = " ".join(f"{key}={value}" for key, value in fields.items())
    if identifier != "-":
        details += f" request_id={identifier}"
    words = [stamp, f"{level:<7}", f"{part}: {event}" if part else event]
    if is_coloured:
        words = [QUIET + stamp + PLAIN, LEVEL_COLOURS.get(level, "") + words[1] + PLAIN, words[2]]
        details = QUIET + details + PLAIN
    return " ".join([*words, details]).rstrip() + (f"\n{exception}".rstrip() if exception else "")


def _combined(fields: dict[str, Any]) -> str:
    """The access log's line in the combined format, with route, seconds and request id behind."""
    when = datetime.fromisoformat(fields["time"]).strftime("%d/%b/%Y:%H:%M:%S %z")
    return (
        f'{fields["remote_addr"]} - - [{when}] "{fields["method"]} {fields["uri"]}'
        f' {fields["protocol"]}" {fields["status"]} {fields["bytes_sent"]}'
        f' "{fields["referer"] or "-"}" "{fields["user_agent"] or "-"}"'
        f" {fields['request_time']:.3f} {fields['route']} {fields['request_id']}"
    )


def _fields(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
