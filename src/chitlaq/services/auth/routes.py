"""HTTP in and out of auth-service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, delete, get, post
from litestar.datastructures import State

from chitlaq import inventory
from chitlaq.core import tasks
from chitlaq.core.data import mail, postgres
from chitlaq.core.data.jobs import Runner
from chitlaq.core.http import app, client_address, problems
from chitlaq.core.http.identity import Identity
from chitlaq.core.http.limits import Limiter
from chitlaq.core.http.problems import Problem
from chitlaq.core.http.service import Context, Service
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.telemetry import logs
from chitlaq.services.auth.accounts.accounts import Accounts
from chitlaq.services.auth.schemas import (
    AuthStatus,
    Login,
    Refresh,
    Registered,
    Registration,
    Resend,
    SignedIn,
    Verification,
    Verified,
)
from chitlaq.services.auth.schemas import Sessions as SessionList
from chitlaq.services.auth.sessions.sessions import Sessions, Signer

log = logs.get("auth")


@post("/auth/register", summary="Join with a university address")
async def register(data: Registration, state: State) -> Registered:
    accounts: Accounts = state.accounts
    return Registered(await accounts.register(data), verification="sent")


@post("/auth/verify", status_code=200, summary="Prove the address with the token from the mail")
async def verify(data: Verification, state: State) -> Verified:
    accounts: Accounts = state.accounts
    return Verified(await accounts.verify(data.token))


@post(
    "/auth/verify/resend", status_code=202, summary="Mail a new link, if the address waits for one"
)
async def resend(data: Resend, state: State) -> dict[str, str]:
    accounts: Accounts = state.accounts
    limit: Limiter = state.resend_limit
    await limit.spend(data.email.lower())
    await accounts.resend(data.email)
    return {"verification": "sent"}


@post("/auth/login", status_code=200, summary="Sign in with address or username and password")
async def login(data: Login, request: Request[Any, Any, State]) -> SignedIn:
    sessions: Sessions = request.app.state.sessions
    user_agent = request.headers.get("user-agent", "").replace("\x00", "")
    return await sessions.login(data, user_agent, client_address.client_address(request))


@post("/auth/refresh", status_code=200, summary="Exchange a refresh token for new tokens")
async def refresh(data: Refresh, state: State) -> SignedIn:
    sessions: Sessions = state.sessions
    return await sessions.refresh(data.refresh_token)


@post("/auth/logout", status_code=204, summary="Sign this device out")
async def logout(member: Identity, state: State) -> None:
    sessions: Sessions = state.sessions
    await sessions.end(member.account_id, member.session_id)


@get("/auth/status", summary="Whether the sender of this request is signed in")
async def status(request: Request[Any, Any, State]) -> AuthStatus:
    sessions: Sessions = request.app.state.sessions
    try:
        identity = await app.viewer(request)
    except Problem as problem:
        if problem.status is not HTTPStatus.UNAUTHORIZED:
            raise
        return AuthStatus(authenticated=False, user=None, detail=problem.detail)
    if identity is None:
        return AuthStatus(authenticated=False, user=None, detail="No access token was sent.")
    user = await sessions.user(identity)
    if user is None:
        return AuthStatus(authenticated=False, user=None, detail="The session was ended.")
    return AuthStatus(authenticated=True, user=user, detail="Signed in.")


@get("/auth/sessions", summary="The devices that are signed in")
async def list_sessions(member: Identity, state: State) -> SessionList:
    sessions: Sessions = state.sessions
    return SessionList(await sessions.listed(member))


@delete("/auth/sessions/{session_id:uuid}", summary="Sign a device out")
async def end_session(session_id: UUID, member: Identity, state: State) -> None:
    sessions: Sessions = state.sessions
    if not await sessions.end(member.account_id, session_id):
        raise problems.not_found("session")


@get("/auth/jwks.json", sync_to_thread=False, summary="The keys that access tokens are signed with")
def jwks(state: State) -> dict[str, list[dict[str, Any]]]:
    signer: Signer = state.signer
    return {"keys": [signer.public_jwk]}


@asynccontextmanager
async def run(context: Context) -> AsyncIterator[dict[str, Any]]:
    settings, database = context.settings, context.database
    signer = Signer(Secrets(context.home.secrets).signing_key)
    attempts = settings.limits.login_attempts_per_minute
    login_limit = Limiter(context.valkey, context.service, "login", attempts, lease=1)
    handlers = [mail.sender(database, settings.smtp)] if settings.smtp.host else []
    async with (
        tasks.running(partial(_publish_key, database, signer)),
        Runner(database, *handlers).running(),
    ):
        yield {
            "accounts": Accounts(database, settings),
            "sessions": Sessions(database, settings.tokens, signer, login_limit),
            "resend_limit": Limiter(context.valkey, context.service, "resend", 3, lease=1),
            "signer": signer,
        }


async def _publish_key(database: postgres.Database, signer: Signer) -> None:
    """Let the other services know the public key, as soon as the database can be reached."""
    jwk = msgspec.json.encode(signer.public_jwk).decode()
    while True:
        try:
            async with database.session() as session:
                await session.execute("publish_key", signer.key_id, jwk)
        except postgres.PostgresUnavailableError as error:
            log.warning("signing key not published yet", error=str(error))
            await asyncio.sleep(1)
        else:
            return


SERVICE = Service(
    inventory.COMPONENTS["auth-service"],
    handlers=[
        register,
        verify,
        resend,
        login,
        refresh,
        logout,
        status,
        list_sessions,
        end_session,
        jwks,
    ],
    run=run,
)
