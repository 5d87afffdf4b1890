"""Accounts of others, for members with a role and, beyond nginx, for operators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from litestar import Request, delete, get, post, put
from litestar.datastructures import State
from litestar.params import Parameter

from chitlaq.core.http import problems
from chitlaq.core.http.identity import Identity
from chitlaq.core.http.operators import FOR_OPERATORS
from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.http.schemas import without_nul
from chitlaq.services.auth import origin
from chitlaq.services.auth.audit import audit
from chitlaq.services.auth.audit.schemas import AuditEntries
from chitlaq.services.auth.factors import factors, proving
from chitlaq.services.auth.roles import actors, administration, creation
from chitlaq.services.auth.roles.schemas import (
    AccountItem,
    Accounts,
    AccountState,
    Disabling,
    DisablingWork,
    Ended,
    FactorsWork,
    Grantable,
    NewAccountWork,
    RoleWork,
    SessionsWork,
    VerifyingWork,
    Work,
)
from chitlaq.services.auth.sessions.schemas import SessionItem
from chitlaq.services.auth.state import AuthState

Asking = Request[Any, Any, State]

CHANGED: Final[dict[str, Any]] = {"status_code": 200, **FOR_OPERATORS}

MOST = 1000


@get(
    "/auth/accounts/{username:str}", summary="See an account as a moderator", needs_role="moderator"
)
async def account_state(username: str, member: Identity, state: AuthState) -> AccountState:
    return _state_of(await administration.one(state.database, _by_name(username)))


@put(
    "/auth/accounts/{username:str}/disabled",
    summary="Let nobody sign in to an account, as a moderator",
    status_code=204,
    needs_role="moderator",
)
async def disable_account(
    username: str, data: Disabling, member: Identity, request: Asking, state: AuthState
) -> None:
    actor = _actor(member, request)
    await administration.disable(state, actor, _by_name(username), data.reason)


@delete(
    "/auth/accounts/{username:str}/disabled",
    summary="Let the owner of an account sign in again, as a moderator",
    needs_role="moderator",
)
async def enable_account(
    username: str, member: Identity, request: Asking, state: AuthState
) -> None:
    actor = _actor(member, request)
    await administration.enable(state, actor, _by_name(username))


@put(
    "/auth/accounts/{username:str}/roles/{role:str}",
    summary="Give an account a role, as an admin",
    status_code=204,
    needs_role="admin",
    requires=(proving.recent,),
)
async def grant_role(
    username: str, role: Grantable, member: Identity, request: Asking, state: AuthState
) -> None:
    await _change_role(username, role, member, request, state, is_granted=True)


@delete(
    "/auth/accounts/{username:str}/roles/{role:str}",
    summary="Take a role from an account, as an admin",
    needs_role="admin",
    requires=(proving.recent,),
)
async def revoke_role(
    username: str, role: Grantable, member: Identity, request: Asking, state: AuthState
) -> None:
    await _change_role(username, role, member, request, state, is_granted=False)


@get("/accounts", **FOR_OPERATORS)
async def find_accounts(
    state: AuthState,
    search: str | None = None,
    role: Grantable | None = None,
    disabled: bool | None = None,
    limit: Annotated[int, Parameter(ge=1, le=MOST)] = 100,
) -> Accounts:
    text = without_nul("search", search or "") or None
    return Accounts(await administration.found(state.database, text, role, disabled, limit))


@get("/account", **FOR_OPERATORS)
async def show_account(name: str, state: AuthState) -> AccountItem:
    """Show who is called so: an address may have what a path cannot."""
    return await administration.one(state.database, name)


@post("/accounts", **FOR_OPERATORS)
async def create_account(data: NewAccountWork, state: AuthState) -> AccountItem:
    await creation.create(state, data)
    return await administration.one(state.database, data.email)


@post("/accounts/verify", **CHANGED)
async def verify_for_operator(data: VerifyingWork, state: AuthState) -> AccountItem:
    await creation.verify(state.database, data.email, data.operator)
    return await administration.one(state.database, data.email)


@post("/accounts/{which:str}/reset-password", **CHANGED)
async def reset_for_operator(which: str, data: Work, state: AuthState) -> AccountItem:
    account = await administration.one(state.database, which)
    await creation.mail_link(state, account.email, data.operator)
    return account


@post("/accounts/{which:str}/reset-factors", **CHANGED)
async def reset_factors_for_operator(
    which: str, data: FactorsWork, state: AuthState
) -> AccountItem:
    account = await administration.one(state.database, which)
    await factors.reset(state, account.id, data.operator, data.identified_by)
    return account


@post("/accounts/{which:str}/disable", **CHANGED)
async def disable_for_operator(which: str, data: DisablingWork, state: AuthState) -> AccountItem:
    actor = actors.operator(data.operator)
    await administration.disable(state, actor, which, data.reason)
    return await administration.one(state.database, which)


@post("/accounts/{which:str}/enable", **CHANGED)
async def enable_for_operator(which: str, data: Work, state: AuthState) -> AccountItem:
    actor = actors.operator(data.operator)
    await administration.enable(state, actor, which)
    return await administration.one(state.database, which)


@post("/accounts/{which:str}/grant", **CHANGED)
async def grant_for_operator(which: str, data: RoleWork, state: AuthState) -> AccountItem:
    return await _change_for_operator(which, data, state, is_granted=True)


@post("/accounts/{which:str}/revoke", **CHANGED)
async def revoke_for_operator(which: str, data: RoleWork, state: AuthState) -> AccountItem:
    return await _change_for_operator(which, data, state, is_granted=False)


@get("/accounts/{which:str}/sessions", **FOR_OPERATORS)
async def sessions_for_operator(which: str, state: AuthState, paging: Paging) -> Page[SessionItem]:
    return await administration.listed_sessions(state.database, which, paging)


@post("/accounts/{which:str}/sessions/end", **CHANGED)
async def end_sessions_for_operator(which: str, data: SessionsWork, state: AuthState) -> Ended:
    actor = actors.operator(data.operator)
    ended = await administration.end_sessions(state.database, actor, which, data.session_id)
    return Ended(ended)


@get("/audit", **FOR_OPERATORS)
async def audit_for_operators(
    state: AuthState,
    user: str | None = None,
    since: datetime | None = None,
    limit: Annotated[int, Parameter(ge=1, le=MOST)] = 100,
) -> AuditEntries:
    account = None if user is None else await administration.one(state.database, user)
    about = account.id if account else None
    return AuditEntries(await audit.entries(state.database, about, since, limit))


def _actor(member: Identity, request: Asking) -> actors.Actor:
    return actors.member(member, origin.of(request, member.session_id))


def _by_name(username: str) -> str:
    """Return a name, or an id: moderators do not find out whose an address is.

    Raises:
        Problem: 404 for an address.
    """
    if "@" in username:
        raise problems.not_found("account")
    return username


async def _change_role(
    username: str,
    role: Grantable,
    member: Identity,
    request: Asking,
    state: AuthState,
    *,
    is_granted: bool,
) -> None:
    await administration.change_role(
        state,
        _actor(member, request),
        _by_name(username),
        role,
        is_granted=is_granted,
    )


async def _change_for_operator(
    which: str, data: RoleWork, state: AuthState, *, is_granted: bool
) -> AccountItem:
    await administration.change_role(
        state,
        actors.operator(data.operator),
        which,
        data.role,
        is_granted=is_granted,
    )
    return await administration.one(state.database, which)


def _state_of(account: AccountItem) -> AccountState:
    return AccountState(
        account.id,
        account.username,
        account.display_name,
        account.roles,
        account.created_at,
        account.disabled_at,
        account.disabled_reason,
    )
