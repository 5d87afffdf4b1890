"""Accounts that an operator makes: for whoever gets no mail, or is invited."""

from __future__ import annotations

import secrets

import asyncpg

from chitlaq.core import ids, passwords
from chitlaq.core.data.mail import TooManyMailsError
from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http import problems
from chitlaq.core.installation.settings import Settings
from chitlaq.services.auth.accounts import accounts, registrations
from chitlaq.services.auth.accounts.accounts import NewAccount, login_name
from chitlaq.services.auth.audit import audit
from chitlaq.services.auth.passwords import resets
from chitlaq.services.auth.roles.schemas import NewAccountWork
from chitlaq.services.auth.state import AuthState
from chitlaq.services.auth.universities import universities


async def create(state: AuthState, wanted: NewAccountWork) -> None:
    """Make an account with a password that nobody knows, and mail its owner a link to choose one.

    Raises:
        Problem: 422 for an address of no university here, or a name that is taken; 409 if the address has
            an account.
    """
    found = await universities.affiliation(state.database, wanted.email)
    new = NewAccount(
        id=ids.new(),
        university_id=found.university_id,
        email=wanted.email,
        username=wanted.username,
        display_name=wanted.display_name.strip(),
        department=found.department,
        language=wanted.language,
        password_hash=await passwords.hashed(secrets.token_urlsafe(32)),
    )
    try:
        async with state.database.transaction() as session:
            await session.execute("lock_mailbox", new.email)
            await accounts.create(session, new)
            await session.execute("close_registrations", new.email, new.id)
            await audit.write(session, new.id, "created", operator=wanted.operator)
            await _mail_link(state.settings, session, new.email, wanted.operator)
    except asyncpg.UniqueViolationError:
        raise problems.conflict(f"{new.email} has an account already.", "email") from None


async def verify(database: Database, email: str, operator: str) -> None:
    """Make the only registration of an address an account: the operator knows who registered it.

    Raises:
        Problem: 404 if it was not registered; 409 if several times, since nobody knows who chose which
            password; 422 if the name is taken meanwhile.
    """
    address = login_name(email)
    async with database.transaction() as session:
        await session.execute("lock_mailbox", address)
        link = await session.row("registration_of_address", address)
        if link is None:
            raise problems.not_found("open registration of this address")
        if link["open_registrations"] > 1:
            raise problems.conflict(
                f"{address} was registered several times, and a stranger may have chosen a password."
                " Create the account with `chitlaq users create`: its owner chooses one by mail."
            )
        await registrations.become_account(session, link, operator=operator)


async def mail_link(state: AuthState, email: str, operator: str) -> None:
    """Mail the owner of an account a link to choose a new password.

    Raises:
        Problem: 429, they have got enough mails within an hour.
    """
    async with state.database.transaction() as session:
        await session.execute("lock_mailbox", email)
        await _mail_link(state.settings, session, email, operator)


async def _mail_link(settings: Settings, session: Session, email: str, operator: str) -> None:
    account = await session.row("account_with_address", email)
    try:
        await resets.mail_link(settings, session, account, None, operator)
    except TooManyMailsError as error:
        raise problems.too_many_requests(
            error.retry_after_seconds,
            "recipient",
            "This address has got enough mails within an hour",
        ) from None
