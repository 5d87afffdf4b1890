"""The health of all components in one response, and one API description of all services."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import msgspec

from chitlaq import inventory
from chitlaq.core.host import http_client
from chitlaq.core.http import health, openapi, problems
from chitlaq.core.http.health import DependencyHealth, Health, Status
from chitlaq.core.http.routes import OWN_PATHS
from chitlaq.core.http.service import Context
from chitlaq.core.telemetry import logs
from chitlaq.inventory import Component
from chitlaq.services.gateway import nginx

OTHERS = tuple(
    row for row in inventory.COMPONENTS.values() if row.kind == "service" and not row.is_gateway
)
ANSWER_SECONDS = 0.9
DESCRIPTION_SECONDS = 10.0
"""For a service that never described itself: on a busy machine its first document takes seconds."""

_OPERATIONS = frozenset({"get", "put", "post", "delete", "patch"})
_NO_ANSWER = (OSError, TimeoutError, ValueError)

log = logs.get("aggregate")


class Aggregate:
    """Queries the other services over their Unix sockets, as nginx does."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._documents: dict[str, dict[str, Any]] = {}

    async def health(self) -> Health:
        """Summarise every component; unhealthy if one that members need cannot work."""
        others = asyncio.gather(*(self._health_of(row) for row in OTHERS))
        own = await health.report(self._context)
        checks = {row.name: check for row, check in zip(OTHERS, await others, strict=True)}
        return health.summary(self._context.service, {**own.checks, **checks})

    async def openapi(self) -> dict[str, Any]:
        """Return one OpenAPI document with all forwarded paths as the gateway serves them.

        A service that is down is described by its last document.

        Raises:
            Problem: 503 if there is none: a part of the API would pass for the whole.
        """
        described = [row.name for row in OTHERS if row.is_for_members]
        await asyncio.gather(*map(self._read_document, described))
        missing = [name for name in described if name not in self._documents]
        if missing:
            raise problems.unavailable(f"No answer from {', '.join(missing)} yet; try again soon.")
        return _merged(self._documents)

    async def _health_of(self, row: Component) -> DependencyHealth:
        # Members do not notice when a service that they do not use is down.
        worst: Status = "unhealthy" if row.is_for_members else "degraded"
        started = perf_counter()
        try:
            report = msgspec.json.decode(await self._get(row.name, "/health"), type=Health)
        except _NO_ANSWER as error:
            reason = str(error) or f"no answer within {ANSWER_SECONDS:g} s"
            return DependencyHealth(worst, reason, round(perf_counter() - started, 4))
        bad = [
            f"{part} {check.status}"
            for part, check in report.checks.items()
            if check.status != "healthy"
        ]
        status = worst if report.status == "unhealthy" else report.status
        return DependencyHealth(
            status, ", ".join(bad) or "answers", round(perf_counter() - started, 4)
        )

    async def _get(self, name: str, target: str, timeout_seconds: float = ANSWER_SECONDS) -> bytes:
        socket = self._context.home.service_socket(name, 0)
        answer = await http_client.get(
            f"http://localhost{target}", socket=socket, timeout_seconds=timeout_seconds
        )
        return answer.body

    async def _read_document(self, name: str) -> None:
        try:
            seconds = ANSWER_SECONDS if name in self._documents else DESCRIPTION_SECONDS
            document = await self._get(name, "/openapi.json", seconds)
            self._documents[name] = msgspec.json.decode(document, type=dict[str, Any])
        except _NO_ANSWER as error:
            log.warning("API description not read", of=name, error=str(error))


def _merged(documents: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Merge the services' documents; schemas are prefixed with their service's name.

    Two services may use the same name for different schemas.
    """
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    version, security = "", {}
    for name, document in sorted(documents.items()):
        prefix = name.removesuffix("-service").capitalize()
        renamed = msgspec.json.decode(
            re.sub(
                rb'"#/components/schemas/(?!Problem")([^"]+)"',
                rb'"#/components/schemas/' + prefix.encode() + rb'.\1"',
                msgspec.json.encode(document),
            ),
            type=dict[str, Any],
        )
        version = renamed["info"]["version"]
        security.update(renamed["components"].get("securitySchemes", {}))
        for path, item in renamed["paths"].items():
            if path not in OWN_PATHS:
                is_socket = "101" in item.get("get", {}).get("responses", {})
                paths[path if is_socket else f"/api{path}"] = _tagged(item, prefix)
        for schema, content in renamed["components"].get("schemas", {}).items():
            if schema != "Problem":
                schemas[f"{prefix}.{schema}"] = content
    return {
        "openapi": "3.1.0",
        "info": {"title": "ChitLaq", "version": version},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": schemas | openapi.schemas(), "securitySchemes": security},
    }


def _tagged(item: dict[str, Any], tag: str) -> dict[str, Any]:
    """Return a path's operations in their service's chapter, with what nginx answers for it."""
    edge, of_own_port = openapi.refusals(nginx.EDGE_STATUSES), openapi.of_own_port()
    tagged = {}
    for key, value in item.items():
        tagged[key] = value
        if key in _OPERATIONS:
            responses = {
                status: answer
                for status, answer in value["responses"].items()
                if answer != of_own_port.get(status)
            }
            tagged[key] = value | {"tags": [tag], "responses": edge | responses}
    return tagged


def chapters(document: dict[str, Any]) -> list[str]:
    """Return the tags of a merged document: one for each service that has routes over HTTP."""
    items = document["paths"].values()
    return sorted({tag for item in items for value in item.values() for tag in _tags(value)})


def _tags(value: object) -> list[str]:
    return value.get("tags", []) if isinstance(value, dict) else []
