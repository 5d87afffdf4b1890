"""Forgotten passwords: a link to the account's address lets its owner choose a new one."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import asyncpg
import msgspec

from chitlaq.core.data import jobs
from chitlaq.core.data.jobs import Handler, Job, JobKind
from chitlaq.core.data.mail import TooManyMailsError
from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http import problems
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.services.auth import mails
from chitlaq.services.auth.accounts import registrations
from chitlaq.services.auth.attempts import attempts, known_devices
from chitlaq.services.auth.audit import audit
from chitlaq.services.auth.factors import factors
from chitlaq.services.auth.mails import Recipient
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.passwords import address_changes, mailed_tokens, policy
from chitlaq.services.auth.passwords.schemas import Reset
from chitlaq.services.auth.sessions import sessions
from chitlaq.services.auth.state import AuthState

RESET_MINUTES = 60

log = logs.get("passwords")


class ForgottenPassword(msgspec.Struct, frozen=True):
    email: str
    origin: Origin


FORGOTTEN_PASSWORD = JobKind("forgotten_password", ForgottenPassword)


async def request(database: Database, email: str, origin: Origin) -> None:
    """Let a job mail a link: what it does depends on the address, which the answer must not show."""
    async with database.transaction() as session:
        await jobs.enqueue(session, FORGOTTEN_PASSWORD, ForgottenPassword(email, origin))


def handler(settings: Settings) -> Handler[ForgottenPassword]:
    """Return the handler that mails the links."""
    return Handler(FORGOTTEN_PASSWORD, partial(_mail, settings))


async def _mail(settings: Settings, job: Job, payload: ForgottenPassword) -> None:
    async with job.completing() as session:
        await session.execute("lock_mailbox", payload.email)
        account = await session.row("account_with_address", payload.email)
        if account is None:
            # Who registered and never confirmed chooses the password behind that link.
            await registrations.mail_link(settings, session, payload.email)
            return
        with suppress(TooManyMailsError):
            await mail_link(settings, session, account, payload.origin)


async def mail_link(
    settings: Settings,
    session: Session,
    account: Any,
    origin: Origin | None,
    operator: str | None = None,
) -> None:
    """Mail a link to an account's owner, in the caller's transaction.

    Who signs in through their university has no password to choose, and is told so.

    Args:
        settings: the installation's.
        session: the transaction, which has locked the mailbox.
        account: its row of ``account_with_address``.
        origin: from where it was asked for; None for an operator.
        operator: who asked for it, if it was not the member.

    Raises:
        TooManyMailsError: its owner has got enough mails within an hour.
    """
    to = Recipient(account["email"], account["display_name"], account["language"])
    if not account["has_password"]:
        await mails.put(session, settings, to, "no_password", "/login")
        return
    token = await mailed_tokens.issue(session, account["id"], "password_reset", RESET_MINUTES * 60)
    path = f"/reset?token={token}"
    try:
        await mails.put(session, settings, to, "password_reset", path, minutes=RESET_MINUTES)
    except TooManyMailsError:
        await mailed_tokens.use(session, token)
        raise
    await audit.write(session, account["id"], "reset_requested", origin, operator=operator)


async def reset(state: AuthState, wanted: Reset, origin: Origin) -> None:
    """Give an account the password that its owner chose, and end all its sessions.

    A token for the address from before a change gives that back as well, and removes the second factors that
    came since.

    Raises:
        Problem: 422 for a token that is none any more, or a password that may not be chosen.
    """
    row = await mailed_tokens.found(
        state.database, wanted.token, "password_reset", "address_return"
    )
    if row is None:
        raise mailed_tokens.refused()
    account_id, returned = row["account_id"], row["given_email"]
    known = [row["username"], row["display_name"], row["email"], returned or ""]
    password_hash = await policy.hashed(wanted.password, known, origin)
    try:
        async with state.database.transaction() as session:
            if returned:
                await session.execute("lock_mailbox", returned)
            await session.execute("lock_account", account_id)
            await mailed_tokens.use(session, wanted.token)
            await session.execute("set_password", account_id, password_hash)
            await mailed_tokens.forget(session, account_id, "password_reset", "address_change")
            if returned:
                await mailed_tokens.forget(session, account_id, "address_return")
                await address_changes.give(session, account_id, returned, origin)
                await factors.remove_newer(session, account_id, row["issued_at"])
                await audit.write(session, account_id, "address_returned", origin, email=returned)
            await sessions.end_all(session, account_id)
            await audit.write(session, account_id, "password_reset", origin)
            # Strangers who guess keep nobody out who has proved who they are.
            await attempts.forgive_names(session, [row["username"], row["email"], returned or ""])
            await known_devices.remember(session, account_id, origin)
            to = Recipient(returned or row["email"], row["display_name"], row["language"])
            await mails.tell(session, state.settings, to, "password_changed", "/reset")
    except asyncpg.UniqueViolationError:
        raise problems.invalid(
            {"token": f"{returned} has got another account meanwhile."}
        ) from None
    log.info("password reset", account_id=account_id, address=origin.address)
