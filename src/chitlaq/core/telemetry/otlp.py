"""Spans made and sent by OpenTelemetry's SDK; imported only if tracing is on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanKind, Status, StatusCode

from chitlaq import __version__
from chitlaq.core.telemetry import logs

EXPORT_SECONDS = 3


class Exporter:
    """Collects the spans of one process and sends them in batches from its own thread."""

    def __init__(self, service: str, endpoint: str) -> None:
        resource = {
            "service.namespace": "chitlaq",
            "service.name": service,
            "service.version": __version__,
            "service.instance.id": f"{service}-{os.getpid()}",
        }
        self._provider = TracerProvider(
            resource=Resource.create(resource), id_generator=_RequestIds(), shutdown_on_exit=False
        )
        sender = OTLPSpanExporter(
            endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS
        )
        self._provider.add_span_processor(BatchSpanProcessor(sender))
        self._tracer = self._provider.get_tracer("chitlaq", __version__)

    def begin(self, name: str, kind: str, attributes: Mapping[str, str]) -> _Span:
        return _Span(
            self._tracer.start_as_current_span(name, kind=SpanKind[kind], attributes=attributes)
        )

    def close(self) -> None:
        """Send the remaining spans; returns when that is done or has failed."""
        self._provider.shutdown()


class _RequestIds(RandomIdGenerator):
    """Gives a trace the current request's id; work outside a request gets its own id."""

    def generate_trace_id(self) -> int:
        with suppress(ValueError):
            return int(logs.request_id(), 16)
        return super().generate_trace_id()


class _Span:
    def __init__(self, context: Any) -> None:
        self._context = context

    def __enter__(self) -> Self:
        self._span = self._context.__enter__()
        return self

    def __exit__(self, *fault: Any) -> None:
        self._context.__exit__(*fault)

    def finish(self, name: str, attributes: Mapping[str, str | int], *, failed: bool) -> None:
        self._span.update_name(name)
        self._span.set_attributes(attributes)
        if failed:
            self._span.set_status(Status(StatusCode.ERROR))
