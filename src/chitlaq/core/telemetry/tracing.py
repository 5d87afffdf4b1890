"""Traces: what a request did, and how long each part took, for whoever collects OTLP.

Off unless ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set: then requests, queries, Valkey's commands and what
events lead to are spans. A trace's id is the request id, so a line of any log leads to its trace.
OpenTelemetry's own SDK makes and sends them (`core.otlp`; sampling and headers by its ``OTEL_…``
variables). It is loaded only then, since it costs each process memory and time to start.
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
    """Something that is being done; it ends with its ``with`` block."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *fault: object) -> None: ...

    def finish(self, name: str, attributes: Mapping[str, str | int], *, failed: bool) -> None:
        """Say what was known only afterwards."""


class _Nothing:
    """The span of a process that traces nothing: one for all."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *fault: object) -> None:
        pass

    def finish(self, name: str, attributes: Mapping[str, str | int], *, failed: bool) -> None:
        pass


_NOTHING: Span = _Nothing()


def request() -> Span:
    """Trace a request; its route and status are told at its end."""
    return _begin("request", "SERVER", {})


def query(name: str) -> Span:
    """Trace a named query of PostgreSQL."""
    return _begin(name, "CLIENT", _POSTGRESQL)


def command(name: str) -> Span:
    """Trace a command of Valkey."""
    return _begin(name, "CLIENT", _VALKEY)


def event(name: str) -> Span:
    """Trace what an event of another service led to, in the trace of the request behind it."""
    return _begin(name, "CONSUMER", {})


def _begin(
    name: str, kind: Literal["SERVER", "CLIENT", "CONSUMER"], attributes: Mapping[str, str]
) -> Span:
    return _NOTHING if _exporter is None else _exporter.begin(name, kind, attributes)


def configure(service: str, endpoint: str) -> None:
    """Send the spans of this process to a collector from now on; nothing without an endpoint.

    Args:
        service: the process's name in the traces.
        endpoint: the base URL of a collector that takes OTLP over HTTP, ``http://host:4318``.
    """
    global _exporter  # noqa: PLW0603 - set once, before anything is traced
    if endpoint:
        from chitlaq.core.telemetry.otlp import Exporter

        _exporter = Exporter(service, endpoint)


async def close() -> None:
    """Send what is left; a collector that is away is not waited for long."""
    if _exporter is not None:
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.to_thread(_exporter.close), FAREWELL_SECONDS)
