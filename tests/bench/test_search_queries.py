"""The benchmark of search asks for who is there, and counts only who was meant."""

from __future__ import annotations

from datetime import UTC, datetime

from chitlaq.bench import search_queries
from chitlaq.seed import people as seeded
from chitlaq.seed.clock import chance, moment


def test_each_kind_means_somebody_and_is_answered_by_nobody_else() -> None:
    made = seeded.people(2000, moment(datetime(2026, 1, 1, tzinfo=UTC)), 100, chance(1, "people"))
    people = list(zip(made.usernames, made.display_names, strict=True))
    asked = search_queries.for_members(people, 1)
    assert set(asked) == set(search_queries.MIX)
    assert sum(search_queries.MIX.values()) == 100
    for kind, queries in asked.items():
        assert len(queries) > search_queries.PER_KIND / 4, kind
        for one in queries:
            assert one.is_answered(made.display_names), (kind, one)
            assert not one.is_answered(["Somebody Else"]), (kind, one)
    assert asked == search_queries.for_members(people, 1)
    typos = {one.text for kind in ("a letter wrong", "letters swapped") for one in asked[kind]}
    assert not typos & {word.lower() for name in made.display_names for word in name.split()}


def test_posts_are_asked_for_by_their_own_words() -> None:
    text = "The colloquium about octopuses begins at seven in the greenhouse #zoology"
    asked = search_queries.for_posts([text] * 200, 1)
    words = {word.strip('"-') for query in asked for word in query.split()}
    assert words <= {*text.split(), "#zoology", "tag:zoology"}
    assert any(query.startswith('"') for query in asked)
    assert "tag:zoology" in asked
