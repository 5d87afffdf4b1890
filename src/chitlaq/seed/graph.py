"""Who follows whom: mostly within a department or university, and popular members much more."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from random import Random
from struct import Struct

from chitlaq.seed import names
from chitlaq.seed.clock import DAY
from chitlaq.seed.people import People

# Popular members are drawn repeatedly, so 55 draws give about 40 different ones.
MEDIAN_DRAWS = 55
MOST_DRAWS = 11_000_000
"""Of all members together, at the median: a million members follow fewer each, so that they fit on a disk."""
MAX_DRAWS = 1000
DEMO_DRAWS = 200

_ROW = Struct(">hi16si16siq")


def _tickets(members: Iterable[int], popularity: Sequence[float]) -> array[int]:
    """Repeat each member in proportion to its popularity, so that a uniform draw is a weighted choice.

    This takes a tenth of the time of bisecting cumulative weights, 7 million times.
    """
    tickets = array("I")
    for member in members:
        tickets.extend((member,) * round(2 * popularity[member]))
    return tickets


class Graph:
    """The follows of a demo, generated while they are read, and their counts afterwards."""

    def __init__(self, people: People, until: int, days: int, rng: Random) -> None:
        self._people = people
        self._start, self._span = until - (days + 1) * DAY, (days + 1) * DAY
        self._rng = rng
        self.followers = [array("I") for _ in range(len(people))]
        self.following = array("I", bytes(4 * len(people)))
        everybody = range(len(people))
        universities: dict[int, list[int]] = {}
        departments: dict[tuple[int, int], list[int]] = {}
        for member in everybody:
            place = people.universities[member]
            universities.setdefault(place, []).append(member)
            departments.setdefault((place, people.departments[member]), []).append(member)
        self._draws = min(MEDIAN_DRAWS, MOST_DRAWS // len(people))
        self._everybody = _tickets(everybody, people.popularity)
        self._universities = {
            key: _tickets(members, people.popularity) for key, members in universities.items()
        }
        self._departments = {
            key: _tickets(members, people.popularity) for key, members in departments.items()
        }

    def rows(self) -> Iterator[bytes]:
        """Yield each member's rows of feed.follows (follower, followed, since) in binary."""
        ids, followers, following = self._people.ids, self.followers, self.following
        random, start, span, pack = self._rng.random, self._start, self._span, _ROW.pack
        for member in range(len(ids)):
            chosen = self._chosen(member)
            following[member] = len(chosen)
            for followed in chosen:
                followers[followed].append(member)
            own = ids[member]
            yield b"".join(
                [
                    pack(3, 16, own, 16, ids[followed], 8, start + int(span * random()))
                    for followed in chosen
                ]
            )

    def _chosen(self, member: int) -> list[int]:
        """Return the members whom a member follows, sorted by id, so that indexes grow at one end."""
        people, rng = self._people, self._rng
        most = max(1, min(MAX_DRAWS, (len(people) - 1) // 2))
        draws = min(int(rng.lognormvariate(0, 0.8) * self._draws) + 1, most)
        friends: list[int] = []
        if member < len(names.DEMO):
            draws, friends = min(DEMO_DRAWS, most), list(range(len(names.DEMO)))
        university = people.universities[member]
        near = self._departments[university, people.departments[member]]
        around = self._universities[university]
        rest = self._everybody
        random = rng.random
        chosen = set(friends)
        for tickets, share in ((near, 45), (around, 40), (rest, 15)):
            number = len(tickets)
            chosen.update(
                [tickets[int(random() * number)] for _ in range(draws * share // 100 + 1)]
            )
        chosen.discard(member)
        return sorted(chosen) or [(member + 1) % len(people)]
