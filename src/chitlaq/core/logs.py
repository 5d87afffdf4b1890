"""JSON lines on standard output, one schema, with the request id of whatever is being done."""

from __future__ import annotations

import contextlib
import logging
import secrets
import sys
from collections.abc import Iterator, MutableMapping
from contextvars import ContextVar
from typing import Any

import msgspec
import structlog

Logger = structlog.typing.FilteringBoundLogger

_request_id: ContextVar[str] = ContextVar("request_id", default="-")
_slow_seconds = 0.5
_service = "chitlaq"


def request_id() -> str:
    """The id of the request, event or task at hand: 32 hex digits, or ``-`` outside of any."""
    return _request_id.get()


def new_request_id() -> str:
    return secrets.token_hex(16)


@contextlib.contextmanager
def request_context(identifier: str) -> Iterator[None]:
    """Let everything inside log, query and publish under this request id."""
    token = _request_id.set(identifier)
    try:
        yield
    finally:
        _request_id.reset(token)


def get(name: str) -> Logger:
    """Return a logger; its lines carry the name as ``part``."""
    logger: Logger = structlog.get_logger(part=name)
    return logger


def configure(service: str, slow_seconds: float) -> None:
    """Send every line of this process, the libraries' too, to standard output as JSON."""
    global _slow_seconds, _service  # noqa: PLW0603 - set once, before anything is logged
    _slow_seconds = slow_seconds
    _service = service
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _common_fields,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_LibraryHandler()], level=logging.WARNING, force=True)


def note_slow_query(name: str, seconds: float) -> None:
    """Log a query that took longer than the operator wants."""
    if seconds >= _slow_seconds:
        get("postgres").warning("slow query", query=name, duration_seconds=round(seconds, 4))


def is_slow(seconds: float) -> bool:
    return seconds >= _slow_seconds


def _common_fields(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    event["service"] = _service
    event.setdefault("request_id", _request_id.get())
    return event


_FIRST = ("timestamp", "level", "service", "event", "request_id")


def _render(_logger: object, _method: str, event: MutableMapping[str, Any]) -> bytes:
    ordered = {key: event.pop(key) for key in _FIRST if key in event}
    return msgspec.json.encode({**ordered, **event}, enc_hook=str)


class _LibraryHandler(logging.Handler):
    """What libraries log through the standard module, in our schema."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            log = get(record.name)
            error = record.exc_info[1] if record.exc_info else None
            log.log(record.levelno, record.getMessage(), **({"exc_info": error} if error else {}))
        except Exception:  # noqa: BLE001 - a line that cannot be logged must not end its process
            self.handleError(record)
