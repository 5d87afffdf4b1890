"""What members were told is what a plain model says, whatever happened, repeated, late and cut short."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from chitlaq.core.data import postgres
from chitlaq.core.data.jobs import Batch
from chitlaq.core.data.notify import Notify, PairChanged, PostChanged, Reaction
from chitlaq.core.data.postgres import Database, Session
from chitlaq.services.websocket.notifications import causes
from chitlaq.services.websocket.notifications.telling import Telling
from tests.conftest import Stack, eventually
from tests.services.feed.crowd import Crowd, Someone

STEPS = 60
PART = 9
NEVER = 99
PACKAGE = "chitlaq.services.websocket.notifications"
Told = tuple[UUID, str, UUID, UUID]
"""Recipient, kind, subject, actor."""


class KilledError(Exception):
    """The process ends here."""


class Dying:
    """A session whose process is killed before its statement of this number."""

    def __init__(self, session: Session, after: int) -> None:
        self._session = session
        self._left = after

    def __getattr__(self, name: str) -> Any:
        self._left -= 1
        if self._left < 0:
            raise KilledError
        return getattr(self._session, name)


class Repeated:
    """Jobs that come again, in any order, to a process that may be killed at any step."""

    def __init__(self, database: Database, payloads: Sequence[Notify], dies_after: int) -> None:
        self._database = database
        self.payloads = payloads
        self._dies_after = dies_after

    def parts(self, *_: object) -> Iterator[Repeated]:
        """As a batch, but smaller: the process dies in the last, and what those before committed stays."""
        for start in range(0, len(self.payloads), PART):
            payloads, left = self.payloads[start : start + PART], len(self.payloads) - start
            yield Repeated(self._database, payloads, self._dies_after if left <= PART else NEVER)

    @asynccontextmanager
    async def completing(self) -> AsyncIterator[Session]:
        async with self._database.transaction() as session:
            yield cast("Session", Dying(session, self._dies_after))


class History:
    """Members who do what chance says, at feed-service, whose jobs the running services take."""

    def __init__(self, stack: Stack, people: Sequence[Someone], chance: random.Random) -> None:
        self.stack = stack
        self.people = people
        self.ids = [one.id for one in people]
        self.chance = chance
        self.posts: list[UUID] = []
        self.parted: set[frozenset[UUID]] = set()
        self.hidden: set[UUID] = set()

    async def step(self) -> None:
        """Let one member do one thing, which may be refused."""
        one, other = self.chance.sample(self.people, 2)
        post = self.chance.choice(self.posts) if self.posts else None
        match self.chance.randrange(12):
            case 0 | 1 | 2:
                await self._write(one, other, post)
            case 3 | 4 | 5 if post:
                verb = self.chance.choice(["like", "repost"])
                await one.ask(self.chance.choice(["PUT", "PUT", "DELETE"]), f"/posts/{post}/{verb}")
            case 6 if post:
                text = self.chance.choice(["changed", f"changed @{other.username}"])
                await one.ask("PATCH", f"/posts/{post}", {"text": text})
            case 7 if post and self.chance.random() < 0.5:
                await one.ask("DELETE", f"/posts/{post}")
            case 8 | 9:
                method = self.chance.choice(["PUT", "PUT", "DELETE"])
                await one.ask(method, f"/users/{other.username}/follow")
                await other.ask("PUT", f"/users/me/follow-requests/{one.username}")
                if method == "DELETE":
                    self.parted.add(frozenset((one.id, other.id)))
            case 10 if self.chance.random() < 0.5:
                self.parted.add(frozenset((one.id, other.id)))
                method = self.chance.choice(["PUT", "DELETE"])
                await one.ask(method, f"/users/{other.username}/block")
            case 11 if self.chance.random() < 0.3:
                self.hidden.add(one.id)
                await one.ask("PATCH", "/users/me", {"is_private": self.chance.random() < 0.5})

    async def _write(self, one: Someone, other: Someone, post: UUID | None) -> None:
        body = {
            "text": self.chance.choice(["hello", f"hello @{other.username}"]),
            "visibility": self.chance.choice(["public", "public", "followers", "self"]),
        }
        about = self.chance.choice(["reply_to", "quote_of", None])
        if post and about:
            body[about] = str(post)
        answer = await one.ask("POST", "/posts", body)
        if answer.status_code == 201:
            self.posts.append(UUID(answer.json()["id"]))

    def some_jobs(self) -> list[Notify]:
        """Return jobs as they may come again: where something was, and may be otherwise now."""
        made: list[Notify] = []
        for _ in range(self.chance.randrange(1, 8)):
            one, other = self.chance.sample(self.ids, 2)
            post = self.chance.choice(self.posts or [one])
            kind = self.chance.choice(["like", "repost"])
            made += [PostChanged(post), PairChanged(one, other)]
            made.append(msgspec.convert(
                {"type": "reaction", "kind": kind, "post_id": post, "author_id": one, "member_id": other},
                Reaction,
            ))  # fmt: skip
        return made

    async def expected(self) -> tuple[set[Told], set[Told]]:
        """Return what the model says: what must be told, and what may be.

        What was out of sight for a while may have been taken out then, and is not told again.
        """
        facts = Facts()
        await facts.read(self.stack, self.ids)
        may = facts.told()
        must = {
            told
            for told in may
            if frozenset((told[0], told[3])) not in self.parted and told[3] not in self.hidden
        }
        return must, may


class Facts:
    """What there is, in plain sets."""

    async def read(self, stack: Stack, ids: Sequence[UUID]) -> None:
        async def pairs(table: str, one: str, two: str, where: str) -> set[tuple[UUID, UUID]]:
            found = await stack.sql(
                f"SELECT {one}, {two} FROM feed.{table} WHERE {where} = ANY ($1)", ids
            )
            return {(row[0], row[1]) for row in found}

        self.likes = await pairs("likes", "post_id", "member_id", "member_id")
        self.reposts = await pairs("reposts", "post_id", "member_id", "member_id")
        self.mentions = await pairs("post_mentions", "post_id", "member_id", "member_id")
        self.blocks = await pairs("blocks", "blocker_id", "blocked_id", "blocker_id")
        self.requests = await pairs(
            "follow_requests", "requester_id", "requested_id", "requester_id"
        )
        found = await stack.sql(
            "SELECT follower_id, followed_id, was_requested FROM feed.follows WHERE follower_id = ANY ($1)",
            ids,
        )
        self.follows = {(row[0], row[1]): row[2] for row in found}
        found = await stack.sql("SELECT * FROM feed.posts WHERE author_id = ANY ($1)", ids)
        self.posts = {row["id"]: row for row in found}
        found = await stack.sql(
            "SELECT id FROM feed.members WHERE is_private AND id = ANY ($1)", ids
        )
        self.private = {row["id"] for row in found}

    def may_read(self, viewer: UUID, post: Any) -> bool:
        if post["deleted_at"] or post["visibility"] == "self":
            return False
        for_few = post["visibility"] == "followers" or post["author_id"] in self.private
        return not for_few or (viewer, post["author_id"]) in self.follows

    def told(self) -> set[Told]:
        told: set[Told] = set()
        for kind, pairs in (("like", self.likes), ("repost", self.reposts)):
            told |= {(self.posts[p]["author_id"], kind, p, m) for p, m in pairs}
        for id_, post in self.posts.items():
            kinds = {m: "mention" for p, m in self.mentions if p == id_}
            for kind, of in (("quote", post["quote_of"]), ("reply", post["reply_to"])):
                if of is not None:
                    kinds[self.posts[of]["author_id"]] = kind
            told |= {
                (m, kind, id_, post["author_id"])
                for m, kind in kinds.items()
                if self.may_read(m, post)
            }
        for (follower, followed), was_requested in self.follows.items():
            told.add(
                (follower, "follow_accepted", follower, followed)
                if was_requested
                else (followed, "follow", followed, follower)
            )
        told |= {(asked, "follow_request", asked, asking) for asking, asked in self.requests}
        parted = self.blocks | {(two, one) for one, two in self.blocks}
        return {one for one in told if one[0] != one[3] and (one[0], one[3]) not in parted}


FAULTS = """
-- Groups and counters of these members that are not what they count.
SELECT n.id FROM websocket.notifications n
WHERE n.recipient_id = ANY ($1::uuid[])
  AND n.count <> (SELECT count(*) FROM websocket.notification_causes c WHERE c.notification_id = n.id)
