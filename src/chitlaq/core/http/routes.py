"""The routes that a service declares: written once, at its handlers, and read from there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from importlib import import_module

from litestar.handlers import HTTPRouteHandler, WebsocketRouteHandler

from chitlaq.core.http import paging
from chitlaq.core.http.service import Service

OWN_PATHS = frozenset({"/health", "/live", "/ready", "/metrics", "/openapi.json"})
"""What every service answers of itself; the gateway does not forward these."""

UNMATCHED = "unmatched"
"""The route of a request that fits none that is declared."""


@dataclass(frozen=True, slots=True)
class Route:
    """A path template such as ``/posts/{post_id}``, its methods, and its status when all is well.

    A WebSocket has no methods.
    """

    template: str
    methods: frozenset[str]
    status: int

    @property
    def prefix(self) -> str:
        """The first part of the path, by which the gateway finds the service: ``posts``."""
        return self.template.split("/")[1]


def collect(service: Service) -> Iterator[HTTPRouteHandler | WebsocketRouteHandler]:
    """Yield the handlers of a service's ``routes.py`` and of its slices', in their written order."""
    for package in service.packages:
        module = import_module(f"{package}.routes")
        for handler in vars(module).values():
            if isinstance(handler, HTTPRouteHandler):
                yield handler(paging.expanded(handler.fn))
            elif isinstance(handler, WebsocketRouteHandler):
                yield handler


def declared(service: Service) -> Sequence[Route]:
    """Return the routes that a service declares, without those of every service, shortest first."""
    routes: list[Route] = []
    for handler in collect(service):
        methods, status = frozenset[str](), int(HTTPStatus.SWITCHING_PROTOCOLS)
        if isinstance(handler, HTTPRouteHandler):
            methods, status = frozenset(handler.http_methods), handler.status_code
        templates = (re.sub(r":\w+\}", "}", path) for path in handler.paths)
        routes += [Route(template, methods, status) for template in templates]
    return sorted(routes, key=lambda route: (len(route.template), route.template))
