"""Departures: an account that its owner gives up, which may be kept for two weeks and is then erased.

At once it is signed out everywhere and invisible to others. Until the last day its owner may sign in, but
only to auth-service: to keep it, or to fetch an export. Then every service erases its part, and the account
goes last, with all that refers to it.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from chitlaq.core.data import jobs, member_data
from chitlaq.core.data.jobs import Handler, Job, JobKind
from chitlaq.core.data.postgres import Database, PostgresUnavailableError, Session
from chitlaq.core.http import problems
from chitlaq.core.http.identity import Identity
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.services.auth import mails
from chitlaq.services.auth.audit import audit
from chitlaq.services.auth.departures.schemas import Departure
from chitlaq.services.auth.mails import Recipient
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.passwords import passwords
from chitlaq.services.auth.sessions import sessions
from chitlaq.services.auth.state import AuthState

GRACE_DAYS = 14
LOOK_SECONDS = 10.0

log = logs.get("departures")


class EraseAccount(msgspec.Struct, frozen=True):
    account_id: UUID


ERASE_ACCOUNT = JobKind("erase_account", EraseAccount)


async def leave(state: AuthState, who: Identity, password: str | None, origin: Origin) -> Departure:
    """Begin the departure of who is signed in.

    Raises:
        Problem: 401 if the session that asks has ended; 422 for a missing or another password; 429 for too
            many attempts.
    """
    if password is not None:
        await passwords.confirmed(state, who, password, origin, "password")
    elif await state.database.value("has_any_password", who.account_id):
        raise problems.invalid({"password": "is missing"})
    async with state.database.transaction() as session:
        await sessions.require_live(session, who)
        erase_at = await _begin(session, state.settings, who.account_id, origin)
    log.info("account leaves", account_id=who.account_id, address=origin.address)
    return Departure(erase_at)


async def dismiss(state: AuthState, account_id: UUID, operator: str) -> datetime:
    """Begin the departure of an account as an operator; its owner may keep it as any other."""
    async with state.database.transaction() as session:
        erase_at = await _begin(session, state.settings, account_id, None, operator)
    log.info("account leaves", account_id=account_id, operator=operator)
    return erase_at


async def _begin(
    session: Session,
    settings: Settings,
    account_id: UUID,
    origin: Origin | None,
    operator: str | None = None,
) -> datetime:
    """Sign all devices out, and hide the member, unless that is so already; return when they are erased."""
    await session.execute("lock_account", account_id)
    row = await session.row("insert_departure", account_id, GRACE_DAYS)
    if row is None:
        erase_at: datetime = await session.value("departure_of_account", account_id)
    else:
        erase_at = row["erase_at"]
        await session.value("hide_member", account_id, True)
        await audit.write(session, account_id, "deletion_requested", origin, operator=operator)
        await _tell(session, settings, account_id, "account_leaves", erase_at)
    await sessions.end_all(session, account_id)
    await sessions.revoke_account(session, account_id)
    return erase_at


async def keep(state: AuthState, who: Identity, origin: Origin) -> None:
    """Let an account stay after all; repeating it changes nothing.

    Raises:
        Problem: 401 if the session that asks has ended; 409 if the erasure has begun.
    """
    async with state.database.transaction() as session:
        await sessions.require_live(session, who)
        if not await session.execute("delete_departure", who.account_id):
            if await session.value("departure_of_account", who.account_id) is not None:
                raise problems.conflict("This account is being erased: it cannot be kept any more.")
            return
        await session.value("hide_member", who.account_id, False)
        # The next tokens are good everywhere again.
        await sessions.revoke_account(session, who.account_id)
        await audit.write(session, who.account_id, "account_kept", origin)
        await _tell(session, state.settings, who.account_id, "account_kept")
    log.info("account stays", account_id=who.account_id, address=origin.address)


async def _tell(
    session: Session,
    settings: Settings,
    account_id: UUID,
    kind: str,
    erase_at: datetime | None = None,
) -> None:
    row = await session.row("account_of_owner", account_id)
    assert row is not None
    to = Recipient(row["email"], row["display_name"], row["language"])
    values = {"date": erase_at.date().isoformat()} if erase_at else {}
    await mails.tell(session, settings, to, kind, "/settings/delete" if erase_at else "", **values)


async def work_forever(database: Database) -> None:
    """Begin the erasures that are due, and forget exports that are over, again and again."""
    while True:
        try:
            while await _begin_erasure(database):
                pass
            async with database.session() as session:
                await session.execute("forget_exports")
        except PostgresUnavailableError as error:
            log.warning("departures wait for the database", error=str(error))
        await asyncio.sleep(LOOK_SECONDS)


async def _begin_erasure(database: Database) -> bool:
    """Begin one, if any is due; from now on the account cannot be kept."""
    roles = member_data.contributors()
    async with database.transaction() as session:
        account_id = await session.value("due_departure")
        if account_id is None:
            return False
        await session.execute("lock_account", account_id)
        if await session.execute("begin_erasure", account_id, roles):
            await sessions.end_all(session, account_id)
            await session.execute("revoke_tokens", account_id)
            for role in roles:
                part = member_data.PartOfErasure(account_id)
                await jobs.enqueue(session, member_data.erasure_kind(role), part)
    return True


def handler() -> Handler[EraseAccount]:
    """Return the handler that erases accounts of which every service has erased its part."""
    return Handler(ERASE_ACCOUNT, _erase)


async def _erase(job: Job, payload: EraseAccount) -> None:
    async with job.completing() as session:
        account: Any = await session.row("erasable_account", payload.account_id)
        if account is None:
            return
        await session.execute("retire_username", account["username"])
        await session.execute("erase_mails", account["id"])
        await session.execute("erase_jobs", account["email"])
        await session.execute("erase_registrations", account["email"])
        await session.execute("erase_account", account["id"])
    log.info("account erased", account_id=payload.account_id)
