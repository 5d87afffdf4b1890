"""The feed's checks: a post of a synthetic member, and counters of followers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from chitlaq.ops.checks import feed
from chitlaq.ops.checks.model import Table, Verdict
from tests.conftest import Member, Stack
from tests.ops.checks.conftest import RunOnStack

ROUND_TRIP = "feed.round_trip"
Join = Callable[[], Awaitable[Member]]


async def test_counter_that_is_not_what_it_counts_is_critical(
    stack: Stack, join: Join, run_on_stack: RunOnStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other tests have members, too, and by chance these are not looked at.
    monkeypatch.setattr(feed, "LOOKED_AT", 100_000)
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


async def test_post_that_is_not_read_by_its_author_alone_is_critical(
    stack: Stack, run_on_stack: RunOnStack, nobody: str
) -> None:
    well = await run_on_stack(ROUND_TRIP, CHITLAQ_CHECKS_ROUND_TRIP_SECONDS="4,5")
    assert well.verdict is Verdict.OK, well.summary
    unreachable = await run_on_stack(ROUND_TRIP, CHITLAQ_PORTS_EDGE=nobody)
    assert (unreachable.verdict, "not written" in unreachable.summary) == (Verdict.CRITICAL, True)
    nobody_signed_in = await run_on_stack(ROUND_TRIP, CHITLAQ_PORTS_AUTH=nobody)
    assert nobody_signed_in.verdict is Verdict.UNKNOWN
    # Whoever is hidden may not read, either.
    await stack.sql("UPDATE feed.members SET hidden_at = now() WHERE university_id IS NULL")
    try:
        unread = await run_on_stack(ROUND_TRIP)
    finally:
        await stack.sql("UPDATE feed.members SET hidden_at = NULL WHERE university_id IS NULL")
    assert unread.verdict is Verdict.CRITICAL
    assert "not read: status 404" in unread.summary
