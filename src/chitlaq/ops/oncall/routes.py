"""The calendars of the people on call."""

from __future__ import annotations

from datetime import UTC, datetime

from litestar import Response, get

from chitlaq.core.http import problems
from chitlaq.core.installation.secrets import Secrets
from chitlaq.ops.oncall import current, overrides, shift_calendar
from chitlaq.ops.state import OpsState


@get(
    "/oncall/{calendar:str}",
    summary="The shifts of a person, for calendar programs (the path contains their token)",
    media_type=shift_calendar.MEDIA_TYPE,
)
async def read_calendar(state: OpsState, calendar: str) -> Response[str]:
    context = state.context
    roster = current.read(context.home, context.settings.operations).roster
    secret = Secrets(context.home.secrets).ops_token
    person = shift_calendar.owner(secret, calendar.removesuffix(".ics"), roster)
    if person is None:
        raise problems.not_found("calendar")
    now = datetime.now(UTC)
    known = await overrides.listed(state.operations, now - shift_calendar.BEFORE)
    return Response(
        shift_calendar.calendar(roster, known, person, now),
        media_type=shift_calendar.MEDIA_TYPE,
        headers={"Cache-Control": "private, max-age=600"},
    )
