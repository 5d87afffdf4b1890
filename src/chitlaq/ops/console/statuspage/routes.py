"""What members are told: publish an update, say how a component is, announce work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Response
from litestar.response import Redirect

from chitlaq.core.errors import OperatorError
from chitlaq.ops.console import forms
from chitlaq.ops.console.pages import ConsoleRequest, form, looked, page, screen
from chitlaq.ops.incidents import incidents
from chitlaq.ops.state import OpsState
from chitlaq.ops.statuspage import current, maintenance, published, site, told
from chitlaq.ops.statuspage.components import COMPONENTS, State
from chitlaq.ops.statuspage.published import UpdateStatus

T = TypeVar("T")

PLACE = "/ops/status"
HISTORY = timedelta(days=7)
LISTED = 50
CLEAR = "clear"

Line = Annotated[str, msgspec.Meta(max_length=told.LONGEST_TITLE)]
Text = Annotated[str, msgspec.Meta(max_length=told.LONGEST_TEXT)]


class Publishing(msgspec.Struct):
    incident: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    status: UpdateStatus
    component: list[str] = []
    text: Text = ""
    text_tr: Text = ""
    title: Line = ""
    title_tr: Line = ""


class Word(msgspec.Struct):
    """What a person says of a component; `CLEAR` for what is measured."""

    component: str
    state: str


class Announcement(msgspec.Struct):
    title: Line
    starts_at: str
    ends_at: str
    component: list[str] = []
    title_tr: Line = ""
    text: Text = ""
    text_tr: Text = ""


class Ended(msgspec.Struct):
    number: Annotated[int, msgspec.Meta(ge=1, le=2**53)]


@screen(PLACE)
async def shown(request: ConsoleRequest, state: OpsState) -> Response[str]:
    now = datetime.now(UTC)
    components, told_before, work, known = await asyncio.gather(
        looked(current.components(state.operations, now)),
        looked(published.listed(state.operations, now - HISTORY)),
        looked(maintenance.listed(state.operations, now)),
        looked(incidents.listed(state.operations, limit=LISTED)),
    )
    return page(
        request,
        "statuspage.html",
        components=components,
        published=told_before,
        work=work,
        incidents=known,
        chosen=request.query_params.get("incident", ""),
        statuses=list(UpdateStatus),
        states=list(State),
        names=list(COMPONENTS),
        now=now,
        begin=forms.field(now + timedelta(hours=1)),
    )


@form(f"{PLACE}/publish")
async def publish(request: ConsoleRequest, state: OpsState) -> Response[Any]:
    given = await forms.read(request, Publishing)
    state.lease.require_here()
    work = published.publish(
        state.operations,
        given.incident,
        given.status,
        request.user.operator,
        names=given.component,
        text=given.text,
        text_tr=given.text_tr,
        title=given.title,
        title_tr=given.title_tr,
    )
    return await _done(state, work)


@form(f"{PLACE}/components")
async def say(request: ConsoleRequest, state: OpsState) -> Response[Any]:
    given = await forms.read(request, Word)
    state.lease.require_here()
    names, who = [given.component], request.user.operator
    if given.state == CLEAR:
        return await _done(state, current.clear(state.operations, names, who))
    word = current.state_of(given.state)
    return await _done(state, current.set_by_person(state.operations, names, word, who))


@form(f"{PLACE}/maintenance")
async def announce(request: ConsoleRequest, state: OpsState) -> Response[Any]:
    given = await forms.read(request, Announcement)
    state.lease.require_here()
    work = maintenance.add(
        state.operations,
        given.component,
        forms.moment(given.starts_at),
        forms.moment(given.ends_at),
        given.title,
        request.user.operator,
        title_tr=given.title_tr,
        text=given.text,
        text_tr=given.text_tr,
    )
    return await _done(state, work)


@form(f"{PLACE}/maintenance/end")
async def end(request: ConsoleRequest, state: OpsState) -> Response[Any]:
    given = await forms.read(request, Ended)
    state.lease.require_here()
    return await _done(
        state, maintenance.end(state.operations, given.number, request.user.operator)
    )


async def _done(state: OpsState, work: Awaitable[T]) -> Response[Any]:
    """Write the page at once: members need not wait for the next turn."""
    await work
    context = state.context
    try:
        await site.write(context.home, context.settings, state.operations)
    except OSError as error:
        raise OperatorError(
            f"It is published, but the page cannot be written yet ({error.strerror}): it is tried again every"
            " half minute."
        ) from None
    return Redirect(PLACE, status_code=303)
