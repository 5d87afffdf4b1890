"""Look accounts up, give them roles, disable them, and end their sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from chitlaq.core.data import notify
from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http import problems, roles
from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.installation.settings import Settings
from chitlaq.services.auth import mails
from chitlaq.services.auth.accounts.accounts import login_name
from chitlaq.services.auth.audit import audit
from chitlaq.services.auth.mails import Recipient
from chitlaq.services.auth.roles.actors import Actor
from chitlaq.services.auth.roles.schemas import AccountItem, Grantable
from chitlaq.services.auth.sessions import sessions
from chitlaq.services.auth.sessions.schemas import SessionItem
from chitlaq.services.auth.state import AuthState


async def found(
    database: Database,
    text: str | None,
    role: Grantable | None,
    is_disabled: bool | None,
    most: int,
) -> list[AccountItem]:
    """Return the newest accounts that are looked for; None is anything."""
    wanted = text.strip().lower() if text else None
    rows = await database.rows("accounts_found", wanted, role, is_disabled, most)
    return [AccountItem(**row) for row in rows]


async def one(database: Database, which: str) -> AccountItem:
    """Return an account, given its id, address or name.

    Raises:
        Problem: 404.
    """
    row = await database.row("account_named", *_names(which))
    if row is None:
        raise problems.not_found("account")
    return AccountItem(**row)


async def change_role(
    state: AuthState, actor: Actor, which: str, role: Grantable, *, is_granted: bool
) -> None:
    """Give an account a role, or take it away; its clients get tokens that say so.

    Raises:
        Problem: 404 for an unknown account, 403 if the actor may not.
    """
    if roles.rank({role}) >= actor.rank:
        raise problems.forbidden(f"Only a higher role may give or take the role {role}.")
    async with _changed(state.database, actor, which) as (session, row):
        has = set(row["roles"])
        wanted = has | {role} if is_granted else has - {role}
        if wanted != has:
            await session.execute("set_roles", row["id"], sorted(wanted, key=roles.ROLES.index))
            action: audit.Action = "role_granted" if is_granted else "role_revoked"
            await actor.record(session, row["id"], action, role=role)
            await _tell(session, state.settings, row["id"], action, role=role)


async def disable(state: AuthState, actor: Actor, which: str, reason: str) -> None:
    """Let nobody sign in to an account, and end its sessions; what its member wrote stays.

    Raises:
        Problem: 404 for an unknown account, 403 if the actor may not.
    """
    async with _changed(state.database, actor, which) as (session, row):
        await session.execute("disable_account", row["id"], reason)
        await actor.record(session, row["id"], "disabled", reason=reason)
        if row["disabled_at"] is None:
            await _tell(session, state.settings, row["id"], "disabled", reason=reason)


async def enable(state: AuthState, actor: Actor, which: str) -> None:
    """Let the owner of a disabled account sign in again.

    Raises:
        Problem: 404 for an unknown account, 403 if the actor may not.
    """
    async with _changed(state.database, actor, which) as (session, row):
        if row["disabled_at"] is not None:
            await session.execute("enable_account", row["id"])
            await actor.record(session, row["id"], "enabled")
            await _tell(session, state.settings, row["id"], "enabled")


async def end_sessions(
    database: Database, actor: Actor, which: str, session_id: UUID | None
) -> int:
    """End one session of an account, or all; return how many have ended.

    Raises:
        Problem: 404 for an unknown account, 403 if the actor may not.
    """
    async with _changed(database, actor, which) as (session, row):
        if session_id is None:
            ended = await sessions.end_all(session, row["id"])
            if ended:
                await actor.record(session, row["id"], "sessions_ended", ended=ended)
        else:
            ended = await session.execute("end_session", session_id, row["id"])
            if ended:
                await actor.record(session, row["id"], "session_ended", ended=str(session_id))
        return ended


async def listed_sessions(database: Database, which: str, paging: Paging) -> Page[SessionItem]:
    """Return a page of the signed-in devices of an account, those that signed in last first.

    Raises:
        Problem: 404 for an unknown account.
    """
    account = await one(database, which)
    return await sessions.listed(database, account.id, paging)


async def _tell(
    session: Session, settings: Settings, account_id: UUID, kind: audit.Action, **values: str
) -> None:
    """Tell its owner what was done to an account, also by mail, in the caller's transaction."""
    await notify.tell_account(
        session, account_id, "moderation", " ".join([kind, values.get("role", "")]).strip()
    )
    row = await session.row("account_of_owner", account_id)
    assert row is not None
    to = Recipient(row["email"], row["display_name"], row["language"])
    await mails.tell(session, settings, to, kind, **values)


@asynccontextmanager
async def _changed(
    database: Database, actor: Actor, which: str
) -> AsyncIterator[tuple[Session, Any]]:
    """A transaction that holds an account; each of them sees what the one before it did."""
    async with database.transaction() as session:
        row = await session.row("lock_account_named", *_names(which))
        if row is None:
            raise problems.not_found("account")
        if roles.rank(row["roles"]) >= actor.rank:
            raise problems.forbidden("Only a higher role may change this account.")
        yield session, row


def _names(which: str) -> tuple[UUID | None, str]:
    """The id that a text is, if it is one, and the address or name that it may be.

    Raises:
        Problem: 404 for what PostgreSQL's text cannot hold.
    """
    if "\x00" in which:
        raise problems.not_found("account")
    try:
        return UUID(which), ""
    except ValueError:
        return None, login_name(which)
