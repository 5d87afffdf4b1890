"""What people tell the ops-service that acts: the next one knows it, and calls whom they named.

Attacks the promises that a failover forgets no stand-in and no announced work, and that what was withdrawn
stays so.
"""

from __future__ import annotations

from datetime import UTC, datetime

from chitlaq.core import ids
from chitlaq.ops.database.database import statement
from chitlaq.ops.history import notes
from chitlaq.ops.oncall import duties, overrides
from chitlaq.ops.statuspage import announcing, current, maintenance
from chitlaq.ops.statuspage.components import State
from tests.ops.lease.conftest import HOUR, Machine


async def test_what_people_said_is_known_to_who_acts_next(two: tuple[Machine, Machine]) -> None:
    first, second = two
    now = datetime.now(UTC)
    await first.stand_in("ben")
    await first.memory.write(
        statement("add_handover_note", ids.new(), "web", now, "ada", "mind the disk")
    )
    await notes.add(first.memory, "host.disk", "acknowledgement", "two disks come", "ada")
    await maintenance.add(
        first.memory, ["chat"], now - HOUR / 2, now + HOUR, "Disks", "ada", title_tr="Diskler"
    )
    await announcing.announce(first.memory, now)
    await current.set_by_person(first.memory, ["feed"], State.DEGRADED_PERFORMANCE, "ada")
    await first.share()
    await second.share()
    await second.take()
    await second.share()
    assert await second.stand_ins() == {"ben"}
    assert [one.text for one in await duties.handover_notes(second.memory)] == ["mind the disk"]
    assert [one.text for one in await notes.listed(second.memory, None, 9)] == ["two disks come"]
    assert [one.title_tr for one in await maintenance.listed(second.memory, now)] == ["Diskler"]
    assert await maintenance.to_tell(second.memory, now) == [], "subscribers were told of it"
    shown = {one.id: one.state for one in await current.components(second.memory, now)}
    assert (shown["feed"], shown["chat"]) == (
        State.DEGRADED_PERFORMANCE,
        State.UNDER_MAINTENANCE,
    )


async def test_what_was_withdrawn_stays_so(two: tuple[Machine, Machine]) -> None:
    first, second = two
    await first.stand_in("ben")
    await current.set_by_person(first.memory, ["feed"], State.DEGRADED_PERFORMANCE, "ada")
    await first.share()
    await second.share()
    await overrides.remove(first.memory, "ben", "ada")
    await current.clear(first.memory, ["feed"], "ada")
    await first.stand_in("eve")
    await first.share()
    await second.share()
    await second.take()
    await second.share()
    await first.share()
    assert await second.stand_ins() == await first.stand_ins() == {"eve"}
    assert await second.memory.rows("component_overrides") == []


async def test_who_takes_over_keeps_what_it_is_told_before_it_has_looked(
    two: tuple[Machine, Machine],
) -> None:
    """The last holder died within a moment of what it was told."""
    first, second = two
    await first.stand_in("ben")
    await first.share()
    await second.take()
    await second.stand_in("eve")
    await second.share()
    assert await second.stand_ins() == {"ben", "eve"}
    await first.share()
    assert await first.stand_ins() == {"ben", "eve"}


async def test_who_no_longer_holds_the_lease_tells_nobody(two: tuple[Machine, Machine]) -> None:
    """It was frozen, and does not know yet."""
    first, second = two
    await second.take()
    await second.stand_in("eve")
    await second.share()
    assert first.lease.may_change
    await first.stand_in("ben")
    await first._told.share()
    await second.share()
    (row,) = await first.shared.sql("SELECT epoch, told FROM ops.told")
    assert (row["epoch"], "ben" in row["told"]) == (2, False)


async def test_who_takes_over_tells_subscribers_when_it_knows_what_they_were_told(
    two: tuple[Machine, Machine],
) -> None:
    first, second = two
    await first._told.share_all()
    assert first.may_tell()
    assert not second.may_tell()
    await second.take()
    assert not second.may_tell()
    await second._told.share_all()
    assert second.may_tell()
    await first.lease._attempt()
    assert not first.may_tell()
