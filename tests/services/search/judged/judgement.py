"""The judged set: people and posts, what members type, and who or what they mean by it.

Each half is a text file. A line ``member|username|display name|department|bio`` or ``post|author|text`` tells
of somebody or something that exists; the lines below it, ``>class|what is typed``, are queries that mean it.
A third field lists the usernames of others whom they may mean as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent
FOLLOWED = "followed"
"""The class of queries that mean somebody whom the viewer follows."""

PAGE = 5

Search = Callable[[str], Awaitable[Sequence[str]]]
"""Gives usernames of members, or texts of posts, the best first."""


@dataclass(frozen=True)
class Person:
    username: str
    display_name: str
    department: str
    bio: str


@dataclass(frozen=True)
class Text:
    author: str
    text: str


@dataclass(frozen=True)
class Query:
    kind: str
    text: str
    meant: frozenset[str]
    """Usernames, or the text of a post."""


@dataclass
class Half:
    """One of the two halves."""

    name: str
    people: list[Person] = field(default_factory=list)
    posts: list[Text] = field(default_factory=list)
    for_people: list[Query] = field(default_factory=list)
    for_posts: list[Query] = field(default_factory=list)


def half(name: str) -> Half:
    found = Half(name)
    for line in (FOLDER / f"{name}.txt").read_text().splitlines():
        kind, *fields = line.split("|")
        if kind == "member":
            found.people.append(Person(*fields))
            queries, meant = found.for_people, fields[0]
        elif kind == "post":
            found.posts.append(Text(*fields))
            queries, meant = found.for_posts, fields[1]
        elif kind.startswith(">"):
            others = fields[1].split(",") if len(fields) > 1 else []
            queries.append(Query(kind[1:], fields[0], frozenset((meant, *others))))
    return found


@dataclass
class Score:
    """How often the right one came first, and among the first five."""

    asked: Counter[str] = field(default_factory=Counter)
    first: Counter[str] = field(default_factory=Counter)
    five: Counter[str] = field(default_factory=Counter)
    # Not shown by a failed assertion: nobody reads the queries of the unseen half.
    missed: list[str] = field(default_factory=list, repr=False)

    def add(self, query: Query, found: Sequence[str]) -> None:
        ranks = [rank for rank, one in enumerate(found[:PAGE], 1) if one in query.meant]
        self.asked[query.kind] += 1
        self.first[query.kind] += ranks[:1] == [1]
        self.five[query.kind] += bool(ranks)
        if ranks[:1] != [1]:
            rank = f"rank {ranks[0]}" if ranks else "not found"
            self.missed.append(
                f"{query.kind}: {query.text!r} means {min(query.meant)!r}: {rank}; first is {found[:1]}"
            )

    @property
    def share_first(self) -> float:
        return self.first.total() / self.asked.total()

    @property
    def share_five(self) -> float:
        return self.five.total() / self.asked.total()

    def reaches(self, first: float, five: float) -> bool:
        return self.share_first >= first and self.share_five >= five

    def __str__(self) -> str:
        rows = [
            f"{kind:24} {asked:4}  {self.first[kind] / asked:5.0%}  {self.five[kind] / asked:5.0%}"
            for kind, asked in sorted(self.asked.items())
        ]
        total = (
            f"{'all':24} {self.asked.total():4}  {self.share_first:5.1%}  {self.share_five:5.1%}"
        )
        return "\n".join((f"{'':24}    n  first   five", *rows, total))


async def judge(queries: Sequence[Query], search: Search) -> Score:
    score = Score()
    for query in queries:
        score.add(query, await search(query.text))
    return score
