"""Sign the synthetic members in: with tokens that last for a minute, and no session that is kept."""

from __future__ import annotations

from uuid import uuid4

from chitlaq.services.auth.state import AuthState
from chitlaq.services.auth.synthetic.schemas import SyntheticMembers

TOKEN_SECONDS = 60


async def sign_in(state: AuthState) -> SyntheticMembers:
    """Return tokens of both, and their conversation; whichever of these is missing is made.

    They are missing at the first time, and when `chitlaq seed --replace` deleted all accounts.
    """
    async with state.database.session() as session:
        accounts = await session.rows("synthetic_accounts")
        if not accounts:
            await session.execute("insert_synthetic_accounts")
            accounts = await session.rows("synthetic_accounts")
        conversation_id = await session.value("synthetic_conversation")
    tokens = [state.signing_keys.signer.sign(row["id"], uuid4(), TOKEN_SECONDS) for row in accounts]
    return SyntheticMembers(conversation_id, tokens)
