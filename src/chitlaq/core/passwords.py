"""Password hashes: Argon2id with OWASP's recommended parameters, off the event loop, in fair turns."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Awaitable, Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from chitlaq.core.fair_turns import FairTurns, NoTurnError
from chitlaq.core.http import problems

T = TypeVar("T")

# 19 MiB, 2 passes, 1 lane: about 25 ms of one core.
# https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)

# More concurrent hashes than cores only slow each one down. Whoever waits as the last of 64 waits for a
# second; of more, a flood would keep everybody waiting longer than they want to.
_turns = FairTurns(at_once=2, most_waiting=64)

# Of a random password, made once: every process that reads the routes would spend 25 ms on it.
NOBODYS_HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1"
    "$gqd+H5898P1CIlWrByzcAg$Lwtf84OG15IpB2YNVgbI6JnUpaemb9yzfl2Iy/plreY"
)


async def in_turn(
    client: str, work: Callable[[], T], permit: Callable[[], Awaitable[None]] | None = None
) -> T:
    """Do in a thread what takes as long as a hash, when it is this client's turn.

    Args:
        client: whose turn it is, and who waits for it, for example a network; all others get theirs as soon.
        work: what is done.
        permit: is asked when it is the turn, and may raise.

    Raises:
        Problem: 503, too many wait.
    """
    try:
        async with _turns.turn(client):
            if permit is not None:
                await permit()
            return await asyncio.to_thread(work)
    except NoTurnError:
        raise problems.unavailable(
            "Too many people are signing in at this moment: try again in a few seconds."
        ) from None


async def hashed(password: str, client: str = "") -> str:
    """Return the hash of a password, in this client's turn (`in_turn`)."""
    return await in_turn(client, lambda: hashed_now(password))


async def matches(
    password: str,
    password_hash: str | None,
    permit: Callable[[], Awaitable[None]] | None = None,
    client: str = "",
) -> bool:
    """Compare, in this client's turn; without a hash (no such account) return False after the same time."""
    right = await in_turn(client, lambda: _verify(password, password_hash or NOBODYS_HASH), permit)
    return right and password_hash is not None


def needs_rehash(password_hash: str) -> bool:
    """Whether it was made with other parameters than are used now."""
    return _hasher.check_needs_rehash(password_hash)


def normalized(password: str) -> str:
    """Return what is hashed: keyboards write the same letters differently (NIST SP 800-63B, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def hashed_now(password: str) -> str:
    """Hash a password in this thread."""
    return _hasher.hash(normalized(password))


def _verify(password: str, password_hash: str) -> bool:
    """Compare with a hash of the normalized password, or of what was typed, as older hashes are."""
    return any(
        _is_of(one, password_hash) for one in dict.fromkeys((normalized(password), password))
    )


def _is_of(password: str, password_hash: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
