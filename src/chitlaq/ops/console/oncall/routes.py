"""On call: who has which duty now and next, who stands in, and whether channels work."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Response
from litestar.response import Redirect

from chitlaq.ops.console import forms
from chitlaq.ops.console.oncall import duty
from chitlaq.ops.console.pages import ConsoleRequest, Unknown, form, looked, page, screen
from chitlaq.ops.oncall import duties, overrides, rotations
from chitlaq.ops.oncall.roster import Person
from chitlaq.ops.oncall.rotations import Shift
from chitlaq.ops.state import OpsState

SHOWN_DAYS = 14
PLACE = "/ops/oncall"

Word = Annotated[str, msgspec.Meta(max_length=200)]


class StandIn(msgspec.Struct):
    """Who stands in; moments as a browser's field has them."""

    rotation: Word
    person: Word
    starts_at: Word
    ends_at: Word
    note: Word


class Removal(msgspec.Struct):
    id: Word


class Plan(msgspec.Struct, frozen=True):
    """A rotation: who has it now, its shifts, and what whoever takes over should know."""

    rotation: str
    now: Person | None
    shifts: list[Shift]
    note: str


@screen(PLACE)
async def on_call(request: ConsoleRequest, state: OpsState) -> Response[str]:
    now = datetime.now(UTC)
    found = await looked(duty.now(state))
    notes = await looked(duties.handover_notes(state.operations))
    said = {} if isinstance(notes, Unknown) else {one.rotation: one.text for one in notes}
    until = now + timedelta(days=SHOWN_DAYS)
    plans = [] if isinstance(found, Unknown) else _plans(found, said, now, until)
    return page(
        request,
        "oncall.html",
        duty=found,
        plans=plans,
        now=now,
        until=until,
        begin=forms.field(now),
    )


@form(f"{PLACE}/overrides")
async def stand_in(request: ConsoleRequest, state: OpsState) -> Response[Any]:
    given = await forms.read(request, StandIn)
    state.lease.require_here()
    roster = (await duty.now(state)).current.roster
    period = (forms.moment(given.starts_at), forms.moment(given.ends_at))
    await overrides.add(
        state.operations,
        roster,
        given.rotation,
        given.person,
        period,
        request.user.operator,
        given.note.strip(),
    )
    state.incidents_changed.set()
    return Redirect(PLACE, status_code=303)


@form(f"{PLACE}/overrides/remove")
async def remove(request: ConsoleRequest, state: OpsState) -> Response[Any]:
    given = await forms.read(request, Removal)
    state.lease.require_here()
    await overrides.remove(state.operations, given.id, request.user.operator)
    return Redirect(PLACE, status_code=303)


def _plans(
    found: duty.Duty, notes: Mapping[str, str], now: datetime, until: datetime
) -> list[Plan]:
    roster, known = found.current.roster, found.overrides or ()
    return [
        Plan(
            name,
            rotations.on_call(roster, known, name, now),
            rotations.shifts(roster, known, name, now, until),
            notes.get(name, ""),
        )
        for name in roster.rotations
    ]
