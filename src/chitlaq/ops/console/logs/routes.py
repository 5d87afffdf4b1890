"""The screen Logs: the newest lines of all components, and those that come while it is open."""

from __future__ import annotations

import asyncio
from datetime import datetime
from functools import partial
from typing import get_args

import msgspec
from litestar import Response

from chitlaq import inventory
from chitlaq.core.http import problems
from chitlaq.core.local_time import local
from chitlaq.logs import tail
from chitlaq.logs.tail import Level, Line, Lines, Positions, Wanted
from chitlaq.ops.console.pages import ConsoleRequest, Unknown, looked, page, screen
from chitlaq.ops.state import OpsState

SHOWN = 200
MOST = 500
"""Lines that a browser gets in one answer, and keeps on its page."""
READ_SECONDS = 2.0
LOOK_SECONDS = 3.0
LONGEST_TEXT = 200

SERVICES = (*inventory.COMPONENTS, "supervisor")


def _wanted(request: ConsoleRequest) -> Wanted:
    """Which lines the address asks for; what is no level or component means all."""
    query = request.query_params
    level, service = query.get("level", "all"), query.get("service", "")
    found: Level = "all"
    for one in get_args(Level):
        found = one if one == level else found
    text = query.get("text", "").strip()[:LONGEST_TEXT]
    return Wanted(found, service if service in SERVICES else "", text)


class Row(msgspec.Struct):
    """A line for the browser, with its time on people's clocks."""

    clock: str
    at: datetime
    service: str
    level: str
    text: str


def _row(line: Line) -> Row:
    return Row(f"{local(line.at):%H:%M:%S}", line.at, line.service, line.level, line.text)


@screen("/ops/logs")
async def logs(request: ConsoleRequest, state: OpsState) -> Response[str]:
    wanted = _wanted(request)
    read = partial(tail.newest, state.context.home, wanted, SHOWN, READ_SECONDS)
    found = await looked(asyncio.to_thread(read), LOOK_SECONDS)
    known = Lines([]) if isinstance(found, Unknown) else found
    return page(
        request,
        "logs.html",
        found=found,
        rows=[_row(line) for line in known.lines],
        positions=msgspec.json.encode(known.positions).decode(),
        wanted=wanted,
        services=SERVICES,
        most=MOST,
    )


class Since(msgspec.Struct):
    """What was written since the positions of the last answer."""

    rows: list[Row]
    positions: Positions
    unread: list[str]
    unknown: str = ""


@screen("/ops/logs/lines", media_type="application/json")
async def lines(request: ConsoleRequest, state: OpsState) -> Response[Since]:
    given = request.query_params.get("positions", "{}")
    try:
        positions = msgspec.json.decode(given, type=Positions)
    except msgspec.DecodeError as error:
        raise problems.invalid({"positions": str(error)}) from None
    read = partial(tail.since, state.context.home, _wanted(request), positions, MOST)
    found = await looked(asyncio.to_thread(read), LOOK_SECONDS)
    if isinstance(found, Unknown):
        answer = Since([], positions, [], found.reason)
    else:
        answer = Since([_row(line) for line in found.lines], found.positions, found.unread)
    return Response(answer, headers={"Cache-Control": "no-store"})
