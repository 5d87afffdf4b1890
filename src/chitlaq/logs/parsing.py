"""Parse log lines: their time, level, duration, and a readable form.

Our services and the observers write JSON; PostgreSQL, nginx, Valkey and Barman each write their own
format.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from textwrap import indent
from typing import Any

from chitlaq.core.visible import one_line, visible

LEVEL_COLOURS = {"error": "\x1b[31m", "warning": "\x1b[33m"}
QUIET, PLAIN = "\x1b[2m", "\x1b[0m"

# PostgreSQL's %m, which is in GMT until its configuration is loaded: 2026-11-23 14:24:53.351 UTC
_POSTGRES_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?) (?:UTC|GMT)")
# Barman's lines, in local time: 2026-11-24 17:14:16,043 [6404] barman.server ERROR: …
_BARMAN_TIME = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d),(\d{3}) \[\d+\] ")
# nginx's error log: 2026/11/23 14:24:53, in local time
_NGINX_TIME = re.compile(r"(\d{4})/(\d\d)/(\d\d) (\d\d:\d\d:\d\d)")
# Valkey's: 12:M 2026-11-24T16:49:59.287+00:00 as configured; 12:M 24 Nov 2026 16:49:59.287 in local time
# before the configuration is read; 12:signal-handler (1795539590) from signal handlers.
_VALKEY_TIME = re.compile(
    r"\d+:(?:[A-Z] (?:(\d{4}-\S+)|(\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d:\d\d:\d\d\.\d{3})) "
    r"|signal-handler \((\d+)\) )"
)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
# Up to PostgreSQL's own level, which is the first of a line: another may be in a statement.
_POSTGRES = r"^\S+ \S+ (?:UTC|GMT) \[\d+\](?:(?! [A-Z]+\d?:  ).)* "
# Errors of components that do not write JSON: PostgreSQL, nginx, Barman, Valkey (# is its warning level, also
# used for its last line); then output of programs before their logging is set up, and the last line of a
# traceback.
_ERRORS = re.compile(
    rf"{_POSTGRES}(?:ERROR|FATAL|PANIC):  "
    r"|^\d{4}/\d\d/\d\d \S+ \[(?:error|crit|alert|emerg)\] "
    r"|^nginx: \[(?:error|crit|alert|emerg)\] "
    r"|^\d{4}-\d\d-\d\d \S+ \[\d+\] [\w.]+ (?:ERROR|CRITICAL): "
    r"|^\d+:[A-Z] \S+(?: \w+ \d+ [\d:.]+)? # (?!\w+ is now ready to exit)"
    r"|^(?:[\w.\-]+: )*(?i:error|fatal|fatal error|critical|panic|exception): "
    r"|^(?:\w+\.)*\w*(?:Error|Exception)(?:: |$)"
    r"|^\*\*\* FATAL "
    # Our own commands and PostgreSQL when they exit; Barman forwards its program's output that way.
    r"|^(?:chitlaq|postgres): (?!pg_|\s)"
)
_WARNINGS = re.compile(
    rf"{_POSTGRES}WARNING:  "
    r"|^\d{4}/\d\d/\d\d \S+ \[warn\] "
    r"|^nginx: \[warn\] "
    r"|^\d{4}-\d\d-\d\d \S+ \[\d+\] [\w.]+ WARNING: "
)
_POSTGRES_LOG = re.compile(rf"{_POSTGRES}LOG:  ")
_POSTGRES_DURATION = re.compile(rf"{_POSTGRES}LOG:  duration: ([\d.]+) ms")
# By the beginning of what PostgreSQL says, and of what a service says of it: the rest may be others' words.
_POSTGRES_WAIT = re.compile(
    rf"{_POSTGRES}[A-Z]+:  (?:process \d+ (?:still waiting for|detected deadlock|avoided deadlock)"
    r"|deadlock detected|canceling statement due to)"
)
_WAIT = re.compile(r"(?:deadlock detected|canceling statement due to)")
_RAISED_WAIT = re.compile(rf"^asyncpg\.exceptions\.\w+: {_WAIT.pattern}", re.MULTILINE)


def timed(texts: Iterable[str], written_at: float) -> Iterator[tuple[datetime, str]]:
    """Yield each line of a file with its time.

    A line without one gets the time of the line before it; at the beginning of the file, of the first
    line that has one; and at the end, the time at which the file was last written.

    Args:
        texts: the lines.
        written_at: when the file was last written, in seconds since 1970.
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
    """A line's own timestamp, in any of our components' formats."""
    try:
        stamp = _json_stamp(text) if text.startswith("{") else _stamp(text)
        return datetime.fromisoformat(stamp).astimezone(UTC) if stamp else None
    except (ValueError, OverflowError):
        return None  # It only looks like a timestamp.