UNION ALL
SELECT a.account_id FROM websocket.notified_accounts a
WHERE a.account_id = ANY ($1::uuid[]) AND ((a.unseen, a.unread) <> (
          (SELECT count(*) FROM websocket.notifications n
           WHERE n.recipient_id = a.account_id AND n.position > a.seen_until AND NOT n.is_filtered),
          (SELECT count(*) FROM websocket.notifications n
           WHERE n.recipient_id = a.account_id AND n.position > a.read_until AND NOT n.is_filtered))
   OR a.latest < (SELECT max(position) FROM websocket.notifications n WHERE n.recipient_id = a.account_id))
"""


async def _push(_session: Session, _recipients: Sequence[UUID]) -> None:
    pass


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 12))]
)
async def test_what_is_told_is_what_a_plain_model_says(stack: Stack, seed: int) -> None:
    """Attacks exactly-once: jobs are repeated, late and out of order, and a process dies at any step."""
    chance = random.Random(seed)
    queries = postgres.load_queries("chitlaq.core.data", "test", PACKAGE)
    database = Database(stack.dsn("chitlaq_websocket"), "test", queries)
    look = causes.handler(Telling(_push)).work
    async with Crowd(stack) as crowd:
        history = History(stack, await crowd.join(4), chance)
        for _ in range(STEPS):
            await history.step()
            jobs, dies_after = (
                history.some_jobs(),
                chance.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, NEVER]),
            )
            with suppress(KilledError):
                await look(cast("Batch[Notify]", Repeated(database, jobs, dies_after)))
            if chance.random() < 0.1:
                await stack.sql(
                    "UPDATE websocket.notified_accounts SET seen_until = latest, read_until = latest,"
                    " unseen = 0, unread = 0 WHERE account_id = $1",
                    chance.choice(history.ids),
                )

        async def is_as_the_model_says() -> bool:
            stored = {
                tuple(row)
                for row in await stack.sql(
                    "SELECT recipient_id, kind, subject_id, actor_id"
                    " FROM websocket.notification_causes WHERE recipient_id = ANY ($1)",
                    history.ids,
                )
            }
            must, may = await history.expected()
            assert must <= stored, f"not told: {must - stored}"
            assert stored <= may, f"told, though it is not so: {stored - may}"
            return True

        await eventually(is_as_the_model_says)
        await eventually(lambda: _is_quiet(stack))
        assert await stack.sql(FAULTS, history.ids) == []
    await database.close()


async def _is_quiet(stack: Stack) -> bool:
    due = "SELECT FROM jobs.jobs WHERE kind = 'notify' AND due_at <= now() + interval '10 s'"
    return not await stack.sql(due)
