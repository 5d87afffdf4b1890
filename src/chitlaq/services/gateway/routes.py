"""The gateway over HTTP: health of all components, documentation, access log metrics, web pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from litestar import Request, Response, get
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec

from chitlaq import inventory
from chitlaq.core import tasks
from chitlaq.core.http.health import Health
from chitlaq.core.http.service import Context, Service
from chitlaq.services.gateway.access_log_metrics import AccessLog
from chitlaq.services.gateway.aggregate import Aggregate, chapters
from chitlaq.services.gateway.pages.screens import Screens
from chitlaq.services.gateway.state import GatewayState
from chitlaq.web.site.pages import SITE


@get(
    "/api/health",
    summary="Health of every component",
    responses={503: ResponseSpec(Health, description="Unhealthy", generate_examples=False)},
)
async def all_health(state: GatewayState) -> Response[Health]:
    report = await state.aggregate.health()
    status = HTTPStatus.SERVICE_UNAVAILABLE if report.status == "unhealthy" else HTTPStatus.OK
    return Response(report, status_code=status)


@get("/api/openapi.json", summary="The whole API as one OpenAPI 3.1 document", refuses=(503,))
async def openapi(state: GatewayState) -> dict[str, Any]:
    return await state.aggregate.openapi()


@get(
    "/api/docs",
    summary="The API documentation: HTML for browsers, OpenAPI for programs",
    refuses=(503,),
)
async def docs(request: Request[Any, Any, State], state: GatewayState) -> Response[Any]:
    document = await state.aggregate.openapi()
    if "text/html" in request.headers.get("accept", ""):
        return SITE.html(request, "docs.html", api=document, chapters=chapters(document))
    return Response(document)


@get(
    "/static/{version:str}/{name:path}",
    is_page=True,
    sync_to_thread=False,
    summary="Style sheets and scripts of the pages",
)
def static(version: str, name: str) -> Response[bytes]:
    return SITE.static(name.removeprefix("/"), version)


@asynccontextmanager
async def run(context: Context) -> AsyncIterator[GatewayState]:
    access_log = AccessLog(context.home)
    aggregate = Aggregate(context)
    async with tasks.running(access_log.read_forever):
        yield GatewayState(
            settings=context.settings,
            aggregate=aggregate,
            screens=Screens(context),
            before_scrape=access_log.read,
        )
    await access_log.end()


SERVICE = Service(inventory.COMPONENTS["api-gateway"], slices=("pages",), run=run)
