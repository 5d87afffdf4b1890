"""What clients saw of conversations, and whether that is what was promised.

In the manner of Jepsen's checkers: clients record what they did and saw while the system is disturbed, and a
pure function judges the record afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Record:
    """What the clients of one run did and saw.

    Attributes:
        acknowledged: the conversation and number of each acknowledged message, by its text.
        refused: texts that were refused for good.
        seen: for each client and conversation the messages, as number and text, in the order seen.
    """

    acknowledged: dict[str, tuple[str, int]] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    seen: dict[tuple[str, str], list[tuple[int, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )


def faults(record: Record) -> Iterator[str]:
    """Yield each broken promise, in words."""
    texts: dict[tuple[str, int], set[str]] = defaultdict(set)
    for text, place in record.acknowledged.items():
        texts[place].add(text)
    for (client, conversation), seen in record.seen.items():
        numbers = [number for number, _ in seen]
        if numbers != sorted(set(numbers)):
            yield f"{client} saw {conversation} out of order or twice: {numbers}"
        if numbers and sorted(set(numbers)) != list(range(1, max(numbers) + 1)):
            yield f"{client} saw gaps in {conversation}: {sorted(set(numbers))}"
        for number, text in seen:
            texts[conversation, number].add(text)
            if text in record.refused:
                yield f"{client} saw {text!r}, which was refused"
        for text, (of, number) in record.acknowledged.items():
            if of == conversation and (number, text) not in seen:
                yield f"{client} never saw {text!r}, acknowledged as {conversation} {number}"
    for place, different in texts.items():
        if len(different) > 1:
            yield f"{place} is more than one message: {sorted(different)}"
    places: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for place, different in texts.items():
        for text in different:
            places[text].add(place)
    for text, several in places.items():
        if len(several) > 1:
            yield f"{text!r} was sent once and is there more than once: {sorted(several)}"
