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
    """Return a service's routes without those that every service has, shortest first."""
    routes = []
    for handler in collect(service):
        methods = (
            getattr(handler, "http_methods", ()) if isinstance(handler, HTTPRouteHandler) else ()
        )
        for path in getattr(handler, "paths", ()):
            template = re.sub(r":\w+\}", "}", path)
            if template not in OWN_PATHS:
                status = getattr(handler, "status_code", HTTPStatus.SWITCHING_PROTOCOLS)
                routes.append(Route(template, frozenset(methods), int(status)))
    return sorted(routes, key=lambda route: (len(route.template), route.template))