def _json_stamp(text: str) -> str:
    fields = _fields(text)
    return str(fields.get("timestamp") or fields.get("time") or fields.get("ts"))


def _stamp(text: str) -> str | None:
    """The timestamp of a line that is not JSON, in ISO format; without a zone it is local time."""
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
    """Whether a line reports an error: level error or above, or an HTTP status of 500 or above."""
    if text.startswith("{"):
        fields = _fields(text)
        return level_of(fields) == "error" or _number(fields.get("status")) >= 500
    return _ERRORS.match(text) is not None


def level_of(fields: dict[str, Any]) -> str:
    """A JSON line's level in our naming; Go's slog writes ``ERROR`` and ``WARN``."""
    level = str(fields.get("level", "")).lower()
    return {"warn": "warning", "fatal": "error", "panic": "error"}.get(level, level)


def level_of_line(text: str) -> str:
    """A line's level, in our naming; empty if it has none."""
    if is_error(text):
        return "error"
    if text.startswith("{"):
        return level_of(_fields(text))
    return "warning" if _WARNINGS.match(text) else ""


def seconds_of(text: str) -> float | None:
    """The duration that a line reports, if any."""
    if text.startswith("{"):
        fields = _fields(text)
        seconds = fields.get("duration_seconds", fields.get("request_time"))
        return None if seconds is None else _number(seconds)
    found = _POSTGRES_DURATION.match(text)
    return float(found[1]) / 1000 if found else None


def is_about_locks(text: str) -> bool:
    """Whether a line says that a statement waited for a lock for long, or was ended for its waiting."""
    if not text.startswith("{"):
        return _POSTGRES_WAIT.match(text) is not None
    fields = _fields(text)
    error, exception = (str(fields.get(name, "")) for name in ("error", "exception"))
    return (_WAIT.match(error) or _RAISED_WAIT.search(exception)) is not None


def is_postgres_log(text: str) -> bool:
    """Whether a line has PostgreSQL's level LOG, at which it tells of connections."""
    return _POSTGRES_LOG.match(text) is not None


def readable(text: str, *, is_coloured: bool) -> str:
    """One line for people: JSON as words, the access log in the combined format, others unchanged.

    What a field says stays on its line and in its colour, whoever wrote it; an exception is indented.
    """
    fields = _fields(text) if text.startswith("{") else {}
    exception = visible(str(fields.pop("exception", "")))
    fields = {one_line(name): _on_one_line(value) for name, value in fields.items()}
    if "remote_addr" in fields:
        try:
            return _combined(fields)
        except (LookupError, TypeError, ValueError):
            return visible(text)  # Not our access log's.
    if "level" in fields and "event" not in fields and ("ts" in fields or "time" in fields):
        # Prometheus, Alertmanager, node-exporter: ts and caller, or with slog time and source. Some
        # lines have no message.
        stamp = fields.pop("ts", None) or fields.pop("time", None)
        fields |= {"event": fields.pop("msg", ""), "timestamp": stamp}
        fields.pop("caller", None)
        fields.pop("source", None)
    if "event" not in fields:
        return visible(text)
    stamp, level = str(fields.pop("timestamp", "")), level_of(fields)
    fields.pop("level", None)
    event, identifier = str(fields.pop("event")), str(fields.pop("request_id", "-"))
    fields.pop("service", None)
    part = fields.pop("part", None)
    details = " ".join(f"{key}={value}" for key, value in fields.items())
    if identifier != "-":
        details += f" request_id={identifier}"
    words = [stamp, f"{level:<7}", f"{part}: {event}" if part else event]
    if is_coloured:
        words = [QUIET + stamp + PLAIN, LEVEL_COLOURS.get(level, "") + words[1] + PLAIN, words[2]]
        details = QUIET + details + PLAIN
    line = " ".join([*words, details]).rstrip()
    return f"{line}\n{indent(exception.rstrip(), '    ')}" if exception else line


def _on_one_line(value: object) -> object:
    return value if isinstance(value, int | float | None) else one_line(str(value))


def _combined(fields: dict[str, Any]) -> str:
    """The combined format, followed by route, seconds and request id."""
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
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
