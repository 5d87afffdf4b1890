"""Signing in and out, and the devices that are signed in, over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.datastructures import State
from litestar.openapi.datastructures import ResponseSpec

from chitlaq.core.http import app, openapi, problems
from chitlaq.core.http.identity import Identity
from chitlaq.core.http.operators import FOR_OPERATORS
from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.http.problems import Problem
from chitlaq.services.auth import origin
from chitlaq.services.auth.factors import proving
from chitlaq.services.auth.sessions import cookies, sessions
from chitlaq.services.auth.sessions import login as signing_in
from chitlaq.services.auth.sessions.keys import JWKS_SECONDS
from chitlaq.services.auth.sessions.schemas import (
    AuthStatus,
    Login,
    Refresh,
    SessionItem,
    SignedIn,
    SigningKey,
    SigningKeys,
)
from chitlaq.services.auth.state import AuthState


@post(
    "/auth/login",
    status_code=200,
    summary="Sign in with address or username and password",
    refuses=(401, 403, 429, 503),
)
async def login(
    data: Login, request: Request[Any, Any, State], state: AuthState
) -> Response[SignedIn]:
    if not data.cookies:
        return Response(await signing_in.login(state, data, origin.of(request)))
    cookies.require_own_page(request, state)
    asking, device = cookies.browser(request)
    return cookies.answered(state, await signing_in.login(state, data, asking), device)


@post(
    "/auth/refresh",
    status_code=200,
    summary="Exchange a refresh token for new tokens",
    refuses=(401, 403),
)
async def refresh(
    data: Refresh, request: Request[Any, Any, State], state: AuthState
) -> Response[SignedIn]:
    asking = origin.of(request)
    if data.refresh_token is not None:
        return Response(await sessions.refresh(state, data.refresh_token, asking))
    token, session_id = cookies.refresh_token(request, state)
    try:
        return cookies.answered(state, await sessions.refresh(state, token, asking, session_id))
    except Problem as problem:
        raise cookies.forgetting(problem) from None


@post(
    "/auth/logout",
    status_code=204,
    summary="Sign this device out",
    responses={204: ResponseSpec(None, description="Signed out", generate_examples=False)},
)
async def logout(
    member: Identity, request: Request[Any, Any, State], state: AuthState
) -> Response[None]:
    asking = origin.of(request, member.session_id)
    await sessions.end(state.database, member, member.session_id, asking)
    is_by_cookie = "authorization" not in request.headers
    return Response(None, cookies=cookies.forgotten() if is_by_cookie else None)


@get(
    "/auth/status",
    summary="Whether the client is signed in",
    security=openapi.ANYBODY,
    refuses=(429,),
)
async def status(request: Request[Any, Any, State], state: AuthState) -> AuthStatus:
    try:
        identity = await app.viewer(request)
    except Problem as problem:
        if problem.status is not HTTPStatus.UNAUTHORIZED:
            raise
        return AuthStatus(authenticated=False, user=None, detail=problem.detail)
    if identity is None:
        return AuthStatus(authenticated=False, user=None, detail="No access token was sent.")
    user = await sessions.user(state.database, identity)
    if user is None:
        return AuthStatus(authenticated=False, user=None, detail="The session has ended.")
    return AuthStatus(authenticated=True, user=user, detail="Signed in.")


@get("/auth/sessions", summary="The signed-in devices, this one first")
async def list_sessions(member: Identity, state: AuthState, paging: Paging) -> Page[SessionItem]:
    return await sessions.listed(state.database, member.account_id, paging, member.session_id)


@delete(
    "/auth/sessions",
    summary="Sign all devices out but this one",
    requires=(proving.recent,),
    refuses=(403,),
)
async def end_other_sessions(
    member: Identity, request: Request[Any, Any, State], state: AuthState
) -> None:
    await sessions.end_others(state.database, member, origin.of(request, member.session_id))


@delete(
    "/auth/sessions/{session_id:uuid}",
    summary="Sign a device out",
    requires=(proving.recent,),
    refuses=(403,),
)
async def end_session(
    session_id: UUID, member: Identity, request: Request[Any, Any, State], state: AuthState
) -> None:
    asking = origin.of(request, member.session_id)
    if not await sessions.end(state.database, member, session_id, asking):
        raise problems.not_found("session")


@get("/auth/jwks.json", summary="The public keys that verify access tokens")
async def jwks(state: AuthState) -> Response[dict[str, list[dict[str, Any]]]]:
    rows = await state.database.rows("published_keys")
    found = [msgspec.json.decode(row["public_jwk"]) for row in rows]
    return Response({"keys": found}, headers={"Cache-Control": f"max-age={JWKS_SECONDS}"})


@get("/auth/keys", summary="The signing keys, for operators", **FOR_OPERATORS)
async def list_keys(state: AuthState) -> SigningKeys:
    return SigningKeys(await state.signing_keys.listed())


@post("/auth/keys", summary="Publish a signing key that will sign, for operators", **FOR_OPERATORS)
async def rotate_keys(state: AuthState) -> SigningKey:
    return await state.signing_keys.rotate()


@delete("/auth/keys/{key_id:str}", summary="Remove a signing key, for operators", **FOR_OPERATORS)
async def remove_key(key_id: str, state: AuthState) -> None:
    await state.signing_keys.remove(key_id)
