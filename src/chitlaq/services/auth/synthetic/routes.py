"""The synthetic members, for operators."""

from __future__ import annotations

from litestar import post

from chitlaq.core.http.operators import FOR_OPERATORS
from chitlaq.services.auth.state import AuthState
from chitlaq.services.auth.synthetic import synthetic
from chitlaq.services.auth.synthetic.schemas import SyntheticMembers


@post(
    "/auth/synthetic",
    status_code=200,
    summary="Sign the synthetic members in, for operators",
    **FOR_OPERATORS,
)
async def sign_in_synthetic(state: AuthState) -> SyntheticMembers:
    return await synthetic.sign_in(state)
