"""The audit log: members see what happened to their own account, and nobody changes an entry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

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
    "statement", ["UPDATE auth.audit SET action = 'other'", "DELETE FROM auth.audit"]
)
async def test_entries_are_not_changed_by_the_service(stack: Stack, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await stack.sql(statement, role="chitlaq_auth")
