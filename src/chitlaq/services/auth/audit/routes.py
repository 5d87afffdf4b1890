"""The audit log over HTTP: members see what happened to their own account."""

from __future__ import annotations

from litestar import get

from chitlaq.core.http.identity import Identity
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.auth.audit import audit
from chitlaq.services.auth.audit.schemas import AuditItem
from chitlaq.services.auth.state import AuthState


@get("/auth/audit", summary="What happened to one's account, newest first")
async def entries(member: Identity, state: AuthState, paging: Paging) -> Page[AuditItem]:
    return await audit.listed(state.database, member.account_id, paging)
