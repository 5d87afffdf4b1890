"""Registrations: what becomes an account when its address is proved, and nothing before that.

Whether an address has an account shows in no answer: the same statements run, one password is hashed and
one mail is written, which says to the owner of the address what there is to say.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from contextlib import suppress
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from chitlaq.core.data import jobs
from chitlaq.core.data.jobs import Job, JobKind
from chitlaq.core.data.mail import TooManyMailsError
from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http import problems
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.services.auth import mails, metrics
from chitlaq.services.auth.accounts import accounts
from chitlaq.services.auth.accounts.accounts import NewAccount, token_hash
from chitlaq.services.auth.accounts.schemas import Registration, User, Verification
from chitlaq.services.auth.audit import audit
from chitlaq.services.auth.mails import Recipient
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.passwords import policy
from chitlaq.services.auth.state import AuthState
from chitlaq.services.auth.universities import universities

FORGET_SECONDS = 600.0

log = logs.get("registrations")


class ResendVerification(msgspec.Struct, frozen=True):
    email: str


RESEND_VERIFICATION = JobKind("resend_verification", ResendVerification)


async def register(state: AuthState, wanted: Registration, origin: Origin) -> User:
    """Keep a registration for a day, and mail the link that makes it an account.

    Raises:
        Problem: 422 for an address of no university here, or a password that may not be chosen; 429 for an
            address that was registered too often.
    """
    found = await universities.affiliation(state.database, wanted.email)
    known = (wanted.username, wanted.display_name, wanted.email)
    password_hash = await policy.hashed(wanted.password, known, origin)
    limits, hours = state.settings.limits, state.settings.tokens.verification_hours
    async with state.database.transaction() as session:
        await session.execute("lock_mailbox", wanted.email)
        # Not the mails are counted: their number would tell whether other mails go to this address.
        often = await session.row(
            "registrations_within_an_hour", wanted.email, limits.mails_per_hour
        )
        if often is not None:
            metrics.count_limited_mail()
            raise problems.too_many_requests(
                max(1, math.ceil(often["seconds_left"])),
                "recipient",
                "This address was registered several times within an hour: use the link in the newest mail",
            )
        registration = await session.row(
            "insert_registration",
            found.university_id,
            wanted.email,
            wanted.username,
            wanted.display_name,
            found.department,
            wanted.language,
            password_hash,
            hours,
        )
        assert registration is not None
        token = await _new_link(session, registration["id"], hours)
        await _put_mail(state.settings, session, registration, token)
    log.info("registered", registration_id=registration["id"], university=found.university)
    return User(
        registration["id"],
        wanted.username,
        wanted.display_name,
        wanted.email,
        found.university,
        False,
    )


async def verify(state: AuthState, wanted: Verification, origin: Origin) -> User:
    """Make a registration an account, given the token that was mailed; repeating it gives the same answer.

    A password that is given becomes the account's: who has the mail has the address. It must be given if
    the address was registered several times, since then a stranger may have chosen the registered one.

    Raises:
        Problem: 422 for a token that is unknown or expired, for a missing password, or for a name that
            is taken.
    """
    link = await of_link(state.database, wanted.token)
    chosen = None
    if link is not None and link["account_id"] is None and wanted.password is not None:
        known = (wanted.username or link["username"], link["display_name"], link["email"])
        chosen = await policy.hashed(wanted.password, known, origin)
    try:
        async with state.database.transaction() as session:
            if link is not None:
                await session.execute("lock_mailbox", link["email"])
                link = await session.row("registration_of_link", token_hash(wanted.token))
            if link is None:
                raise problems.invalid(
                    {"token": "is invalid or has expired: register again, or request a new mail"}
                )
            is_new = link["account_id"] is None
            if is_new:
                await become_account(session, link, chosen, wanted.username, origin)
            row = await session.row("account", link["id"] if is_new else link["account_id"])
    except asyncpg.UniqueViolationError:
        raise problems.unavailable(
            "This address or name was taken at this moment: try again."
        ) from None
    assert row is not None
    if is_new:
        metrics.USER_REGISTRATIONS.inc()
        log.info("account verified", account_id=row["id"])
    return accounts.user_of(row)


async def of_link(database: Database, token: str) -> Any:
    """Return the row of a mailed token, which changes nothing; None if it is unknown or expired."""
    return await database.row("registration_of_link", token_hash(token))


async def become_account(
    session: Session,
    link: Any,
    chosen: str | None = None,
    username: str | None = None,
    origin: Origin | None = None,
    operator: str | None = None,
) -> None:
    """Make a registration an account, in the caller's transaction, which has locked the mailbox.

    Args:
        session: the transaction.
        link: the registration, and how many of its address are open.
        chosen: the hash of the password that replaces the registered one.
        username: replaces the registered name.
        origin: from where its owner confirmed it.
        operator: who confirmed it, if it was not its owner.

    Raises:
        Problem: 422 for a missing password, or a name that is taken.
    """
    if chosen is None and link["open_registrations"] > 1:
        raise problems.invalid(
            {
                "password": "This address was registered several times: send the password that you"
                " want to sign in with."
            }
        )
    new = NewAccount(
        id=link["id"],
        university_id=link["university_id"],
        email=link["email"],
        username=username or link["username"],
        display_name=link["display_name"],
        department=link["department"],
        language=link["language"],
        password_hash=chosen or link["password_hash"],
    )
    await accounts.create(session, new)
    await session.execute("close_registrations", new.email, new.id)
    await audit.write(session, new.id, "registered", origin, operator=operator)


async def request_resending(database: Database, email: str) -> None:
    """Let a job mail a new link: what it does depends on the address, which the answer must not show."""
    async with database.transaction() as session:
        await jobs.enqueue(session, RESEND_VERIFICATION, ResendVerification(email))


async def resend(settings: Settings, job: Job, payload: ResendVerification) -> None:
    """Mail a new link to an address that was registered; to one that has an account, that it has one."""
    async with job.completing() as session:
        await session.execute("lock_mailbox", payload.email)
        account = await session.row("account_with_address", payload.email)
        if account is not None:
            await _put_mail(settings, session, account, "")
        else:
            await mail_link(settings, session, payload.email)


async def mail_link(settings: Settings, session: Session, email: str) -> None:
    """Mail a new link to an address with an open registration; the transaction has locked its mailbox."""
    hours = settings.tokens.verification_hours
    registration = await session.row("renew_registration", email, hours)
    if registration is not None:
        token = await _new_link(session, registration["id"], hours)
        await _put_mail(settings, session, registration, token)


async def forget_forever(database: Database) -> None:
    """Delete the registrations that are over, again and again."""
    while True:
        async with database.session() as session:
            await session.execute("forget_registrations")
        await asyncio.sleep(FORGET_SECONDS)


async def _new_link(session: Session, registration_id: UUID, hours: int) -> str:
    token = secrets.token_urlsafe(32)
    await session.execute("insert_link", token_hash(token), registration_id, hours)
    return token


async def _put_mail(settings: Settings, session: Session, row: Any, token: str) -> None:
    """Mail a link, or that there is an account; nothing to an address that got as many mails as it may."""
    to = Recipient(row["email"], row["display_name"], row["language"])
    with suppress(TooManyMailsError):
        if row["account_id"] is None:
            hours = settings.tokens.verification_hours
            path = f"/verify?token={token}"
            await mails.put(session, settings, to, "verification", path, hours=hours)
        else:
            reset = f"{settings.base_url}/reset"
            await mails.put(session, settings, to, "existing_account", "/login", reset=reset)
