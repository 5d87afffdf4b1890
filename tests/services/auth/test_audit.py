"""The audit log: members see what happened to their own account, and nobody changes an entry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from chitlaq import inventory
from tests.conftest import Member, Stack


async def test_member_sees_own_sign_ins_and_nobody_elses(
    join: Callable[[], Awaitable[Member]],
) -> None:
    ada, ben = await join(), await join()
    answer = await ada.get("/api/auth/audit")
    assert answer.status_code == 200, answer.text
    (entry,) = [one for one in answer.json()["items"] if one["action"] == "signed_in"]
    sessions = (await ada.get("/api/auth/sessions")).json()["items"]
    assert [entry["session_id"]] == [one["id"] for one in sessions]
    others = (await ben.get("/api/auth/audit")).json()["items"]
    assert entry["id"] not in {one["id"] for one in others}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE auth.audit SET action = 'other'",
        "DELETE FROM auth.audit",
        "TRUNCATE auth.audit",
        "INSERT INTO auth.audit (account_id, action, happened_at) VALUES (uuidv7(), 'x', now())",
    ],
)
async def test_no_role_changes_an_entry_or_says_when_it_happened(
    stack: Stack, statement: str
) -> None:
    for role in {one.role for one in inventory.SERVICES if one.role} | {"chitlaq_backup"}:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await stack.sql(statement, role=role)
