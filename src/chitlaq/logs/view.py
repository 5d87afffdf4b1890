"""Logs as a person reads them: all components, in the order of time, through rotated files."""

from __future__ import annotations

import heapq
import json
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.inventory import COMPONENTS
from chitlaq.logs import files
from chitlaq.logs.follow import Follower

POLL_SECONDS = 0.2
LEVEL_COLOURS = {"error": "\x1b[31m", "warning": "\x1b[33m"}
QUIET, PLAIN = "\x1b[2m", "\x1b[0m"

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
# PostgreSQL's %m, which is in GMT until its configuration is loaded: 2026-11-23 14:24:53.351 UTC
_POSTGRES_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?) (?:UTC|GMT)")
# Barman's lines, in local time: 2026-11-24 17:14:16,043 [6404] barman.server ERROR: …
_BARMAN_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d),(\d{3}) \[\d+\] ")
# nginx's error log: 2026/11/23 14:24:53, in local time
_NGINX_TIME = re.compile(r"(\d{4})/(\d\d)/(\d\d) (\d\d:\d\d:\d\d)")
# Valkey's: 12:M 2026-11-24T16:49:59.287+00:00, as we set it; 12:M 24 Nov 2026 16:49:59.287, in local
# time, before; 12:signal-handler (1795539590) from where nothing may be formatted.
_VALKEY_TIME = re.compile(
    r"\d+:(?:[A-Z] (?:(\d{4}-\S+)|(\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d:\d\d:\d\d\.\d{3})) "
    r"|signal-handler \((\d+)\) )"
)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
# Levels of those who do not write JSON: PostgreSQL (the first level of a line is its own, another may
# be in a statement), nginx, Barman, Valkey (# is its warning, which it also gives as its last word);
# then what programs say before they know where to log, and the last line of a traceback.
_ERRORS = re.compile(
    r"^\S+ \S+ (?:UTC|GMT) \[\d+\](?:(?! [A-Z]+\d?:  ).)* (?:ERROR|FATAL|PANIC):  "
    r"|^\d{4}/\d\d/\d\d \S+ \[(?:error|crit|alert|emerg)\] "
    r"|^nginx: \[(?:error|crit|alert|emerg)\] "
    r"|^\d{4}-\d\d-\d\d \S+ \[\d+\] [\w.]+ (?:ERROR|CRITICAL): "
    r"|^\d+:[A-Z] \S+(?: \w+ \d+ [\d:.]+)? # (?!\w+ is now ready to exit)"
    r"|^(?:[\w.\-]+: )*(?i:error|fatal|fatal error|critical|panic|exception): "
    r"|^(?:\w+\.)*\w*(?:Error|Exception)(?:: |$)"
    r"|^\*\*\* FATAL "
    # Our own commands and PostgreSQL, when they give up; Barman hands on its program's words that way.
    r"|^(?:chitlaq|postgres): (?!pg_|\s)"
)
_POSTGRES_DURATION = re.compile(r"LOG:  duration: ([\d.]+) ms")


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
        known = [*COMPONENTS, "supervisor"]
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
        followed = {path: Follower(path) for path, _ in sources} if follow else {}
        streams = [self._entries(path, service, followed.get(path)) for path, service in sources]
        merged = heapq.merge(*streams, key=lambda entry: entry.time)
        chosen = (entry for entry in merged if self._is_wanted(entry))
        for entry in chosen if self._tail is None else deque(chosen, maxlen=self._tail):
            yield self._rendered(entry)
        while follow:
            for path, service in sources:
                for line in followed[path].new_lines():
                    text = line.decode(errors="replace")
                    entry = Entry(time_of(text) or datetime.now(UTC), service, text)
                    if self._is_wanted(entry):
                        yield self._rendered(entry)
            time.sleep(POLL_SECONDS)

    def _sources(self) -> list[tuple[Path, str]]:
        sources = [(self._home.logs / f"{service}.log", service) for service in self._services]
        if "nginx" in self._services:
            sources.append((self._home.access_log, "nginx"))
        return sources

    def _entries(self, path: Path, service: str, followed: Follower | None) -> Iterator[Entry]:
        """Yield a log's lines, oldest first; what is followed is read up to where following begins."""
        for file in files.history(path):
            try:
                state = file.stat()
                if followed is not None and followed.has(state):
                    break
                for at, text in timed(files.lines(file), state.st_mtime):
                    yield Entry(at, service, text)
            except FileNotFoundError:
                continue  # rotated away while we looked
        if followed is not None:
            texts = (line.decode(errors="replace") for line in followed.new_lines())
            for at, text in timed(texts, followed.written_at):
                yield Entry(at, service, text)

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


