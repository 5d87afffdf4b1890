"""Acting in the console, as on the command line: the plan, then the reason and the confirmation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from litestar import Response
from litestar.response import Redirect, Stream

from chitlaq import inventory
from chitlaq.core.http import problems
from chitlaq.core.point_in_time import shown
from chitlaq.ops.actions import record, registry
from chitlaq.ops.actions.model import Action, ActionContext, ActionRecord
from chitlaq.ops.console import forms
from chitlaq.ops.console.acting.plans import PlanChangedError
from chitlaq.ops.console.acting.runs import Run
from chitlaq.ops.console.pages import ConsoleRequest, form, looked, page, screen
from chitlaq.ops.state import OpsState

LISTED = 50

# nginx must pass each line on as it comes.
_AT_ONCE = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

Reason = Annotated[str, msgspec.Meta(max_length=1000)]


class Wish(msgspec.Struct):
    """What to plan; ``moment`` is a target as a browser's field for a date and a time has it."""

    action: str
    target: str = ""
    moment: str = ""


class Confirmation(msgspec.Struct):
    """Why a plan is carried out; for what is destructive also the name of what it does that to."""

    why: Reason
    name: str = ""


def _context(state: OpsState) -> ActionContext:
    return ActionContext(state.context.home, state.context.settings)


def _must_sign_in_again(request: ConsoleRequest, action: Action) -> bool:
    return action.needs_fresh_sign_in and not request.user.is_fresh(datetime.now(UTC))


def _to_sign_in_again(action: Action, target: str) -> Redirect:
    """Send the browser to sign in again, and back to where it plans the same."""
    back = f"/ops/actions?{urlencode({'action': action.name, 'target': target})}"
    return Redirect(f"/ops/sign-in?{urlencode({'again': 1, 'next': back})}", status_code=303)


@screen("/ops/actions")
async def actions(request: ConsoleRequest, state: OpsState) -> Response[str]:
    return page(
        request,
        "actions.html",
        actions=registry.ACTIONS.values(),
        components=inventory.COMPONENTS,
        done=await looked(record.listed(state.operations, LISTED)),
        chosen=request.query_params.get("action", ""),
        target=request.query_params.get("target", ""),
    )


@form("/ops/actions/plans")
async def plan(request: ConsoleRequest, state: OpsState) -> Response[Any]:
    wish = await forms.read(request, Wish)
    target = shown(forms.moment(wish.moment)) if wish.moment else wish.target.strip()
    action = registry.select(wish.action, target)
    if _must_sign_in_again(request, action):
        return _to_sign_in_again(action, target)
    made = await state.console.plans.make(request.user, action, target, _context(state))
    return Redirect(f"/ops/actions/plans/{made.id}", status_code=303)


@screen("/ops/actions/plans/{identifier:uuid}", sync_to_thread=False)
def planned(request: ConsoleRequest, state: OpsState, identifier: UUID) -> Response[str]:
    found = state.console.plans.find(request.user, identifier)
    return page(request, "plan.html", plan=found, error="", why="")


@form("/ops/actions/plans/{identifier:uuid}")
async def confirm(request: ConsoleRequest, state: OpsState, identifier: UUID) -> Response[Any]:
    given = await forms.read(request, Confirmation)
    found = state.console.plans.find(request.user, identifier)
    if _must_sign_in_again(request, found.action):
        return _to_sign_in_again(found.action, found.target)
    why, error = given.why.strip(), ""
    if not why:
        error = "Say why, for the record."
    elif found.action.is_destructive and given.name.strip() != found.name:
        error = f"Type {found.name} to confirm: nothing was done."
    if error:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return page(request, "plan.html", status, plan=found, error=error, why=why)
    context = _context(state)
    try:
        taken = await state.console.plans.take(request.user, identifier, context)
    except PlanChangedError as changed:
        remade = await state.console.plans.make(request.user, found.action, found.target, context)
        return page(
            request, "plan.html", HTTPStatus.CONFLICT, plan=remade, error=str(changed), why=why
        )
    run = state.console.runs.begin(taken, context, request.user.operator, why)
    return Redirect(f"/ops/actions/{run.record.id}", status_code=303)


@screen("/ops/actions/{identifier:uuid}")
async def action(request: ConsoleRequest, state: OpsState, identifier: UUID) -> Response[str]:
    found = await _found(state, identifier)
    done = found.record if isinstance(found, Run) else found
    lines = found.lines if isinstance(found, Run) else []
    return page(
        request,
        "action.html",
        done=done,
        lines=lines,
        goes_on=isinstance(found, Run) and not found.is_over,
    )


@screen("/ops/actions/{identifier:uuid}/output")
async def output(state: OpsState, identifier: UUID) -> Stream:
    """Stream what an action prints, as plain text."""
    found = await _found(state, identifier)
    texts = state.console.runs.output(found) if isinstance(found, Run) else _once(found.output)
    return Stream(texts, media_type="text/plain", headers=_AT_ONCE)


async def _once(text: str) -> AsyncIterator[str]:
    yield text


async def _found(state: OpsState, identifier: UUID) -> Run | ActionRecord:
    found = state.console.runs.find(identifier) or await record.find(state.operations, identifier)
    if found is None:
        raise problems.not_found("action")
    return found
