"""Secrets that are mailed to an account's owner; each works once, until it expires."""

from __future__ import annotations

import secrets
from typing import Any, Literal
from uuid import UUID

from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http import problems
from chitlaq.core.http.problems import Problem
from chitlaq.services.auth.accounts.accounts import token_hash

Purpose = Literal["password_reset", "address_change", "address_return"]
"""What a token lets its holder do; the last gives back the address from before, with a new password."""


async def issue(
    session: Session,
    account_id: UUID,
    purpose: Purpose,
    seconds: float,
    email: str | None = None,
    asking: UUID | None = None,
) -> str:
    """Return a new token, kept in the caller's transaction.

    Args:
        session: the transaction.
        account_id: whose it is.
        purpose: what for.
        seconds: for how long.
        email: the address that its use gives to the account.
        asking: the session that goes on after its use.
    """
    token = secrets.token_urlsafe(32)
    await session.execute(
        "put_mailed_token", token_hash(token), account_id, purpose, email, asking, seconds
    )
    return token


async def found(database: Database, token: str, *purposes: Purpose) -> Any:
    """Return the row of a token and its account, which changes nothing; None if there is none any more."""
    return await database.row("mailed_token", token_hash(token), list(purposes))


async def use(session: Session, token: str) -> None:
    """Use a token up, in the caller's transaction, which has locked the account.

    Raises:
        Problem: 422, it was used, or is over.
    """
    if not await session.execute("use_mailed_token", token_hash(token)):
        raise refused()


async def forget(session: Session, account_id: UUID, *purposes: Purpose) -> None:
    """Let no token of an account for these purposes work any more."""
    await session.execute("forget_mailed_tokens", account_id, list(purposes))


def refused() -> Problem:
    """422: the token is none that works."""
    return problems.invalid({"token": "was used, is expired or unknown: request a new mail"})
