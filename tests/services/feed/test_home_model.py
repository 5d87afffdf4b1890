"""After any sequence of what members do, each home feed is what a plain model says, on all pages."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.conftest import Member, Stack, eventually
from tests.services.feed.worlds import joined

NAMES = ("ada", "bob", "cyd", "eve", "elsewhere")
VISIBILITIES = ("public", "university", "followers", "mentioned", "self")


@dataclass
class ModelPost:
    id: str
    number: int
    author: str
    text: str
    visibility: str
    is_reply: bool
    mentioned: str
    is_deleted: bool = False


@dataclass
class Entry:
    """What stands in a feed: a post, or a repost of it by somebody."""

    number: int
    post: ModelPost
    reposter: str | None = None


@dataclass
class Model:
    """The members' doings, and the rules of docs/feed.md in plain Python. Numbers are the order of time."""

    posts: list[ModelPost] = field(default_factory=list)
    reposts: dict[tuple[str, int], int] = field(default_factory=dict)
    follows: set[tuple[str, str]] = field(default_factory=set)
    blocks: set[tuple[str, str]] = field(default_factory=set)
    mutes: set[tuple[str, str]] = field(default_factory=set)
    leaving: set[str] = field(default_factory=set)

    def may_read(self, viewer: str, post: ModelPost) -> bool:
        pair = (viewer, post.author)
        if post.is_deleted or post.author in self.leaving:
            return False
        if viewer == post.author:
            return True
        if post.visibility == "self" or pair in self.blocks or pair[::-1] in self.blocks:
            return False
        return {
            "public": True,
            "university": (viewer == "elsewhere") == (post.author == "elsewhere"),
            "followers": pair in self.follows,
            "mentioned": viewer == post.mentioned,
        }[post.visibility]

    def home(self, viewer: str) -> list[Entry]:
        """Newest first: own posts, those of whom one follows, and what these shared and is not there."""
        found = [
            Entry(post.number, post)
            for post in self.posts
            if self.may_read(viewer, post)
            and not post.is_reply
            and (
                post.author == viewer
                or ((viewer, post.author) in self.follows and post.visibility != "mentioned")
            )
        ]
        folded: set[int] = set()
        for (member, number), at in sorted(self.reposts.items(), key=lambda item: item[1]):
            post = self.posts[number]
            if (viewer, member) not in self.follows - self.mutes or member in self.leaving:
                continue
            is_there = number in folded
            folded.add(number)
            if post.author == viewer or not self.may_read(viewer, post) or is_there:
                continue
            if post.is_reply or (viewer, post.author) not in self.follows:
                found.append(Entry(at, post, member))
        shown = [entry for entry in found if (viewer, entry.post.author) not in self.mutes]
        return sorted(shown, key=lambda entry: -entry.number)


