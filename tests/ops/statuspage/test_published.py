"""What members are told of an incident: in two languages, in their words, and only what is published."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from chitlaq.core import ids
from chitlaq.core.errors import OperatorError
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.incidents import incidents, timeline
from chitlaq.ops.statuspage import automatic, current, published
from chitlaq.ops.statuspage.components import State
from chitlaq.ops.statuspage.published import PublishedIncident, UpdateStatus

INVESTIGATING, RESOLVED = UpdateStatus.INVESTIGATING, UpdateStatus.RESOLVED


async def opened(database: OpsDatabase, subject: str = "component:feed-service") -> int:
    made = await incidents.open_by_hand(
        database, "ServiceDown feed-service-3", "P1", "ada", subject=subject
    )
    return made.id


async def members_see(database: OpsDatabase) -> list[PublishedIncident]:
    return await published.listed(database, datetime.now(UTC) - timedelta(days=90))


async def test_incident_is_told_from_begin_to_end(database: OpsDatabase) -> None:
    number = await opened(database)
    assert await members_see(database) == []
    for status in UpdateStatus:
        await published.publish(database, number, status, "ada")
    (seen,) = await members_see(database)
    assert (seen.title, seen.title_tr) == ("Problems with Feed", "Sorun yaşanan bölümler: Akış")
    assert (seen.impact, seen.components, seen.is_over) == ("major", ["feed"], True)
    assert [one.status for one in seen.updates] == [*reversed(UpdateStatus)]
    assert seen.updates[0].text == "The problems with Feed are over."
    assert seen.updates[0].text_tr == "Şu bölümlerdeki sorunlar giderildi: Akış."
    told = [one.text for one in await timeline.of(database, number) if one.kind == "message"]
    assert told == [f"published to members: {status}" for status in UpdateStatus]


async def test_operator_s_words_follow_the_sentence_of_the_status(database: OpsDatabase) -> None:
    number = await opened(database)
    seen = await published.publish(
        database, number, INVESTIGATING, "ada", text="Posts are late.", text_tr="Gönderiler gecikiyor.",
        title="Late posts", names=["feed", "search"],
    )  # fmt: skip
    assert (seen.title, seen.title_tr) == ("Late posts", "Late posts")
    sentence = "We are investigating problems with Feed and Search."
    assert seen.updates[0].text == f"{sentence}\n\nPosts are late."
    assert seen.updates[0].text_tr.endswith(": Akış ve Arama.\n\nGönderiler gecikiyor.")
    seen = await published.publish(database, number, UpdateStatus.IDENTIFIED, "ada")
    assert (seen.title, seen.components) == ("Late posts", ["feed", "search"])


async def test_members_hear_of_an_end_only_after_a_begin_and_once(database: OpsDatabase) -> None:
    number = await opened(database)
    with pytest.raises(OperatorError, match="never told"):
        await published.publish(database, number, RESOLVED, "ada")
    await published.publish(database, number, INVESTIGATING, "ada")
    outcomes = await asyncio.gather(
        *(published.publish(database, number, RESOLVED, name) for name in ("ada", "bob")),
        return_exceptions=True,
    )
    assert sum(isinstance(one, OperatorError) for one in outcomes) == 1
    (seen,) = await members_see(database)
    assert len(seen.updates) == 2
    seen = await published.publish(database, number, INVESTIGATING, "ada")
    assert not seen.is_over


async def test_nothing_is_guessed(database: OpsDatabase) -> None:
    number = await opened(database, subject="")
    with pytest.raises(OperatorError, match="choose what they notice"):
        await published.publish(database, number, INVESTIGATING, "ada")
    with pytest.raises(OperatorError, match="no incident 99"):
        await published.publish(database, 99, INVESTIGATING, "ada")
    with pytest.raises(OperatorError, match="no component feeds"):
        await published.publish(database, number, INVESTIGATING, "ada", names=["feeds"])
    with pytest.raises(OperatorError, match="no status solved"):
        published.status_of("solved")


@pytest.mark.parametrize("text", ["turn\u202earound", "bell\x07", "\ufffe", "x" * 2001])
async def test_text_that_acts_or_that_no_feed_carries_is_refused(
    database: OpsDatabase, text: str
) -> None:
    number = await opened(database)
    with pytest.raises(OperatorError):
        await published.publish(database, number, INVESTIGATING, "ada", text=text)
    assert await members_see(database) == []


async def test_database_that_is_down_affects_all(database: OpsDatabase) -> None:
    number = await opened(database, subject="component:postgres")
    seen = await published.publish(database, number, INVESTIGATING, "ada")
    assert len(seen.components) == 5


async def test_what_does_not_work_is_what_members_are_told_of(database: OpsDatabase) -> None:
    number = await opened(database, subject="")
    await current.set_by_person(database, ["chat"], State.MAJOR_OUTAGE, "ada")
    seen = await published.publish(database, number, INVESTIGATING, "ada")
    assert seen.components == ["chat"]


async def test_who_does_not_act_tells_of_no_begin_and_mails_no_end(database: OpsDatabase) -> None:
    """Each ops-service of a site has the words of the one that acts, and knows all subscribers."""
    now = datetime.now(UTC)
    number = await opened(database)
    await database.write(
        statement("keep_component_state", "chat", State.PARTIAL_OUTAGE, now),
        statement("subscribe", ids.new(), "ada@example.edu", "en", '["chat"]', now),
    )
    shown = await current.components(database)
    await automatic.publish(database, shown, acts=False)
    assert await members_see(database) == []
    await published.publish(database, number, INVESTIGATING, "ada", is_mailed=False)
    await incidents.resolve(database, number, "ada")
    await automatic.publish(database, shown, acts=False)
    (seen,) = await members_see(database)
    assert seen.is_over
    assert await database.rows("subscriber_mails", 9) == []


async def test_automatic_updates_tell_of_one_incident_and_of_its_end(database: OpsDatabase) -> None:
    number = await opened(database)
    await automatic.publish(database, await current.components(database))
    assert await members_see(database) == [], "members feel nothing"
    now = datetime.now(UTC)
    await database.write(statement("keep_component_state", "chat", State.PARTIAL_OUTAGE, now))
    for _ in range(3):
        await automatic.publish(database, await current.components(database))
    (seen,) = await members_see(database)
    assert (seen.components, len(seen.updates)) == (["chat"], 1)
    await incidents.resolve(database, number, "ada")
    await automatic.publish(database, await current.components(database))
    (seen,) = await members_see(database)
    assert seen.is_over


async def test_person_s_word_overrides_until_it_is_cleared(database: OpsDatabase) -> None:
    await database.write(
        statement("keep_component_state", "feed", State.MAJOR_OUTAGE, datetime.now(UTC))
    )
    await current.set_by_person(database, ["feed"], current.state_of("operational"), "ada")
    feed = (await current.components(database))[1]
    assert (feed.state, feed.measured, feed.set_by) == (
        State.OPERATIONAL,
        State.MAJOR_OUTAGE,
        "ada",
    )
    await current.clear(database, ["all"], "ada")
    feed = (await current.components(database))[1]
    assert (feed.state, feed.set_by) == (State.MAJOR_OUTAGE, None)


@pytest.mark.parametrize(
    ("word", "state"),
    [("degraded", "degraded_performance"), ("partial", "partial_outage"), ("major", "major_outage"),
     ("maintenance", "under_maintenance"), ("operational", "operational"), ("major_outage", "major_outage")],
)  # fmt: skip
def test_states_have_short_names(word: str, state: str) -> None:
    assert current.state_of(word) == state
    with pytest.raises(OperatorError, match="no state broken"):
        current.state_of("broken")
    assert msgspec.json.encode(current.state_of(word)) == f'"{state}"'.encode()
