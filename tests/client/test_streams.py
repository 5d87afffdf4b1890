"""A device's stream: whatever order and however often messages arrive, they are delivered in order, once."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from chitlaq.client.shapes import Message
from chitlaq.client.streams import Stream

CONVERSATION = uuid4()
NOW = datetime.now(UTC)


def message(seq: int) -> Message:
    return Message(
        conversation_id=CONVERSATION, id=UUID(int=seq), seq=seq, sender=None, text="", sent_at=NOW
    )


@given(st.integers(0, 5), st.lists(st.integers(1, 12), max_size=30), st.integers(1, 4))
def test_messages_are_delivered_in_order_and_once(
    seen: int, arriving: list[int], at_once: int
) -> None:
    delivered: list[int] = []
    stream = Stream(seen, lambda one: delivered.append(one.seq))
    for seq in arriving:
        stream.receive(message(seq))
        assert delivered == list(range(seen + 1, seen + 1 + len(delivered)))
    latest = max((seen, *arriving))
    while stream.has_hole:
        first = stream.seen + 1
        page = range(first, min(first + at_once, latest + 1))
        stream.fill(map(message, page), latest if page.stop > latest else None)
    assert delivered == list(range(seen + 1, latest + 1))


def test_what_one_may_not_read_is_passed_over() -> None:
    """Who was invited again does not get what was said meanwhile."""
    delivered: list[int] = []
    stream = Stream(3, lambda one: delivered.append(one.seq))
    stream.receive(message(9))
    assert (delivered, stream.has_hole) == ([], True)
    stream.receive(message(10))
    stream.fill([message(8), message(9)], 9)
    assert (delivered, stream.has_hole) == ([8, 9, 10], False)


def test_what_the_application_fails_to_take_comes_again() -> None:
    taken: list[int] = []

    def take(one: Message) -> None:
        if one.seq == 2 and not taken[1:]:
            taken.append(-1)
            raise RuntimeError("no room")
        taken.append(one.seq)

    stream = Stream(0, take)
    stream.receive(message(1))
    try:
        stream.receive(message(2))
    except RuntimeError:
        stream.receive(message(2))
    assert taken == [1, -1, 2]
