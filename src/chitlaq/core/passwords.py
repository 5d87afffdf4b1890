"""Password hashes: Argon2id with OWASP's recommended parameters, off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# 19 MiB, 2 passes, 1 lane: about 25 ms of one core.
# https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)

# More concurrent hashes than cores only slow each one down.
_turns = asyncio.Semaphore(2)

# Of a random password, made once: every process that reads the routes would spend 25 ms on it.
NOBODYS_HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1"
    "$gqd+H5898P1CIlWrByzcAg$Lwtf84OG15IpB2YNVgbI6JnUpaemb9yzfl2Iy/plreY"
)


async def hashed(password: str) -> str:
    async with _turns:
        return await asyncio.to_thread(_hasher.hash, password)


async def matches(
    password: str, password_hash: str | None, permit: Callable[[], Awaitable[None]]
) -> bool:
    """Compare; without a hash (no such account) return False after the same time.

    ``permit`` is asked when it is this comparison's turn, and may raise.
    """
    async with _turns:
        await permit()
        right = await asyncio.to_thread(_verify, password, password_hash or NOBODYS_HASH)
    return right and password_hash is not None


def needs_rehash(password_hash: str) -> bool:
    return _hasher.check_needs_rehash(password_hash)


def _verify(password: str, password_hash: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
