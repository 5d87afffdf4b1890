"""The HTTP side of every service: one application, with the same responses to the same errors."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus
from time import perf_counter
from typing import Any, cast

from litestar import Litestar, Request, Response, get
from litestar.datastructures import Headers, State
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, NotFoundException, ValidationException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from chitlaq import __version__
from chitlaq.core import languages, tasks
from chitlaq.core.data import postgres, valkey
from chitlaq.core.data.heartbeat import Heartbeat
from chitlaq.core.data.standbys import Standbys
from chitlaq.core.data.wake_ups import WakeUps
from chitlaq.core.http import (
    bodies,
    client_address,
    cookies,
    edge,
    health,
    identity,
    limits,
    openapi,
    problems,
    roles,
    routes,
)
from chitlaq.core.http.hot_pages import HotPages
from chitlaq.core.http.own_pages import OwnPagesOnly
from chitlaq.core.http.problems import Problem
from chitlaq.core.http.service import Context, Service
from chitlaq.core.http.translations import in_language
from chitlaq.core.http.upgrades import Upgraded
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs, metrics, runtime_metrics, tracing

_JSON = "application/json"
_PROBE = (edge.PROBE.encode(), b"1")

log = logs.get("http")


def create_app(service: Service, settings: Settings, home: Home) -> ASGIApp:
    """Return the ASGI application of one service process."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with (
            open_context(service, settings, home) as context,
            service.run(context) as made,
            tasks.running(
                lambda: runtime_metrics.watch(context),
                context.heartbeat.beat_forever,
                *([context.verifier.watch_forever] if _asks_who(app) else []),
            ),
        ):
            app.state.context = context
            for name, thing in made.items():
                app.state[name] = thing
            yield
        await tracing.close()

    logs.count_line = metrics.line_counter(service.name)
    handlers = list(routes.collect(service))
    declared = routes.routes_of(handlers)
    if service.counts_own_requests:
        for route in declared:
            for method in route.methods:
                metrics.initialize_requests(service.name, method, route.template, route.status)
        metrics.initialize_requests(service.name, "GET", routes.UNMATCHED)
    app = Litestar(
        route_handlers=[*handlers, _health, _live, _ready, _metrics],
        request_class=bodies.StrictRequest,
        lifespan=[lifespan],
        before_request=_check,
        dependencies={
            "viewer": Provide(_viewer, sync_to_thread=False),
            "member": Provide(_member, sync_to_thread=False),
        },
        exception_handlers={
            Problem: _answer,
            HTTPException: _answer_http_exception,
            postgres.PostgresUnavailableError: _answer_unavailable,
            RecursionError: _answer_unreadable,
            UnicodeError: _answer_unreadable,
            Exception: _answer_fault,
        },
        openapi_config=OpenAPIConfig(
            title=service.component.title,
            version=__version__,
            path="/openapi.json",
            render_plugins=[openapi.Document()],
            components=openapi.COMPONENTS,
        ),
        request_max_body_size=settings.limits.body_bytes,
        logging_config=None,
    )
    _note_parameters(app)
    guarded = OwnPagesOnly(app, settings.host_names)
    return _Observed(app, service, declared, guarded, settings.base_url)


@asynccontextmanager
async def open_context(service: Service, settings: Settings, home: Home) -> AsyncIterator[Context]:
    """Make a service process's context; nothing connects before it is used."""
    queries = postgres.load_queries(
        "chitlaq.core.data", service.name, *service.packages, *service.query_packages
    )
    url = postgres.dsn(settings, home, service.component.role)
    database = postgres.Database(url, service.name, queries)
    heartbeat = Heartbeat(database, service.name, is_wanted=service.writes)
    client = valkey.connect(settings, home)
    standbys = Standbys(
        url, service.name, queries, database, client, settings.reads_on_standbys_seconds
    )
    wake_ups = WakeUps(client)
    database.wake = wake_ups.say
    account_limit = limits.Limiter(
        client, service.name, "account", settings.limits.account_requests_per_minute
    )
    address_limit = limits.Limiter(
        client,
        service.name,
        "address",
        settings.limits.address_attempts_per_minute * limits.ATTEMPT_UNITS,
    )
    verifier = identity.Verifier(database, settings.base_url)
    try:
        yield Context(
            service.name, settings, home, database, standbys, heartbeat, client, wake_ups, verifier,
            account_limit, address_limit,
        )  # fmt: skip
    finally:
        heartbeat.close()
        wake_ups.close()
        await client.close()
        await standbys.close()
        await database.close()


