"""The routes that a service declares, read from its handlers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from importlib import import_module

from litestar.handlers import HTTPRouteHandler

from chitlaq.core.http import paging
from chitlaq.core.http.service import Service

OWN_PATHS = frozenset({"/health", "/live", "/ready", "/metrics", "/openapi.json"})
"""The routes that every service has; the gateway does not forward these."""

UNMATCHED = "unmatched"
"""The route label of a request that matches no declared route."""

_PARAMETER = re.compile(r"\{(\w+)(?::(\w+))?\}")


@dataclass(frozen=True, slots=True)
class Route:
    """A path template such as ``/posts/{post_id}``, its methods, and its success status.

    A WebSocket has no methods; its handler, with ``is_socket`` in its ``opt``, answers what is no upgrade.
    ``pattern`` is a regular expression of its paths: ``/posts/[^/]+``.
    """

    template: str
    pattern: str
    methods: frozenset[str]
    status: int


def collect(service: Service) -> Iterator[HTTPRouteHandler]:
    """Yield the handlers of a service's ``routes.py`` and of its slices', in source order."""
    for package in service.packages:
        module = import_module(f"{package}.routes")
        for handler in vars(module).values():
            if isinstance(handler, HTTPRouteHandler):
                yield handler(paging.expanded(handler.fn))


def declared(service: Service) -> Sequence[Route]:
    """Return the routes that a service declares itself, shortest first."""
    routes: list[Route] = []
    for handler in collect(service):
        methods, status = frozenset[str](), int(HTTPStatus.SWITCHING_PROTOCOLS)
        if "is_socket" not in handler.opt:
            methods, status = frozenset(handler.http_methods), handler.status_code
        routes += [
            Route(_PARAMETER.sub(r"{\1}", path), _pattern(path), methods, status)
            for path in handler.paths
        ]
    return sorted(routes, key=lambda route: (len(route.template), route.template))


def _pattern(path: str) -> str:
    """Return the regular expression of a path with parameters: only ``{…:path}`` may span slashes."""
    parts = _PARAMETER.split(path)
    literals, kinds = parts[::3], parts[2::3]
    pattern = re.escape(literals[0])
    for kind, literal in zip(kinds, literals[1:], strict=True):
        pattern += (".+" if kind == "path" else "[^/]+") + re.escape(literal)
    return pattern
