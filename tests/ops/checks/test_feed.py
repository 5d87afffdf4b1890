"""The feed's check: counters of followers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from chitlaq.ops.checks.model import Table, Verdict
from tests.conftest import Member, Stack
from tests.ops.checks.conftest import RunOnStack

Join = Callable[[], Awaitable[Member]]


async def test_counter_that_is_not_what_it_counts_is_critical(
    stack: Stack, join: Join, run_on_stack: RunOnStack
) -> None:
    member, follower = await join(), await join()
    await follower.put(f"/api/users/{member.username}/follow")
    change = "UPDATE feed.members SET followers_count = followers_count + $2 WHERE id = $1"
    assert (await run_on_stack("feed.counters")).verdict is Verdict.OK
    await stack.sql(change, member.id, 5)
    try:
        found = await run_on_stack("feed.counters")
    finally:
        await stack.sql(change, member.id, -5)
    assert found.verdict is Verdict.CRITICAL
    assert found.values["wrong"].value == 1
    assert isinstance(found.evidence[0], Table)
    assert found.evidence[0].rows == [[member.id, "followers", "6", "1"]]