async def viewer(request: Request[Any, Any, State]) -> identity.Identity | None:
    """The caller's identity, or None without a token; counts towards the account's rate limit.

    Without a token, an expensive route (``is_expensive=True``) counts towards the address's. Files
    (``is_file=True``), of which a page has dozens, only nginx counts.

    Raises:
        Problem: 401 for a token that is not valid, 403 for another site's page, 429 for too many requests.
    """
    context: Context = request.app.state.context
    token = _token(request, context.settings.base_url)
    if token is None:
        if "is_expensive" in request.route_handler.opt:
            await context.address_limit.spend(client_address.limited_address(request))
        return None
    who = await context.verifier.verify(token)
    if "is_file" not in request.route_handler.opt:
        await context.account_limit.spend(who.account_id.hex)
    return who


def _token(request: Request[Any, Any, State], public_url: str) -> str | None:
    """The access token of the header ``Authorization``, or else of the web application's cookie.

    Raises:
        Problem: 401 for a header of another form, 403 for what another site's page would change.
    """
    header = request.headers.get("authorization")
    if header is None:
        token = cookies.value(request.headers, cookies.ACCESS)
        if token is not None and request.method not in cookies.SAFE_METHODS:
            cookies.require_own_page(request.headers, public_url)
        return token
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise problems.not_signed_in("The Authorization header must read `Bearer TOKEN`.")
    return token


def _asks_who(app: Litestar) -> bool:
    """Whether a route wants to know the caller: what nobody asks is not looked up every second."""
    return any(
        {"member", "viewer"} & handler.parsed_fn_signature.parameters.keys()
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
    )


def _viewer(request: Request[Any, Any, State]) -> identity.Identity | None:
    who: identity.Identity | None = request.user
    return who


def _member(request: Request[Any, Any, State]) -> identity.Identity:
    who: identity.Identity = request.user
    return who


def _note_parameters(app: Litestar) -> None:
    """Record the query parameters of each handler and its dependencies.

    Pages reached by links accept any, since mail programs and others add their own; so does
    OPTIONS, which browsers send with the query of the request that follows.
    """
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, model) in route.route_handler_map.items():
                if method != "OPTIONS" and "is_page" not in handler.opt:
                    names = {parameter.field_alias for parameter in model.expected_query_params}
                    handler.opt["query_parameters"] = names


async def _check(request: Request[Any, Any, State]) -> None:
    """Find out who asks before anything else of the request is checked, and before its body is read.

    Raises:
        Problem: as `viewer` and `_refuse_undeclared`; 401 if the route is for members only, and 403 if
            it needs a role (``needs_role="moderator"``) that the member does not have; and what the
            route's own conditions say (``requires=(CONDITION,)``).
        NotFoundException: for a path with NUL, which no name that PostgreSQL stores has.
    """
    if "\x00" in request.scope["path"]:
        raise NotFoundException
    parameters = request.route_handler.parsed_fn_signature.parameters
    needed = request.route_handler.opt.get("needs_role")
    if "member" in parameters or "viewer" in parameters or needed:
        who = await viewer(request)
        if who is None and "member" in parameters:
            raise problems.not_signed_in()
        if needed:
            roles.require(who, needed)
        request.scope["user"] = who
    _refuse_undeclared(request)
    for condition in request.route_handler.opt.get("requires", ()):
        await condition(request)


def _refuse_undeclared(request: Request[Any, Any, State]) -> None:
    """Refuse what the route does not declare, rather than ignore it.

    Raises:
        Problem: 422 for a query parameter, 415 for a body that is not JSON.
    """
    if "data" in request.route_handler.parsed_fn_signature.parameters:
        media_type = request.headers.get("content-type", _JSON).partition(";")[0].strip().lower()
        if media_type != _JSON:
            raise Problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"The body must be {_JSON}, not {media_type}."
            )
    if request.scope["query_string"]:
        known = request.route_handler.opt.get("query_parameters")
        if known is not None and (unknown := request.query_params.keys() - known):
            reason = "is not a parameter of this route"
            raise problems.invalid(dict.fromkeys(sorted(unknown), reason))


