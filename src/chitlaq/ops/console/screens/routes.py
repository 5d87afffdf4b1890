"""The screens of the console."""

from __future__ import annotations

from litestar import Response

from chitlaq.ops.console.pages import ConsoleRequest, page, screen


@screen("/ops/", sync_to_thread=False)
def now(request: ConsoleRequest) -> Response[str]:
    return page(request, "now.html")
