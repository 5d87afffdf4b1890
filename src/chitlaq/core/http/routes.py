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


@dataclass(frozen=True, slots=True)
class Route:
    """A path template such as ``/posts/{post_id}``, its methods, and its success status.

    A WebSocket has no methods; its handler, with ``is_socket`` in its ``opt``, answers what is no upgrade.
    """

    template: str
    methods: frozenset[str]
    status: int

    @property
    def prefix(self) -> str:
        """The first part of the path, by which the gateway picks the service: ``posts``."""
        return self.template.split("/")[1]


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
        templates = (re.sub(r":\w+\}", "}", path) for path in handler.paths)
        routes += [Route(template, methods, status) for template in templates]
    return sorted(routes, key=lambda route: (len(route.template), route.template))
