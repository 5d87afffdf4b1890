"""Recovery codes: for whoever has lost the phone. Each works once."""

from __future__ import annotations

import secrets
from base64 import b32encode
from uuid import UUID

from chitlaq.core.data.postgres import Session
from chitlaq.services.auth.accounts.accounts import token_hash

COUNT = 10
RANDOM_BYTES = 15
"""120 bits: so many that nobody can guess one, and that plain SHA-256 is enough (ASVS 5, 6.5.2)."""
GROUP = 4


async def renew(session: Session, account_id: UUID) -> list[str]:
    """Return new recovery codes in the caller's transaction; older ones no longer work."""
    codes = [b32encode(secrets.token_bytes(RANDOM_BYTES)).decode().lower() for _ in range(COUNT)]
    await session.execute("forget_recovery_codes", account_id)
    hashes = [token_hash(code) for code in codes]
    await session.execute("insert_recovery_codes", account_id, hashes)
    return [
        "-".join(code[start : start + GROUP] for start in range(0, len(code), GROUP))
        for code in codes
    ]


async def use(session: Session, account_id: UUID, plain_code: str) -> bool:
    """Use up a code, as `plain` returns it; return whether it was one."""
    return await session.execute("use_recovery_code", account_id, token_hash(plain_code)) > 0


def plain(typed: str) -> str:
    """Return a code as it is compared, however it was typed."""
    return "".join(typed.split()).replace("-", "").lower()


async def forget_if_needless(session: Session, account_id: UUID) -> None:
    """Forget the codes of an account that has no second factor any more, in the caller's transaction."""
    if not await session.value("second_factors", account_id):
        await session.execute("forget_recovery_codes", account_id)
