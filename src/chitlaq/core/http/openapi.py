"""What OpenAPI says about refusals and security, collected from the handlers.

A handler declares in ``refuses`` the statuses of its own rules, for example ``refuses=(403,)``. Those of
its parameters, its body and its guards follow from its signature, as the application answers them.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Litestar, Request
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.routes import HTTPRoute

from chitlaq.core.http import problems
from chitlaq.core.http.cookies import SAFE_METHODS
from chitlaq.core.http.routes import OWN_PATHS

Requirement = dict[str, list[str]]

SIGNED_IN: list[Requirement] = [{"bearer": []}]
"""The security of a route for members or operators only."""
ANYBODY: list[Requirement] = [{}, {"bearer": []}]
"""The security of a route that says more to those who are signed in."""

COMPONENTS = Components(
    security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")}
)

_GUARDS = {"member": SIGNED_IN, "viewer": ANYBODY}
_FILE = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    "alt": {"type": "string"},
                },
                "required": ["file"],
            }
        }
    },
}
_RETRIED = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


class Document(JsonRenderPlugin):
    """``/openapi.json``, made once per process."""

    def __init__(self) -> None:
        super().__init__(path="/")
        self._document: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        if self._document is None:
            self._document = msgspec.json.encode(_completed(request.app, openapi_schema))
        return self._document


def refusals(statuses: Iterable[int]) -> dict[str, Any]:
    """Return OpenAPI's responses with these statuses, each a problem document."""
    return {str(int(status)): _refusal(HTTPStatus(status)) for status in sorted(statuses)}


def of_own_port() -> dict[str, Any]:
    """Return what a service's own port answers to web pages (`OwnPagesOnly`); nginx is never answered so."""
    answers = refusals((HTTPStatus.FORBIDDEN, HTTPStatus.MISDIRECTED_REQUEST))
    return {
        status: answer | {"description": f"{answer['description']}: only on the service's own port"}
        for status, answer in answers.items()
    }


def schemas() -> dict[str, Any]:
    """Return the schemas that `refusals` refers to."""
    (schema,), components = msgspec.json.schema_components([problems.Document])
    return {"Problem": components[schema["$ref"].rpartition("/")[2]]}


def _completed(app: Litestar, document: dict[str, Any]) -> dict[str, Any]:
    paths = {}
    for route in app.routes:
        item = document["paths"].get(route.path_format)
        if not isinstance(route, HTTPRoute) or item is None:
            continue
        for method, (handler, _) in route.route_handler_map.items():
            operation = item.get(method.lower())
            if operation is not None:
                security = _security(handler)
                operation["responses"].pop("400", None)  # the framework's own form
                operation["responses"] |= of_own_port() | refusals(
                    _statuses(route, handler, security)
                )
                operation["security"] = security
                if "takes_file" in handler.opt:
                    operation["requestBody"] = _FILE
        if not any("is_page" in handler.opt for handler in route.route_handlers):
            paths[route.path_format] = item
    document["components"]["schemas"] = document["components"].get("schemas", {}) | schemas()
    return document | {"paths": paths}


def _statuses(route: HTTPRoute, handler: HTTPRouteHandler, security: list[Requirement]) -> set[int]:
    """Every status that a refusal of this handler has."""
    parameters = handler.parsed_fn_signature.parameters
    statuses = {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        *map(HTTPStatus, handler.opt.get("refuses", ())),
    }
    if route.path_parameters:
        statuses.add(HTTPStatus.NOT_FOUND)
    if "data" in parameters:
        statuses |= {
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        }
    if "takes_file" in handler.opt:
        statuses |= {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE}
    if security:
        statuses.add(HTTPStatus.UNAUTHORIZED)
    if _GUARDS.keys() & parameters.keys():
        statuses.add(HTTPStatus.TOO_MANY_REQUESTS)
        if not handler.http_methods <= SAFE_METHODS:
            statuses.add(HTTPStatus.FORBIDDEN)  # another site's page, with our cookie
    if "needs_role" in handler.opt:
        statuses.add(HTTPStatus.FORBIDDEN)
    if route.path not in OWN_PATHS:
        statuses.add(HTTPStatus.SERVICE_UNAVAILABLE)
    return {int(status) for status in statuses} - set(handler.responses or ())


def _security(handler: HTTPRouteHandler) -> list[Requirement]:
    for name, security in _GUARDS.items():
        if name in handler.parsed_fn_signature.parameters:
            return security
    return handler.resolve_security()


def _refusal(status: HTTPStatus) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = {"schema": {"type": "string"}}
    if status in _RETRIED:
        headers["Retry-After"] = {"schema": {"type": "integer"}, "description": "Seconds."}
    return {
        "description": status.phrase,
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        **({"headers": headers} if headers else {}),
    }
