"""Accounts: joining with a university address, and proving it."""

from __future__ import annotations

import hashlib
import html
import secrets
from typing import Any

import asyncpg

from chitlaq.core.data import mail
from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http import problems
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.services.auth import metrics
from chitlaq.services.auth.accounts import passwords
from chitlaq.services.auth.schemas import Registration, User

log = logs.get("accounts")


def token_hash(token: str) -> bytes:
    """What is stored of a secret that has 256 bits of its own: its SHA-256 is enough."""
    return hashlib.sha256(token.encode()).digest()


def user_of(row: Any, *, verified: bool = True) -> User:
    return User(
        row["id"], row["username"], row["display_name"], row["email"], row["university"], verified
    )


class Accounts:
    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    async def register(self, wanted: Registration) -> User:
        """Make an account that waits for its address to be proved, and mail the link for that.

        An address or name that was asked for but never proved can be asked for again.

        Raises:
            Problem: 422 for an address of no university here; 409 for an address or name in use.
        """
        email = wanted.email.lower()
        domain = email.rpartition("@")[2]
        university = await self._database.row("university_of_domains", _with_parents(domain))
        if university is None:
            raise problems.invalid(
                {
                    "email": f"{domain} is not the domain of a university here;"
                    " register with your university address"
                }
            )
        password_hash = await passwords.hashed(wanted.password)
        username = wanted.username.lower()
        try:
            async with self._database.transaction() as session:
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
                await self._mail_link(session, account)
        except asyncpg.UniqueViolationError as error:
            if "email" in str(error.constraint_name):
                raise problems.conflict(
                    "This address has an account already: sign in.", "email"
                ) from None
            raise problems.conflict("This username is taken.", "username") from None
        log.info("account registered", account_id=account["id"], university=university["name"])
        return User(
            account["id"], username, account["display_name"], email, university["name"], False
        )

    async def verify(self, token: str) -> User:
        """Prove an address by the token that was mailed to it; a second time says the same.

        Raises:
            Problem: 422 for a token that is unknown or too old.
        """
        async with self._database.transaction() as session:
            row = await session.row("account_of_mail_token", token_hash(token))
            if row is None:
                raise problems.invalid(
                    {"token": "not valid or too old; ask for a new mail at /api/auth/verify/resend"}
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

    async def resend(self, email: str) -> None:
        """Mail a new link to an address that waits for it; says nothing about any other."""
        row = await self._database.row("unverified_by_email", email.lower())
        if row is not None:
            async with self._database.transaction() as session:
                await self._mail_link(session, row)

    async def _mail_link(self, session: Session, account: Any) -> None:
        token = secrets.token_urlsafe(32)
        hours = self._settings.tokens.verification_hours
        await session.execute("insert_mail_token", token_hash(token), account["id"], hours)
        link = f"{self._settings.base_url}/verify?token={token}"
        await mail.put(session, _verification_mail(account, link, hours))


def _with_parents(domain: str) -> list[str]:
    """The domain and what it is part of: cs.example.edu, example.edu."""
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(len(labels) - 1)]


def _verification_mail(account: Any, link: str, hours: int) -> mail.Mail:
    name = account["display_name"]
    lines = [
        f"Hello {name},",
        "please confirm that this address is yours:",
        link,
        f"The link works for {hours} hours. If you did not register at ChitLaq, ignore this mail.",
    ]
    safe_link = html.escape(link)
    return mail.Mail(
        to_address=account["email"],
        subject="Confirm your address for ChitLaq",
        text="\n\n".join(lines) + "\n",
        html=(
            f"<p>{html.escape(lines[0])}</p><p>{lines[1]}</p>"
            f'<p><a href="{safe_link}">Confirm my address</a></p><p>{lines[3]}</p>'
        ),
        links=[link],
    )
