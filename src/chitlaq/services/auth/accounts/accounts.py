"""Accounts: how each is made, and what its owner sees of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chitlaq.core import addresses
from chitlaq.core.data.postgres import Session
from chitlaq.core.http import problems
from chitlaq.services.auth.accounts.schemas import User


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What an account is made of; its address was proved, and its name was checked.

    Args:
        id: also the member's.
        password_hash: None for an account that signs in by other means.
    """

    id: UUID
    university_id: UUID
    email: str
    username: str
    display_name: str
    department: str
    language: str
    password_hash: str | None


def token_hash(token: str) -> bytes:
    """Hash a token for storage; it has 256 random bits, so plain SHA-256 is enough."""
    return hashlib.sha256(token.encode()).digest()


def user_of(row: Any) -> User:
    """An account as its owner sees it."""
    return User(
        row["id"], row["username"], row["display_name"], row["email"], row["university"], True
    )


def login_name(typed: str) -> str:
    """Return an address or a username as it is stored, however it was typed."""
    name = typed.strip()
    try:
        return addresses.checked(name) if "@" in name else name.lower()
    except ValueError:
        return name.lower()


async def create(session: Session, new: NewAccount) -> None:
    """Make an account and its member, in the caller's transaction.

    Raises:
        Problem: 422 if the name is taken, or looks like one that is.
        asyncpg.UniqueViolationError: the address has an account.
    """
    await session.execute("lock_username", new.username)
    if await session.value("is_username_taken", new.username):
        raise problems.invalid(
            {"username": f"{new.username} is taken, or looks like a name that is: choose another."}
        )
    await session.execute(
        "insert_account",
        new.id,
        new.university_id,
        new.email,
        new.username,
        new.display_name,
        new.language,
        new.password_hash,
    )
    await session.value(
        "create_member",
        new.id,
        new.university_id,
        new.username,
        new.display_name,
        new.department,
    )
