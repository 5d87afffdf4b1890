"""Accounts: register with a university address, and verify it."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import asyncpg

from chitlaq.core import addresses, passwords
from chitlaq.core.data import mail
from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http import problems
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.services.auth import metrics
from chitlaq.services.auth.accounts import mails
from chitlaq.services.auth.accounts.schemas import Registration, User
from chitlaq.services.auth.state import AuthState

log = logs.get("accounts")


def token_hash(token: str) -> bytes:
    """Hash a token for storage; it has 256 random bits, so plain SHA-256 is enough."""
    return hashlib.sha256(token.encode()).digest()


def user_of(row: Any) -> User:
    """A verified account as its owner sees it."""
    return User(
        row["id"], row["username"], row["display_name"], row["email"], row["university"], True
    )


async def register(state: AuthState, wanted: Registration) -> User:
    """Create an unverified account and mail the link that verifies it.

    An address or name that was registered but never verified can be registered again.

    Raises:
        Problem: 422 for an address of no university here, 409 for an address or name in use, 429 for an
            address that has been sent too many mails.
    """
    email = addresses.checked(wanted.email)
    domain = email.rpartition("@")[2]
    university = await state.database.row("university_of_domains", _with_parents(domain))
    if university is None:
        raise problems.invalid(
            {
                "email": f"{domain} is not the domain of a registered university;"
                " register with your university address"
            }
        )
    password_hash = await passwords.hashed(wanted.password)
    username = wanted.username.lower()
    try:
        async with state.database.transaction() as session:
            await session.execute("release_unverified", email, username)
            account = await session.row(
                "insert_account",
                university["id"],
                email,
                username,
                wanted.display_name.strip(),
                password_hash,
            )
            assert account is not None
            await _mail_link(state.settings, session, account)
    except mail.TooManyMailsError as error:
        metrics.count_limited_mail()
        raise problems.too_many_requests(
            error.retry_after_seconds,
            "recipient",
            "This address has been sent several mails within an hour: use the link in the newest one",
        ) from None
    except asyncpg.UniqueViolationError as error:
        if "email" in str(error.constraint_name):
            raise problems.conflict(
                "This address already has an account: sign in.", "email"
            ) from None
        raise problems.conflict("This username is taken.", "username") from None
    log.info("account registered", account_id=account["id"], university=university["name"])
    return User(account["id"], username, account["display_name"], email, university["name"], False)


async def verify(database: Database, token: str) -> User:
    """Verify an address with the mailed token; repeating it gives the same answer.

    Raises:
        Problem: 422 for a token that is unknown or expired.
    """
    async with database.transaction() as session:
        row = await session.row("account_of_mail_token", token_hash(token))
        if row is None:
            raise problems.invalid(
                {"token": "invalid or expired; request a new mail at /api/auth/verify/resend"}
            )
        is_new = row["verified_at"] is None
        if is_new:
            await session.execute("mark_verified", row["id"])
            await session.value(
                "create_member",
                row["id"],
                row["university_id"],
                row["username"],
                row["display_name"],
            )
    if is_new:
        metrics.USER_REGISTRATIONS.inc()
        log.info("account verified", account_id=row["id"])
    return user_of(row)


async def resend(state: AuthState, email: str) -> None:
    """Mail a new link to an unverified address; do nothing, and reveal nothing, for any other.

    Nor for one that has been sent too many mails, since only an unverified one has.
    """
    row = await state.database.row("unverified_by_email", email.lower())
    if row is None:
        return
    try:
        async with state.database.transaction() as session:
            await _mail_link(state.settings, session, row)
    except mail.TooManyMailsError:
        metrics.count_limited_mail()


async def _mail_link(settings: Settings, session: Session, account: Any) -> None:
    token = secrets.token_urlsafe(32)
    hours = settings.tokens.verification_hours
    await session.execute("insert_mail_token", token_hash(token), account["id"], hours)
    link = f"{settings.base_url}/verify?token={token}"
    text = mails.verification(account["email"], account["display_name"], link, hours)
    await mail.put(session, text, most_per_hour=settings.limits.mails_per_hour)


def _with_parents(domain: str) -> list[str]:
    """The domain and its parents: cs.example.edu, example.edu."""
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(len(labels) - 1)]
