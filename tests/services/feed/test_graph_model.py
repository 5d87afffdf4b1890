"""After any sequence of follows, requests, blocks and mutes, all that members see is what a model says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.conftest import Stack
from tests.services.feed.crowd import Crowd, Someone

MEMBERS = 4

Pair = tuple[int, int]


@dataclass
class Model:
    """The graph of a few members, as its documentation says."""

    follows: set[Pair] = field(default_factory=set)
    requests: list[Pair] = field(default_factory=list)
    blocks: set[Pair] = field(default_factory=set)
    mutes: set[Pair] = field(default_factory=set)
    private: set[int] = field(default_factory=set)

    def follow(self, one: int, other: int) -> int:
        if (other, one) in self.blocks:
            return 404
        if (one, other) in self.blocks:
            return 409
        if (one, other) in self.follows:
            return 204
        if other in self.private:
            if (one, other) not in self.requests:
                self.requests.append((one, other))
            return 202
        self.follows.add((one, other))
        return 204

    def unfollow(self, one: int, other: int) -> int:
        self._part(one, other)
        return 204

    def remove(self, one: int, other: int) -> int:
        self._part(other, one)
        return 204

    def accept(self, one: int, other: int) -> int:
        if (other, one) in self.requests:
            self.requests.remove((other, one))
            self.follows.add((other, one))
        return 204 if (other, one) in self.follows else 404

    def refuse(self, one: int, other: int) -> int:
        self.requests = [pair for pair in self.requests if pair != (other, one)]
        return 204

    def block(self, one: int, other: int) -> int:
        self._part(one, other)
        self._part(other, one)
        self.blocks.add((one, other))
        return 204

    def unblock(self, one: int, other: int) -> int:
        self.blocks.discard((one, other))
        return 204

    def mute(self, one: int, other: int) -> int:
        self.mutes.add((one, other))
        return 204

    def unmute(self, one: int, other: int) -> int:
        self.mutes.discard((one, other))
        return 204

    def go_private(self, one: int, _other: int) -> int:
        self.private.add(one)
        return 200

    def go_public(self, one: int, _other: int) -> int:
        self.private.discard(one)
        self.follows |= {pair for pair in self.requests if pair[1] == one}
        self.requests = [pair for pair in self.requests if pair[1] != one]
        return 200

    def _part(self, one: int, other: int) -> None:
        self.follows.discard((one, other))
        self.requests = [pair for pair in self.requests if pair != (one, other)]

    def sees(self, viewer: int, other: int) -> bool:
        return not self.blocks & {(viewer, other), (other, viewer)}

    def profile(self, viewer: int, other: int) -> dict[str, Any] | int:
        if (other, viewer) in self.blocks:
            return 404
        return {
            "followers": sum(
                pair[1] == other and self.sees(viewer, pair[0]) for pair in self.follows
            ),
            "following": sum(
                pair[0] == other and self.sees(viewer, pair[1]) for pair in self.follows
            ),
            "is_private": other in self.private,
            "is_followed": (viewer, other) in self.follows,
            "follows_you": (other, viewer) in self.follows,
            "is_requested": (viewer, other) in self.requests,
            "is_blocked": (viewer, other) in self.blocks,
            "is_muted": (viewer, other) in self.mutes,
            "shows_followers": self._shows(viewer, other),
        }

    def listed(self, viewer: int, other: int, direction: str) -> list[int] | int:
        if (other, viewer) in self.blocks:
            return 404
        if not self._shows(viewer, other):
            return 403
        found = self._between(other, direction)
        return sorted(one for one in found if self.sees(viewer, one))

    def own(self, one: int, what: str) -> list[int]:
        if what == "follow-requests":
            return [pair[0] for pair in reversed(self.requests) if pair[1] == one]
        pairs = self.blocks if what == "blocks" else self.mutes
        return sorted(pair[1] for pair in pairs if pair[0] == one)

    def listed_outside(self, other: int, direction: str) -> list[int] | int:
        """For those who are not signed in."""
        if other in self.private:
            return 403
        return sorted(self._between(other, direction) - self.private)

    def _between(self, other: int, direction: str) -> set[int]:
        end = 1 if direction == "followers" else 0
        return {pair[1 - end] for pair in self.follows if pair[end] == other}

    def _shows(self, viewer: int, other: int) -> bool:
        return other not in self.private or viewer == other or (viewer, other) in self.follows


ROUTES = {
    "follow": ("PUT", "/users/{}/follow", None),
    "unfollow": ("DELETE", "/users/{}/follow", None),
    "remove": ("DELETE", "/users/me/followers/{}", None),
    "accept": ("PUT", "/users/me/follow-requests/{}", None),
    "refuse": ("DELETE", "/users/me/follow-requests/{}", None),
    "block": ("PUT", "/users/{}/block", None),
    "unblock": ("DELETE", "/users/{}/block", None),
    "mute": ("PUT", "/users/{}/mute", None),
    "unmute": ("DELETE", "/users/{}/mute", None),
    "go_private": ("PATCH", "/users/me", {"is_private": True}),
    "go_public": ("PATCH", "/users/me", {"is_private": False}),
}

someone = st.integers(0, MEMBERS - 1)
# Following and going private often, so that there is something to accept, remove and block.
words = st.sampled_from([*ROUTES, "follow", "follow", "accept", "go_private", "block"])
actions = st.tuples(words, someone, someone).filter(lambda one: one[1] != one[2])


async def act(who: list[Someone], action: tuple[str, int, int]) -> int:
    word, one, other = action
    method, path, body = ROUTES[word]
    return (await who[one].ask(method, path.format(who[other].username), body)).status_code


async def compare(crowd: Crowd, who: list[Someone], model: Model) -> None:
    names = [one.username for one in who]

    def named(numbers: list[int] | int) -> list[str] | int:
        return numbers if isinstance(numbers, int) else [names[number] for number in numbers]

    for other, name in enumerate(names):
        for direction in ("followers", "following"):
            answer = await crowd.client.get(f"/users/{name}/{direction}")
            outside = (
                [item["username"] for item in answer.json()["items"]]
                if answer.status_code == 200
                else answer.status_code
            )
            assert outside == named(model.listed_outside(other, direction)), (
                f"{direction} of {other}"
            )
    for viewer, asker in enumerate(who):
        for what in ("follow-requests", "blocks", "mutes"):
            found = await asker.names(f"/users/me/{what}")
            assert found == named(model.own(viewer, what)), f"{what} of {viewer}"
        for other, name in enumerate(names):
            wanted = model.profile(viewer, other)
            answer = await asker.ask("GET", f"/users/{name}")
            if isinstance(wanted, int):
                assert answer.status_code == wanted, f"{viewer} reads {other}"
            else:
                seen = answer.json()
                assert {key: seen[key] for key in wanted} == wanted, f"{viewer} reads {other}"
            for direction in ("followers", "following"):
                found = await asker.names(f"/users/{name}/{direction}")
                wanted_names = named(model.listed(viewer, other, direction))
                assert found == wanted_names, f"{viewer} reads {direction} of {other}"


@pytest.mark.parametrize(
    "examples", [5, pytest.param(300, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
)
def test_members_see_what_the_model_says_after_any_sequence(stack: Stack, examples: int) -> None:
    @settings(
        max_examples=examples, derandomize=examples < 100, database=None,
        suppress_health_check=list(HealthCheck),
        # Shrinking takes minutes.
        phases=[Phase.generate] if examples < 100 else list(Phase),
    )  # fmt: skip
    @given(sequence=st.lists(actions, min_size=5, max_size=30))
    def run(sequence: list[tuple[str, int, int]]) -> None:
        async def follow_it() -> None:
            async with Crowd(stack) as crowd:
                who, model = await crowd.join(MEMBERS), Model()
                for number, action in enumerate(sequence, start=1):
                    word, one, other = action
                    wanted = getattr(model, word)(one, other)
                    assert await act(who, action) == wanted, f"action {number}"
                await compare(crowd, who, model)

        asyncio.run(follow_it())

    run()


@pytest.mark.parametrize("rounds", [3, pytest.param(60, marks=pytest.mark.long)])
async def test_counters_are_right_whatever_members_do_at_once(stack: Stack, rounds: int) -> None:
    """Attacks locks and counters: each pair does everything to each other in the same moment."""
    async with Crowd(stack) as crowd:
        who = await crowd.join(MEMBERS)
        pairs = [(one, other) for one in range(MEMBERS) for other in range(MEMBERS) if one != other]
        for number in range(rounds):
            first = ("follow", "go_private", "accept", "block")[number % 4 :] + tuple(ROUTES)
            await asyncio.gather(
                *(act(who, (word, *pair)) for word in first for pair in pairs[:: 1 + number % 3])
            )
            for one in who:
                (row,) = await stack.sql(
                    "SELECT m.followers_count, m.following_count,"
                    " (SELECT count(*) FROM feed.follows WHERE followed_id = m.id) AS followers,"
                    " (SELECT count(*) FROM feed.follows WHERE follower_id = m.id) AS following,"
                    " (SELECT count(*) FROM feed.follow_requests WHERE requested_id = m.id"
                    "  AND NOT m.is_private) AS left_over,"
                    " (SELECT count(*) FROM feed.follows f JOIN feed.blocks b"
                    "  ON (f.follower_id, f.followed_id)"
                    "  IN ((b.blocker_id, b.blocked_id), (b.blocked_id, b.blocker_id))"
                    "  WHERE f.follower_id = m.id) AS despite_blocks"
                    " FROM feed.members m WHERE m.id = $1",
                    one.id,
                )
                assert row["followers_count"] == row["followers"]
                assert row["following_count"] == row["following"]
                assert (row["left_over"], row["despite_blocks"]) == (0, 0)
