"""The gateway over HTTP: health of all components, documentation, access log metrics, web pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from litestar import Request, Response, get
from litestar.datastructures import State

from chitlaq import inventory
from chitlaq.core import tasks
from chitlaq.core.http.health import Health
from chitlaq.core.http.service import Context, Service
from chitlaq.services.gateway.access_log_metrics import AccessLog
from chitlaq.services.gateway.aggregate import Aggregate, chapters
from chitlaq.web.site import pages


@get("/api/health", summary="State of every component in one answer")
async def all_health(state: State) -> Response[Health]:
    aggregate: Aggregate = state.aggregate
    report = await aggregate.health()
    status = HTTPStatus.SERVICE_UNAVAILABLE if report.status == "unhealthy" else HTTPStatus.OK
    return Response(report, status_code=status)


@get("/api/openapi.json", summary="The whole API as one OpenAPI 3.1 document")
async def openapi(state: State) -> dict[str, Any]:
    aggregate: Aggregate = state.aggregate
    return await aggregate.openapi()


@get("/api/docs", summary="The whole API: a page in a browser, the document for programs")
async def docs(request: Request[Any, Any, State]) -> Response[Any]:
    aggregate: Aggregate = request.app.state.aggregate
    document = await aggregate.openapi()
    if "text/html" in request.headers.get("accept", ""):
        return pages.html("docs.html", api=document, chapters=chapters(document))
    return Response(document)


@get("/", is_page=True, summary="What is running here")
async def landing(state: State) -> Response[str]:
    context: Context = state.context
    aggregate: Aggregate = state.aggregate
    return pages.html("landing.html", health=await aggregate.health(), settings=context.settings)


@get(
    "/verify",
    is_page=True,
    sync_to_thread=False,
    summary="Where the link in the verification mail leads",
)
def verify() -> Response[str]:
    return pages.html("verify.html")


@get(
    "/static/{name:str}",
    is_page=True,
    sync_to_thread=False,
    summary="Style sheets and scripts of the pages",
)
def static(name: str) -> Response[bytes]:
    return pages.static(name)


@asynccontextmanager
async def run(context: Context) -> AsyncIterator[dict[str, Any]]:
    access_log = AccessLog(context.home)
    aggregate = Aggregate(context)
    async with tasks.running(access_log.read_forever):
        yield {"aggregate": aggregate, "before_metrics": access_log.read}
    access_log.read()
    access_log.close()


SERVICE = Service(
    inventory.COMPONENTS["api-gateway"],
    run=run,
)
