"""JSON lines on a service's standard output, in one schema, with the current request id.

A line has ``timestamp``, ``level``, ``service``, ``event``, ``request_id``, ``part`` (of the program),
then the event's own fields. structlog does the same but adds 0.2 s and 8 MB to each process's start.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import re
import secrets
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from urllib.parse import quote

import msgspec

from chitlaq.core.visible import visible

_request_id: ContextVar[str] = ContextVar("request_id", default="-")
_slow_seconds = 0.5
_service = "chitlaq"
_hidden: tuple[bytes, ...] = ()
# In nginx's error log: a query may have a token or what somebody searches for. A long line has no end.
_query = re.compile(
    rb'((?:request|upstream|referrer): "[^"?\n]*\?).*?(?=(?: HTTP/[\d.]+)?"(?:, |$)|$)',
    re.MULTILINE,
)
# A shorter one would be found in words that mean something else.
SHORTEST_HIDDEN = 6

# A command's standard output is its result; only a service's is its log.
_descriptor = 2

count_line: Callable[[str], None] = lambda _level: None  # noqa: E731
"""Called with the level of each line; set by a process that keeps metrics."""


class Logger:
    """Writes events of one part of the program; fields are what a reader may filter by."""

    def __init__(self, part: str) -> None:
        self._part = part

    def info(self, event: str, **fields: object) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, *, fault: BaseException | None = None, **fields: object) -> None:
        """Log an error; ``fault`` adds its traceback."""
        if fault is not None:
            fields["exception"] = "".join(traceback.format_exception(fault))
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        count_line(level)
        line = {
            "timestamp": datetime.now(UTC),
            "level": level,
            "service": _service,
            "event": event,
            "request_id": _request_id.get(),
            "part": self._part,
            **fields,
        }
        # One write per line: lines of several processes do not mix, and a kill loses none.
        try:
            encoded = msgspec.json.encode(line, enc_hook=str)
        except UnicodeEncodeError:  # A lone surrogate, as in a file name that is not UTF-8.
            encoded = msgspec.json.encode({key: _readable(value) for key, value in line.items()})
        if not encoded.isascii() or b"\x7f" in encoded:
            encoded = visible(encoded.decode()).encode()
        os.write(_descriptor, redacted(encoded) + b"\n")


def hide(secrets: Iterable[str]) -> None:
    """Replace these secrets by stars in whatever this process logs.

    As written, and as they stand in URLs, in Python's texts, in JSON of all these, and in base64, in which
    mail and web servers get passwords and some repeat them.
    """
    global _hidden  # noqa: PLW0603 - one for the process, as its log is
    _hidden = _forms_of(secrets)


def hide_also(secrets: Iterable[str]) -> None:
    """Hide these secrets besides those that are hidden."""
    global _hidden  # noqa: PLW0603
    _hidden = tuple(sorted({*_hidden, *_forms_of(secrets)}, key=len, reverse=True))


def _forms_of(secrets: Iterable[str]) -> tuple[bytes, ...]:
    """Return all forms of secrets, longest first."""
    forms: set[str] = set()
    for secret in secrets:
        if len(secret) >= SHORTEST_HIDDEN:
            written = {secret, repr(secret)[1:-1], quote(secret), quote(secret, safe="")}
            forms |= written
            forms |= {
                json.dumps(one, ensure_ascii=is_ascii)[1:-1]
                for one in written
                for is_ascii in (True, False)
            }
            forms |= set(_in_base64(secret.encode(errors="surrogateescape")))
    encoded = (form.encode(errors="surrogateescape") for form in forms)
    return tuple(sorted(encoded, key=len, reverse=True))


def _in_base64(secret: bytes) -> Iterator[str]:
    """Yield what a secret becomes in base64 wherever it begins in the encoded text.

    Without the digits at its ends that depend on what stands beside it.
    """
    for before in range(3):
        first = -(-before * 8 // 6)
        last = (before + len(secret)) * 8 // 6
        digits = base64.b64encode(bytes(before) + secret)[first:last].decode()
        if len(digits) >= SHORTEST_HIDDEN:
            yield digits
            yield digits.replace("+", "-").replace("/", "_")


def redacted(lines: bytes) -> bytes:
    """Return lines of a log without the secrets that `hide` named, and without the queries of requests."""
    if b'request: "' in lines:
        lines = _query.sub(rb"\1********", lines)
    for secret in _hidden:
        if secret in lines:
            lines = lines.replace(secret, b"********")
    return lines


def _readable(value: object) -> object:
    if isinstance(value, int | float | datetime | None):
        return value
    return str(value).encode(errors="backslashreplace").decode()


def get(part: str) -> Logger:
    return Logger(part)


def request_id() -> str:
    """The id of the current request, event or task: 32 hex digits, or ``-`` outside of any."""
    return _request_id.get()


def new_request_id() -> str:
    return secrets.token_hex(16)


def begin_request(identifier: str) -> None:
    """Use this request id until the task ends; each request is its own task."""
    _request_id.set(identifier)


@contextlib.contextmanager
def request_context(identifier: str) -> Iterator[None]:
    """Log, query and publish under this request id inside the block."""
    token = _request_id.set(identifier)
    try:
        yield
    finally:
        _request_id.reset(token)


def configure(service: str, slow_seconds: float) -> None:
    """Log as a service: name it in each line, and log the libraries' warnings in our schema."""
    global _slow_seconds, _service, _descriptor  # noqa: PLW0603 - set once, before anything is logged
    _slow_seconds = slow_seconds
    _service = service
    _descriptor = 1
    logging.basicConfig(handlers=[_LibraryHandler()], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught


def _log_uncaught(
    _kind: type[BaseException], fault: BaseException, _trace: TracebackType | None
) -> None:
    get("process").error("process ended by an exception", fault=fault)


def is_slow(seconds: float) -> bool:
    return seconds >= _slow_seconds


class _LibraryHandler(logging.Handler):
    """Logs what libraries log through the standard module, in our schema."""

    def emit(self, record: logging.LogRecord) -> None:
        log = Logger(record.name)
        if record.levelno >= logging.ERROR:
            log.error(record.getMessage(), fault=record.exc_info[1] if record.exc_info else None)
        else:
            log.warning(record.getMessage())
