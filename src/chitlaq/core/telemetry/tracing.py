"""Traces: what a request did and how long each part took, sent as OTLP.

Off unless ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set. Then requests, queries, Valkey's commands and the
handling of events are spans. A trace's id is the request id, so a line of any log leads to its trace.
OpenTelemetry's SDK makes and sends them (`otlp`; its ``OTEL_…`` variables set sampling and headers).
It is loaded only then, because it costs each process memory and start-up time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, Protocol, Self

if TYPE_CHECKING:
    from chitlaq.core.telemetry.otlp import Exporter

FAREWELL_SECONDS = 2.0

_POSTGRESQL = {"db.system.name": "postgresql"}
_VALKEY = {"db.system.name": "redis"}

_exporter: Exporter | None = None


class Span(Protocol):
    """An operation in progress; it ends with its ``with`` block."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *fault: object) -> None: ...

    def finish(self, name: str, attributes: Mapping[str, str | int], *, failed: bool) -> None:
        """Set the name and attributes that are known only at the end."""


class _Nothing:
    """The only span of a process that traces nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        pass

    def finish(self, name: str, attributes: Mapping[str, str | int], *, failed: bool) -> None:
        pass


_NOTHING: Span = _Nothing()


def request() -> Span:
    """Trace a request; `Span.finish` sets its route and status."""
    return _begin("request", "SERVER", {})


def query(name: str) -> Span:
    """Trace a named query of PostgreSQL."""
    return _begin(name, "CLIENT", _POSTGRESQL)


def command(name: str) -> Span:
    """Trace a command of Valkey."""
    return _begin(name, "CLIENT", _VALKEY)


def event(name: str) -> Span:
    """Trace the handling of an event, in the trace of the request that caused it."""
    return _begin(name, "CONSUMER", {})


def _begin(
    name: str, kind: Literal["SERVER", "CLIENT", "CONSUMER"], attributes: Mapping[str, str]
) -> Span:
    return _NOTHING if _exporter is None else _exporter.begin(name, kind, attributes)


def configure(service: str, endpoint: str) -> None:
    """Send the spans of this process to a collector, if there is an endpoint.

    Args:
        service: the process's name in the traces.
        endpoint: the base URL of a collector that takes OTLP over HTTP, ``http://host:4318``.
    """
    global _exporter  # noqa: PLW0603 - set once, before anything is traced
    if endpoint:
        from chitlaq.core.telemetry.otlp import Exporter

        _exporter = Exporter(service, endpoint)


async def close() -> None:
    """Send the remaining spans, without waiting long for a collector that is down."""
    if _exporter is not None:
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(_exporter.close), FAREWELL_SECONDS)
