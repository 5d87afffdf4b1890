"""Who or what a query means comes first: measured on two halves, of which one was never tuned on.

``pytest -s tests/services/search/judged`` prints the figures of each class, and what was missed of the tuned
half.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import httpx
import pytest

from chitlaq.seed import people as seeded
from chitlaq.seed.clock import chance, moment
from tests.conftest import Stack
from tests.services.feed.crowd import Someone
from tests.services.search.judged import judgement
from tests.services.search.judged.judgement import Half, Person, Score, Search

CROWD = 3000
"""So many other members, named as those of the demo."""
TUNED, UNSEEN = judgement.half("tuned"), judgement.half("unseen")
FIRST, FIVE = 0.90, 0.97

JOIN = """
WITH who AS (
    INSERT INTO auth.accounts (university_id, email, username, display_name, verified_at)
    SELECT d.university_id, w.username || '@example.edu', w.username, w.display_name, now()
    FROM auth.university_domains d, unnest($1::text[], $2::text[]) w (username, display_name)
    WHERE d.domain = 'example.edu' RETURNING id, university_id, username, display_name
)
INSERT INTO feed.members (id, university_id, username, display_name, department, bio)
SELECT w.id, w.university_id, w.username, w.display_name, m.department, m.bio
FROM who w JOIN unnest($1::text[], $3::text[], $4::text[]) m (username, department, bio) USING (username)
RETURNING id, username
"""


@dataclass
class Campus:
    """Everybody of both halves in a crowd, and somebody who searches."""

    viewer: Someone
    texts: dict[str, str]
    """Of posts, by id."""


def crowd() -> list[Person]:
    end = moment(datetime(2026, 1, 1, tzinfo=UTC))
    made = seeded.people(CROWD, end, 100, chance(1, "people"))
    taken = {one.username for half in (TUNED, UNSEEN) for one in half.people}
    rows = zip(made.usernames, made.display_names, made.departments, made.bios, strict=True)
    return [
        Person(username, name, seeded.DEPARTMENTS[department], bio)
        for username, name, department, bio in rows
        if username not in taken
    ]


@pytest.fixture(scope="module")
async def campus(stack: Stack) -> AsyncIterator[Campus]:
    people = [*TUNED.people, *UNSEEN.people, *crowd(), Person("viewer_of_all", "Viewer", "", "")]
    columns = zip(*((p.username, p.display_name, p.department, p.bio) for p in people), strict=True)
    connection = await asyncpg.connect(stack.dsn())
    try:
        rows = await connection.fetch(JOIN, *map(list, columns))
        ids: dict[str, UUID] = {row["username"]: row["id"] for row in rows}
        try:
            own = ids["viewer_of_all"]
            followed = [
                ids[min(query.meant)]
                for half in (TUNED, UNSEEN)
                for query in half.for_people
                if query.kind == judgement.FOLLOWED
            ]
            await connection.execute(
                "INSERT INTO feed.follows (follower_id, followed_id) SELECT DISTINCT $1::uuid, f"
                " FROM unnest($2::uuid[]) f",
                own,
                followed,
            )
            base = f"http://127.0.0.1:{stack.ports['search']}"
            async with httpx.AsyncClient(base_url=base, timeout=60) as client:
                yield Campus(
                    Someone(client, stack, own, "viewer_of_all"), await written(stack, ids)
                )
        finally:
            await connection.execute(
                "DELETE FROM auth.accounts WHERE id = ANY ($1)", list(ids.values())
            )
    finally:
        await connection.close()


async def written(stack: Stack, ids: dict[str, UUID]) -> dict[str, str]:
    """Write the posts of both halves, as their authors do."""
    texts = {}
    base = f"http://127.0.0.1:{stack.ports['feed']}"
    async with httpx.AsyncClient(base_url=base, timeout=60) as client:
        for post in (*TUNED.posts, *UNSEEN.posts):
            author = Someone(client, stack, ids[post.author], post.author)
            answer = await author.ask("POST", "/posts", {"text": post.text})
            assert answer.status_code == 201, answer.text
            texts[answer.json()["id"]] = post.text
    return texts


def members_for(viewer: Someone) -> Search:
    async def search(text: str) -> Sequence[str]:
        params = httpx.QueryParams(q=text, limit=judgement.PAGE)
        found = await viewer.json(f"/search/users?{params}")
        return [item["username"] for item in found["items"]]

    return search


def posts_for(viewer: Someone, texts: dict[str, str]) -> Search:
    async def search(text: str) -> Sequence[str]:
        params = httpx.QueryParams(q=text, limit=judgement.PAGE)
        found = await viewer.json(f"/search/posts?{params}")
        return [texts.get(item["id"], "another post") for item in found["items"]]

    return search


def report(what: str, half: Half, score: Score) -> None:
    """Print figures; what was missed, only of the half that may be tuned on."""
    print(f"\n{what}, {half.name}\n{score}")
    if half is TUNED:
        print(*score.missed, sep="\n")


def test_both_halves_are_large_and_of_their_own() -> None:
    tuned, unseen = (
        {query.text for query in (*half.for_people, *half.for_posts)} for half in (TUNED, UNSEEN)
    )
    assert not tuned & unseen
    assert min(len(tuned), len(unseen)) >= 200
    assert not {one.username for one in TUNED.people} & {one.username for one in UNSEEN.people}


@pytest.mark.parametrize("half", [TUNED, UNSEEN], ids=lambda half: half.name)
async def test_member_who_is_meant_comes_first(campus: Campus, half: Half) -> None:
    score = await judgement.judge(half.for_people, members_for(campus.viewer))
    report("members", half, score)
    assert score.reaches(FIRST, FIVE), score


@pytest.mark.parametrize("half", [TUNED, UNSEEN], ids=lambda half: half.name)
async def test_post_that_is_meant_comes_first(campus: Campus, half: Half) -> None:
    score = await judgement.judge(half.for_posts, posts_for(campus.viewer, campus.texts))
    report("posts", half, score)
    assert score.reaches(FIRST, FIVE), score