@get(
    "/health",
    summary="Health of the service and its dependencies",
    responses={503: ResponseSpec(health.Health, description="Unhealthy", generate_examples=False)},
)
async def _health(state: State) -> Response[health.Health]:
    context: Context = state.context
    report = await health.report(context)
    status = HTTPStatus.SERVICE_UNAVAILABLE if report.status == "unhealthy" else HTTPStatus.OK
    return Response(report, status_code=status)


@get("/live", summary="Whether the process is alive, and can do its work")
async def _live(state: State) -> health.Alive:
    context: Context = state.context
    return health.alive(fault=context.heartbeat.fault)


@get(
    "/ready",
    summary="Whether the service can take requests now",
    responses={503: ResponseSpec(health.Alive, description="Not ready", generate_examples=False)},
)
async def _ready(state: State) -> Response[health.Alive]:
    context: Context = state.context
    try:
        await context.database.ping(health.CHECK_SECONDS)
    except postgres.PostgresUnavailableError as error:
        return Response(health.alive(f"not ready: {error}"), status_code=503)
    return Response(health.alive("ready"))


@get("/metrics", summary="Metrics in Prometheus's text format", media_type="text/plain")
async def _metrics(state: State) -> Response[bytes]:
    context: Context = state.context
    runtime_metrics.note_pool(context)
    runtime_metrics.note_limit(context.service)
    if "before_scrape" in state:
        state.before_scrape()
    body, media_type = metrics.exposition()
    if "extra_metrics" in state:
        body += await state.extra_metrics()
    return Response(body, media_type=media_type)


def _answer(request: Request[Any, Any, Any], problem: Problem) -> Response[bytes]:
    said = in_language(problem, languages.preferred(request.headers.get("accept-language", "")))
    return Response(
        said.body(),
        status_code=problem.status,
        media_type=problems.MEDIA_TYPE,
        headers=problem.headers(),
        cookies=problem.cookies,
    )


def _answer_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    """Translate the framework's errors: 422 names the fields, 400 the position in the text."""
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        return _answer(request, problems.invalid(bodies.field_errors(error.extra)))
    missing = re.match(r"Missing required (?:query|header) parameter '([^']+)'", error.detail)
    if missing:
        return _answer(request, problems.invalid({missing[1]: "is missing"}))
    status = HTTPStatus(error.status_code)
    details = {
        HTTPStatus.NOT_FOUND: "There is nothing at this address.",
        HTTPStatus.METHOD_NOT_ALLOWED: "This address does not support that method.",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is larger than this service accepts.",
    }
    shown = _shown_instead(request, status)
    answer = shown or _answer(request, Problem(status, details.get(status, error.detail)))
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


def _shown_instead(request: Request[Any, Any, Any], status: HTTPStatus) -> Response[Any] | None:
    """Return the page of a service that has one for where nothing is, if a browser asks."""
    state = request.app.state
    if "nothing_here" in state and "text/html" in request.headers.get("accept", ""):
        page: Response[Any] | None = state.nothing_here(request, status)
        return page
    return None


