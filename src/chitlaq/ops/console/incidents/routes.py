"""Incidents in the console. Who acts sends the version that they saw: what others did since is not undone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response
from litestar.params import Parameter
from litestar.response import Redirect

from chitlaq.core.http import problems
from chitlaq.ops.console import forms
from chitlaq.ops.console.incidents import steps
from chitlaq.ops.console.oncall import duty
from chitlaq.ops.console.pages import ConsoleRequest, Unknown, form, looked, page, screen
from chitlaq.ops.escalation.escalation import NextStep
from chitlaq.ops.incidents import impact, incidents, postmortem, timeline
from chitlaq.ops.incidents.changes import IncidentChangedError, Severity
from chitlaq.ops.incidents.impact import Impact
from chitlaq.ops.incidents.incidents import Incident
from chitlaq.ops.state import OpsState

LISTED = 100
IMPACT_SECONDS = 2.0
"""The access log of the whole incident is counted."""
LISTS = "/ops/incidents"

Number = Annotated[int, Parameter(ge=1, le=2**53)]
Text = Annotated[str, msgspec.Meta(max_length=timeline.MAX_CHARACTERS)]


class Opening(msgspec.Struct):
    title: Annotated[str, msgspec.Meta(max_length=timeline.MAX_TITLE)]
    severity: Severity


class Seen(msgspec.Struct):
    """Which version of an incident somebody decided on."""

    version: int


class Acknowledgement(Seen):
    takes_over: Literal["", "yes"] = ""
    to: Literal["", "now"] = ""
    """Where the form was: on the first screen, which is shown again."""


class Note(msgspec.Struct):
    text: Text
    kind: Literal["note", "helped", "hindered"] = "note"


class Decision(Seen):
    """What a form of `steps` sends: the reason, and what the step needs."""

    why: Text
    severity: Severity | None = None
    into: int | None = None
    alerts: Text = ""


@screen(LISTS)
async def listed(request: ConsoleRequest, state: OpsState) -> Response[str]:
    found = await looked(incidents.listed(state.operations, limit=LISTED))
    return page(request, "incidents.html", found=found, limit=LISTED)


@screen(f"{LISTS}/open", sync_to_thread=False)
def opening(request: ConsoleRequest) -> Response[str]:
    return page(request, "incident_open.html")


@form(f"{LISTS}/open")
async def open_one(request: ConsoleRequest, state: OpsState) -> Response[Any]:
    given = await forms.read(request, Opening)
    state.lease.require_here()
    made = await incidents.open_by_hand(
        state.operations, given.title, given.severity, request.user.operator
    )
    state.incidents_changed.set()
    return Redirect(f"{LISTS}/{made.id}", status_code=303)


@screen(f"{LISTS}/{{number:int}}")
async def shown(request: ConsoleRequest, state: OpsState, number: Number) -> Response[str]:
    return await _shown(request, state, number)


@form(f"{LISTS}/{{number:int}}/acknowledge")
async def acknowledge(request: ConsoleRequest, state: OpsState, number: Number) -> Response[Any]:
    given = await forms.read(request, Acknowledgement)
    state.lease.require_here()
    return await _done(
        request,
        state,
        number,
        incidents.acknowledge(
            state.operations,
            number,
            request.user.operator,
            given.version,
            takes_over=bool(given.takes_over),
        ),
        "/ops/" if given.to else "",
    )


@form(f"{LISTS}/{{number:int}}/note")
async def note(request: ConsoleRequest, state: OpsState, number: Number) -> Response[Any]:
    given = await forms.read(request, Note)
    work = incidents.note(
        state.operations, number, request.user.operator, text=given.text, kind=given.kind
    )
    return await _done(request, state, number, work)


@screen(f"{LISTS}/{{number:int}}/postmortem", media_type="text/markdown")
async def download(state: OpsState, number: Number) -> Response[str]:
    """Give the postmortem's draft as a file."""
    context = state.context
    text = await postmortem.markdown(state.operations, context.home, context.settings, number)
    named = {"Content-Disposition": f'attachment; filename="incident-{number}.md"'}
    return Response(text, media_type="text/markdown", headers=named)


@screen(f"{LISTS}/{{number:int}}/{{step:str}}")
async def asked(
    request: ConsoleRequest, state: OpsState, number: Number, step: str
) -> Response[str]:
    """Show what a step will do, and ask for the reason."""
    if step not in steps.STEPS:
        raise problems.not_found("page")
    found = await incidents.shown(state.operations, number)
    others = await incidents.listed(state.operations, limit=LISTED) if step == "merge" else []
    return page(
        request,
        "incident_step.html",
        incident=found,
        step=steps.STEPS[step],
        others=[one for one in others if one.id != number and one.status != "resolved"],
    )


@form(f"{LISTS}/{{number:int}}/{{step:str}}")
async def decide(
    request: ConsoleRequest, state: OpsState, number: Number, step: str
) -> Response[Any]:
    if step not in steps.STEPS:
        raise problems.not_found("page")
    given = await forms.read(request, Decision)
    if steps.STEPS[step].follows_lease:
        state.lease.require_here()
    work = steps.carried_out(
        step, state.operations, number, request.user.operator, given.version,
        why=given.why, severity=given.severity, into=given.into, alerts=given.alerts,
    )  # fmt: skip
    return await _done(request, state, number, work)


async def _done(
    request: ConsoleRequest,
    state: OpsState,
    number: Number,
    work: Awaitable[Incident],
    then: str = "",
) -> Response[Any]:
    try:
        changed = await work
    except IncidentChangedError as error:
        return await _shown(request, state, number, error=str(error))
    state.incidents_changed.set()
    return Redirect(then or f"{LISTS}/{changed.id}", status_code=303)


async def _next_steps(state: OpsState, number: Number) -> list[NextStep]:
    on_call = await duty.now(state)
    return await on_call.next_steps(state.operations, number)


async def _shown(
    request: ConsoleRequest, state: OpsState, number: Number, error: str = ""
) -> Response[str]:
    found = await incidents.shown(state.operations, number)
    context = state.context
    lines, felt, calls = await asyncio.gather(
        looked(timeline.of(state.operations, number)),
        looked(impact.of(state.operations, context.home, context.settings, number), IMPACT_SECONDS),
        looked(_next_steps(state, number)),
    )
    return page(
        request,
        "incident.html",
        HTTPStatus.CONFLICT if error else HTTPStatus.OK,
        incident=found,
        timeline=lines,
        impact=_said(felt),
        routes=() if isinstance(felt, Unknown) else felt.routes,
        calls=calls,
        error=error,
        steps=steps.for_incident(found),
    )


def _said(felt: Impact | Unknown) -> str | Unknown:
    if isinstance(felt, Unknown):
        return felt
    # That nothing failed is only known where something could be seen.
    is_blind = felt.began_at is None and felt.reach
    return Unknown(felt.reach) if is_blind else impact.said(felt)
