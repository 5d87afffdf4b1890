"""Exports and departures over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, delete, get, post
from litestar.datastructures import State
from litestar.response import Stream

from chitlaq.core.http.identity import Identity
from chitlaq.core.http.operators import FOR_OPERATORS
from chitlaq.services.auth import origin
from chitlaq.services.auth.departures import departures, exports
from chitlaq.services.auth.departures.schemas import Deletion, Departure, Exports
from chitlaq.services.auth.factors import proving
from chitlaq.services.auth.roles import administration
from chitlaq.services.auth.roles.schemas import Work
from chitlaq.services.auth.state import AuthState


@post(
    "/auth/export",
    status_code=202,
    summary="Ask for a copy of everything that is kept of you; a mail says when it is ready",
    refuses=(429,),
)
async def request_export(
    member: Identity, request: Request[Any, Any, State], state: AuthState
) -> dict[str, str]:
    await exports.request(state, member, origin.of(request, member.session_id))
    return {"export": "begun"}


@get("/auth/export", summary="Your exports that are kept or being made, newest first")
async def list_exports(member: Identity, state: AuthState) -> Exports:
    return Exports(await exports.listed(state.database, member))


@get("/auth/export/{export_id:uuid}", summary="An export, as a ZIP", media_type="application/zip")
async def fetch_export(
    export_id: UUID, member: Identity, request: Request[Any, Any, State], state: AuthState
) -> Stream:
    asking = origin.of(request, member.session_id)
    return Stream(
        await exports.content(state, member, export_id, asking),
        media_type="application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="chitlaq-{export_id}.zip"',
        },
    )


@delete(
    "/auth/account",
    status_code=202,
    summary="Leave: sign out everywhere, become invisible, and be erased after 14 days",
    requires=(proving.recent,),
    refuses=(403, 429, 503),
)
async def leave(
    data: Deletion, member: Identity, request: Request[Any, Any, State], state: AuthState
) -> Departure:
    asking = origin.of(request, member.session_id)
    return await departures.leave(state, member, data.password, asking)


@post(
    "/auth/account/keep",
    status_code=204,
    summary="Keep an account that was to be deleted",
    refuses=(409,),
)
async def keep(member: Identity, request: Request[Any, Any, State], state: AuthState) -> None:
    await departures.keep(state, member, origin.of(request, member.session_id))


@post("/accounts/{which:str}/delete", status_code=200, **FOR_OPERATORS)
async def delete_for_operator(which: str, data: Work, state: AuthState) -> Departure:
    account = await administration.one(state.database, which)
    erase_at = await departures.dismiss(state, account.id, data.operator)
    return Departure(erase_at)