def _answer_unreadable(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    if isinstance(error, RecursionError):
        return _answer(request, problems.malformed("The body is nested too deeply."))
    return _answer(request, problems.malformed("The request is not valid UTF-8."))


def _answer_unavailable(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    log.warning("database unavailable", error=str(error))
    return _answer(
        request,
        problems.unavailable("The database is not reachable at the moment; nothing was stored."),
    )


def _answer_fault(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    log.error("request failed", path=request.scope["path"], fault=error)
    return _answer(
        request,
        Problem(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "This is an error on our side; it was logged under the request id.",
        ),
    )


class _Observed:
    """Wraps the application: request ids, metrics, and log lines.

    Logs writes, refusals, faults and slow requests. Fast, successful reads are only in the gateway's
    access log, with the same request id.
    """

    def __init__(
        self,
        app: Litestar,
        service: Service,
        declared: Iterable[routes.Route],
        guarded: OwnPagesOnly,
        public_url: str,
    ) -> None:
        self._app = guarded
        self._public_url = public_url
        self._state = app.state
        self._methods = defaultdict[str, set[str]](set)
        for route in app.routes:
            self._methods[route.path_format] |= set(route.methods)
        self._counter = (
            metrics.RequestCounter(service.name) if service.counts_own_requests else None
        )
        self._hot = HotPages(service.hot_pages, app.state, guarded)
        self._sockets = {route.template for route in declared if not route.methods}

    def has_socket(self, path: str, scope: HTTPScope) -> bool:
        """Whether a WebSocket is declared at this path, and open to this request."""
        return path in self._sockets and self._app.lets_in(scope) and self._lets_sign_in(scope)

    def _lets_sign_in(self, scope: HTTPScope) -> bool:
        """Whether the request has no cookie that signs in, or comes from our own page."""
        headers = Headers.from_scope(scope)
        return cookies.value(headers, cookies.ACCESS) is None or cookies.is_own_page(
            headers, self._public_url
        )

    def open_socket(self, headers: list[tuple[bytes, bytes]]) -> Upgraded:
        """Return what takes a connection over after its handshake: the state's ``open_socket`` makes it."""
        token = cookies.value(Headers(headers), cookies.ACCESS)
        made: Upgraded = self._state.open_socket(_request_id(headers), token)
        return made

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        identifier = _request_id(scope["headers"])
        # The header of what GET answers (RFC 9110, 9.3.2): the server sends no body for HEAD.
        handled = cast(HTTPScope, {**scope})
        if handled["method"] == "HEAD":
            handled["method"] = "GET"
        encoded = identifier.encode()
        started = perf_counter()
        status = 499

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                await self._note_write(handled)
                headers = [*message["headers"], (b"x-request-id", encoded)]
                # What is somebody's own, or signs in, stays in no cache (RFC 6749, 5.1).
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                if status == HTTPStatus.METHOD_NOT_ALLOWED or handled["method"] == "OPTIONS":
                    headers = self._allowing(headers, handled.get("path_template"))
                message["headers"] = headers
            await send(message)

        logs.begin_request(identifier)
        with tracing.request() as span:
            try:
                if not await self._hot.answer(handled, observed_send):
                    await self._app(handled, receive, observed_send)
            finally:
                handled["method"] = scope["method"]
                self._observe(handled, status, perf_counter() - started, span)

    async def _note_write(self, scope: HTTPScope) -> None:
        """Let members read what they have written, before they are told that they have."""
        who = scope.get("user")
        if isinstance(who, identity.Identity) and scope["method"] not in cookies.SAFE_METHODS:
            context: Context = self._state.context
            await context.standbys.note_write(who.account_id)

    def _allowing(
        self, headers: Iterable[tuple[bytes, bytes]], template: str | None
    ) -> list[tuple[bytes, bytes]]:
        """Complete ``Allow``: the framework omits HEAD, and on OPTIONS the methods of other handlers."""
        completed = []
        for name, value in headers:
            methods = set[str]()
            if name == b"allow":
                methods = set(value.decode().split(", ")) | self._methods.get(template or "", set())
                methods |= {"HEAD"} if "GET" in methods else set()
            completed.append((name, ", ".join(sorted(methods)).encode() if methods else value))
        return completed

    def _observe(self, scope: HTTPScope, status: int, seconds: float, span: tracing.Span) -> None:
        method: str = scope["method"]
        # Litestar sets the template once it has found the route.
        route: str = scope.get("path_template") or routes.UNMATCHED
        span.finish(
            f"{method} {route}",
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
            },
            failed=status >= 500,
        )
        if self._counter is not None and _PROBE not in scope["headers"]:
            self._counter.count(method, route, status, seconds)
        if method not in {"GET", "HEAD", "OPTIONS"} or status >= 400 or logs.is_slow(seconds):
            write = log.error if status >= 500 else log.info
            write(
                "slow request" if logs.is_slow(seconds) else "request",
                method=method,
                route=route,
                status=status,
                duration_seconds=round(seconds, 4),
            )


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the id that the gateway gave a request, or a new one: ids in other formats are not trusted."""
    for name, value in headers:
        if name == b"x-request-id" and len(value) == 32 and value.isalnum():
            return value.decode()
    return logs.new_request_id()
