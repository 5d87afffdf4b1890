"""Now: what an operator sees at 3:00."""

from __future__ import annotations

import msgspec
from litestar import Response

from chitlaq.ops.console.now import situation
from chitlaq.ops.console.now.words import fields, sentence
from chitlaq.ops.console.pages import ConsoleRequest, page, screen
from chitlaq.ops.state import OpsState


class Update(msgspec.Struct):
    """What changes on the page without a new layout."""

    layout: str
    fields: dict[str, str]


@screen("/ops/")
async def now(request: ConsoleRequest, state: OpsState) -> Response[str]:
    found = await situation.now(state)
    return page(request, "now.html", now=found, sentence=sentence(found), fields=fields(found))


@screen("/ops/now.json", media_type="application/json")
async def update(state: OpsState) -> Update:
    found = await situation.now(state)
    return Update(found.layout, fields(found))
