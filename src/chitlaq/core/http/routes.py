"""The routes that a service declares, read from its handlers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
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
HANDLE = "handle"
"""The parameter that is a username after an ``@``; the framework knows no part of a segment by itself."""


@dataclass(frozen=True, slots=True)
class Route:
    """A path template such as ``/posts/{post_id}``, its methods, and its success status.

    A WebSocket has no methods; its handler, with ``is_socket`` in its ``opt``, answers what is no upgrade.
    ``pattern`` is a regular expression of its paths: ``/posts/[^/]+``. A WebSocket and a page of the web site
    (``is_site=True``) are at the root: members request them without ``/api``. The parameter ``{handle:str}``
    is written ``/@{handle}`` and forwarded with its ``@`` alone. A route that receives a file
    (``takes_file=True``) has a limit of its own for bodies.
    """

    template: str
    pattern: str
    methods: frozenset[str]
    status: int
    is_at_root: bool
    takes_file: bool = False


def collect(service: Service) -> Iterator[HTTPRouteHandler]:
    """Yield the handlers of a service's ``routes.py`` and of its slices', in source order."""
    for package in service.packages:
        module = import_module(f"{package}.routes")
        for handler in vars(module).values():
            if isinstance(handler, HTTPRouteHandler):
                yield handler(paging.expanded(handler.fn))


def declared(service: Service) -> Sequence[Route]:
    """Return the routes that a service declares itself, shortest first."""
    return routes_of(collect(service))


def routes_of(handlers: Iterable[HTTPRouteHandler]) -> Sequence[Route]:
    """Return the routes of these handlers, shortest first."""
    routes: list[Route] = []
    for handler in handlers:
        methods, status = frozenset[str](), int(HTTPStatus.SWITCHING_PROTOCOLS)
        if "is_socket" not in handler.opt:
            methods, status = frozenset(handler.http_methods), handler.status_code
        is_at_root = not methods or "is_site" in handler.opt
        takes_file = "takes_file" in handler.opt
        routes += [
            Route(
                _template(path),
                _pattern(path),
                methods,
                status,
                is_at_root,
                takes_file,
            )
            for path in handler.paths
        ]
    return sorted(routes, key=lambda route: (len(route.template), route.template))


def for_members(service: Service) -> Sequence[Route]:
    """Return the routes that members reach through nginx.

    Of a service that is for members, these are all but those for operators (``is_for_operators=True``);
    of any other, the paths of the handlers that say so themselves (``is_public=True``).

    Raises:
        ValueError: a path of those has a handler that does not say so: nginx forwards a path, not a method.
    """
    handlers = list(collect(service))
    is_for_members = service.component.is_for_members

    def is_public(handler: HTTPRouteHandler) -> bool:
        return (
            "is_for_operators" not in handler.opt if is_for_members else "is_public" in handler.opt
        )

    public = {path for one in handlers if is_public(one) for path in one.paths}
    hidden = {path for one in handlers if not is_public(one) for path in one.paths}
    if public & hidden:
        raise ValueError(f"{service.name}: {sorted(public & hidden)} is public and is not")
    templates = {_template(path) for path in public}
    return [route for route in routes_of(handlers) if route.template in templates]


def _template(path: str) -> str:
    return _PARAMETER.sub(lambda found: f"{_sign(found[1])}{{{found[1]}}}", path)


def _sign(name: str) -> str:
    return "@" if name == HANDLE else ""


def _pattern(path: str) -> str:
    """Return the regular expression of a path with parameters: only ``{…:path}`` may span slashes."""
    parts = _PARAMETER.split(path)
    literals, names, kinds = parts[::3], parts[1::3], parts[2::3]
    pattern = re.escape(literals[0])
    for name, kind, literal in zip(names, kinds, literals[1:], strict=True):
        pattern += _sign(name) + (".+" if kind == "path" else "[^/]+") + re.escape(literal)
    return pattern