class Session:
    """Members who do things at random, in the model and through the API."""

    def __init__(self, stack: Stack, members: dict[str, Member], seed: int) -> None:
        self.stack = stack
        self.members = members
        self.by_username = {one.username: name for name, one in members.items()}
        self.chance = random.Random(seed)
        self.model = Model()
        self.log: list[str] = []
        self.number = 0

    async def step(self) -> None:
        doings: dict[Callable[[str], Awaitable[None]], int] = {
            self.follow: 5, self.unfollow: 1, self.block: 1, self.unblock: 2, self.mute: 1, self.unmute: 1,
            self.post: 6, self.edit: 2, self.set_visibility: 5, self.delete: 1, self.repost: 5,
            self.unrepost: 2, self.leave_or_return: 1,
        }  # fmt: skip
        (doing,) = self.chance.choices(list(doings), list(doings.values()))
        self.number += 1
        await doing(self.chance.choice(self.present()))

    def present(self) -> list[str]:
        return [name for name in NAMES if name not in self.model.leaving]

    async def ask(self, who: str, method: str, path: str, body: object = None) -> httpx.Response:
        one = self.members[who]
        answer = await one.client.request(method, f"/api{path}", headers=one.headers, json=body)
        self.log.append(f"{who}: {method} {path} {body or ''} -> {answer.status_code}")
        assert answer.status_code < 500, self.log[-1]
        return answer

    def other(self, who: str) -> str:
        return self.chance.choice([name for name in NAMES if name != who])

    async def leave_or_return(self, who: str) -> None:
        """As with `DELETE /auth/account`: one member at a time, who does nothing until they return."""
        for one in self.model.leaving or {who}:
            is_leaving = one not in self.model.leaving
            account = self.members[one].id
            await self.stack.sql("SELECT feed.hide_member($1, $2)", account, is_leaving)
            self.log.append(f"{one} {'leaves' if is_leaving else 'returns'}")
        self.model.leaving = set() if self.model.leaving else {who}

    async def follow(self, who: str) -> None:
        whom = self.other(who)
        answer = await self.ask(who, "PUT", f"/users/{self.members[whom].username}/follow")
        is_apart = bool({(who, whom), (whom, who)} & self.model.blocks)
        assert (answer.status_code == 204) == (not is_apart and whom not in self.model.leaving)
        if answer.status_code == 204:
            self.model.follows.add((who, whom))

    async def unfollow(self, who: str) -> None:
        whom = self.other(who)
        answer = await self.ask(who, "DELETE", f"/users/{self.members[whom].username}/follow")
        if answer.status_code == 204:
            self.model.follows.discard((who, whom))

    async def block(self, who: str) -> None:
        whom = self.other(who)
        answer = await self.ask(who, "PUT", f"/users/{self.members[whom].username}/block")
        if answer.status_code == 204:
            self.model.blocks.add((who, whom))
            self.model.follows -= {(who, whom), (whom, who)}

    async def unblock(self, who: str) -> None:
        for one, whom in sorted(self.model.blocks):
            if one == who:
                path = f"/users/{self.members[whom].username}/block"
                if (await self.ask(who, "DELETE", path)).status_code == 204:
                    self.model.blocks.discard((who, whom))
                return

    async def mute(self, who: str) -> None:
        whom = self.other(who)
        answer = await self.ask(who, "PUT", f"/users/{self.members[whom].username}/mute")
        if answer.status_code == 204:
            self.model.mutes.add((who, whom))

    async def unmute(self, who: str) -> None:
        for one, whom in sorted(self.model.mutes):
            if one == who:
                path = f"/users/{self.members[whom].username}/mute"
                if (await self.ask(who, "DELETE", path)).status_code == 204:
                    self.model.mutes.discard((who, whom))
                return

    async def post(self, who: str) -> None:
        mentioned = self.other(who)
        body: dict[str, Any] = {
            "text": f"number {self.number} @{self.members[mentioned].username}",
            "visibility": self.chance.choice(VISIBILITIES[:3] * 2 + VISIBILITIES),
        }
        answered = self.some_post(who) if self.chance.random() < 0.25 else None
        if answered is not None:
            body["reply_to"] = answered.id
        written = (await self.ask(who, "POST", "/posts", body)).json()
        # Who blocks is not mentioned.
        named = mentioned if written["mentions"] else ""
        self.model.posts.append(
            ModelPost(
                written["id"], self.number, who, body["text"], body["visibility"], answered is not None, named
            )
        )  # fmt: skip

    def some_post(self, who: str, *, own: bool = False) -> ModelPost | None:
        posts = [
            post
            for post in self.model.posts[-25:]
            if self.model.may_read(who, post) and (post.author == who or not own)
        ]
        return self.chance.choice(posts) if posts else None

    async def edit(self, who: str) -> None:
        post = self.some_post(who, own=True)
        if post is not None:
            mention = post.text.split()[2]
            post.text = f"edited {self.number} {mention}"
            await self.ask(who, "PATCH", f"/posts/{post.id}", {"text": post.text})
            seen = (await self.ask(who, "GET", f"/posts/{post.id}")).json()
            post.mentioned = self.by_username[seen["mentions"][0]] if seen["mentions"] else ""

    async def set_visibility(self, who: str) -> None:
        post = self.some_post(who, own=True)
        if post is not None:
            post.visibility = self.chance.choice(VISIBILITIES)
            body = {"visibility": post.visibility}
            await self.ask(who, "PATCH", f"/posts/{post.id}", body)

    async def delete(self, who: str) -> None:
        post = self.some_post(who, own=True)
        if post is not None:
            post.is_deleted = True
            await self.ask(who, "DELETE", f"/posts/{post.id}")

    async def repost(self, who: str) -> None:
        post = self.some_post(who)
        if post is not None:
            answer = await self.ask(who, "PUT", f"/posts/{post.id}/repost")
            may = post.visibility in ("public", "university")
            assert answer.status_code == (204 if may else 403), self.log[-1]
            if may:
                key = (who, self.model.posts.index(post))
                self.model.reposts.setdefault(key, self.number)

    async def unrepost(self, who: str) -> None:
        for one, number in sorted(self.model.reposts):
            if one == who and self.chance.random() < 0.5:
                path = f"/posts/{self.model.posts[number].id}/repost"
                await self.ask(who, "DELETE", path)
                del self.model.reposts[one, number]
                return

    async def delivered(self) -> None:
        async def is_done() -> bool:
            return not await self.stack.sql("SELECT FROM jobs.jobs WHERE kind LIKE 'deliver_%'")

        await eventually(is_done)

    async def page(self, who: str, **query: object) -> Any:
        one = self.members[who]
        answer = await one.client.get(
            "/api/feed/home", headers=one.headers, params={k: str(v) for k, v in query.items()}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def rest(self, who: str, cursor: str | None) -> list[Any]:
        found: list[Any] = []
        while cursor is not None:
            page = await self.page(who, limit=3, cursor=cursor)
            found += page["items"]
            cursor = page["next_cursor"]
        return found

    async def check(self) -> None:
        """Compare all homes with the model: by number, by cursor, and what is new since each third entry."""
        await self.delivered()
        for who in self.present():
            wanted = self.model.home(who)
            by_number: list[Any] = []
            number, is_more = 1, True
            while is_more:
                page = await self.page(who, limit=3, page=number)
                by_number += page["items"]
                number, is_more = number + 1, page["next_cursor"] is not None
            self.compare(who, by_number, wanted)
            first = await self.page(who, limit=2)
            self.compare(who, first["items"] + await self.rest(who, first["next_cursor"]), wanted)
            for at in range(0, len(by_number), 3):
                item = by_number[at]
                newer = item.get("reposted_by", item)["id"]
                found = await self.page(who, limit=100, after=newer)
                self.compare(who, found["items"], wanted[:at])

    async def check_while_others_act(self) -> None:
        """A reader who goes on by cursor gets what is left of the older entries, whatever happened."""
        await self.delivered()
        who = self.chance.choice(self.present())
        first = await self.page(who, limit=2)
        before = self.model.home(who)
        for _ in range(3):
            await self.step()
        wanted = (
            [entry for entry in self.model.home(who) if entry.number < before[1].number]
            if len(before) > 2
            else []
        )
        self.compare(who, await self.rest(who, first["next_cursor"]), wanted)

    def compare(self, who: str, found: list[Any], wanted: list[Entry]) -> None:
        shown = [
            (
                item["text"],
                item["visibility"],
                self.by_username[item["author"]["username"]],
                self.by_username[item["reposted_by"]["username"]]
                if "reposted_by" in item
                else None,
            )
            for item in found
        ]
        expected = [
            (entry.post.text, entry.post.visibility, entry.post.author, entry.reposter)
            for entry in wanted
        ]
        assert shown == expected, "\n".join([f"the home of {who}, after:", *self.log])


@pytest.mark.parametrize(
    ("seed", "rounds"),
    [
        *((seed, 6) for seed in (1, 2)),
        *(pytest.param(seed, 12, marks=pytest.mark.long) for seed in range(3, 19)),
    ],
)
async def test_home_is_what_the_model_says_after_any_sequence(
    stack: Stack, client: httpx.AsyncClient, seed: int, rounds: int
) -> None:
    session = Session(stack, await joined(stack, client, *NAMES), seed)
    for name in NAMES:
        await session.follow(name)
    for _ in range(rounds):
        for _ in range(14):
            await session.step()
        await session.check()
        await session.check_while_others_act()


async def test_repost_of_who_leaves_hides_no_other(stack: Stack, client: httpx.AsyncClient) -> None:
    members = await joined(stack, client, "ada", "bob", "cyd", "eve")
    ada, bob, cyd, eve = members.values()
    post = await ada.write("worth it")
    for one in (bob, cyd):
        await eve.put(f"/api/users/{one.username}/follow")
        await one.put(f"/api/posts/{post['id']}/repost")

    async def reposters() -> list[str]:
        return [item["reposted_by"]["username"] for item in await eve.home()]

    assert await reposters() == [bob.username]
    await stack.sql("SELECT feed.hide_member($1, true)", bob.id)
    assert await reposters() == [cyd.username]