def timed(texts: Iterable[str], written_at: float) -> Iterator[tuple[datetime, str]]:
    """Give each line of a file its time, also those that say none.

    Such a line was written with the one before it; at the file's beginning not after the first one
    that says its time; and at its end, where nothing came after it, when the file was last written to.

    Args:
        texts: the lines.
        written_at: when the file was last written to, in seconds since 1970.
    """
    last: datetime | None = None
    waiting: list[str] = []
    for text in texts:
        at = time_of(text)
        if at is None:
            waiting.append(text)
            continue
        for one in waiting:
            yield last or at, one
        waiting.clear()
        last = at
        yield at, text
    end = datetime.fromtimestamp(written_at, UTC)
    for one in waiting:
        yield max(last or end, end), one


def time_of(text: str) -> datetime | None:
    """When a line says that it was written, in any of the formats that our components use."""
    try:
        stamp = _json_stamp(text) if text.startswith("{") else _stamp(text)
        return datetime.fromisoformat(stamp).astimezone(UTC) if stamp else None
    except (ValueError, OverflowError):
        return None  # it looks like one, and is no time


def _json_stamp(text: str) -> str:
    fields = _fields(text)
    return str(fields.get("timestamp") or fields.get("time") or fields.get("ts"))


def _stamp(text: str) -> str | None:
    """The time of a line that is not JSON, in ISO's words; without a zone it is local time."""
    if found := _POSTGRES_TIME.match(text):
        return f"{found[1]}T{found[2]}+00:00"
    if found := _BARMAN_TIME.match(text):
        return f"{found[1]}T{found[2]}.{found[3]}"
    if found := _NGINX_TIME.match(text):
        return f"{found[1]}-{found[2]}-{found[3]}T{found[4]}"
    if found := _VALKEY_TIME.match(text):
        iso, day, month, year, clock, seconds = found.groups()
        if seconds:
            return datetime.fromtimestamp(int(seconds), UTC).isoformat()
        return iso or f"{year}-{_MONTHS.index(month) + 1:02}-{day}T{clock}"
    return None


def is_error(text: str) -> bool:
    """Whether a line says that something went wrong that should not: 5xx, and the level of errors."""
    if text.startswith("{"):
        fields = _fields(text)
        return level_of(fields) == "error" or _number(fields.get("status")) >= 500
    return _ERRORS.match(text) is not None


def level_of(fields: dict[str, Any]) -> str:
    """A JSON line's level, by our names; newer observers (Go's slog) write ``ERROR`` and ``WARN``."""
    level = str(fields.get("level", "")).lower()
    return {"warn": "warning", "fatal": "error", "panic": "error"}.get(level, level)


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
    if "level" in fields and "event" not in fields and ("ts" in fields or "time" in fields):
        # Prometheus, Alertmanager, node-exporter: ts and caller, or with slog time and source. Some of
        # their lines have no message.
        stamp = fields.pop("ts", None) or fields.pop("time", None)
        fields |= {"event": fields.pop("msg", ""), "timestamp": stamp}
        fields.pop("caller", None)
        fields.pop("source", None)
    if "event" not in fields:
        return text
    stamp, level = str(fields.pop("timestamp", "")), level_of(fields)
    fields.pop("level", None)
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
