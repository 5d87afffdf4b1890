"""Kind by relation by channel: pushes have ids, mails have numbers, and neither of what one may not see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from tests.conftest import Stack, eventually
from tests.services.feed.crowd import Crowd, Someone
from tests.services.websocket.notifications.carried import carried, push_of
from tests.services.websocket.notifications.push_service import PushService
from tests.services.websocket.notifications.test_bounds import ABOUT_POSTS, ALWAYS

ALL = frozenset(ABOUT_POSTS | ALWAYS)

NOTHING = frozenset[str]()

BEFORE: dict[str, tuple[frozenset[str], frozenset[str], frozenset[str]]] = {
    # What is listed, what may be pushed, what a mail counts.
    "nothing": (ALL, ALL, ALL),
    "recipient mutes": (NOTHING, NOTHING, NOTHING),
    "recipient keeps strangers apart": (NOTHING, NOTHING, NOTHING),
    "recipient wants likes nowhere": (ALL - {"like"}, ALL - {"like"}, ALL - {"like"}),
    "recipient wants likes in the list alone": (ALL, ALL - {"like"}, ALL - {"like"}),
    "recipient has blocked": (NOTHING, NOTHING, NOTHING),
}
"""How it is when the actor acts."""

AFTER: dict[str, frozenset[str]] = {
    "recipient blocks": NOTHING,
    "actor blocks": NOTHING,
    "actor leaves": NOTHING,
    "actor becomes private": frozenset(ALWAYS),
    "posts narrowed": frozenset(ALWAYS),
    "posts deleted": frozenset(ALWAYS),
    "recipient's post deleted": frozenset({"follow", *ABOUT_POSTS}),
    "all is taken back": frozenset({"mention", "reply", "quote"}),
}
"""What comes after it, before anything was pushed or mailed; what is left then."""


@dataclass
class Pair:
    """A recipient with a browser, and an actor; what each channel may carry."""

    case: str
    ada: Someone
    eve: Someone
    listed: frozenset[str]
    pushed: frozenset[str]
    mailed: frozenset[str]
    posts: list[str]
    own: str = ""

    async def prepare(self, stack: Stack) -> None:
        """Let it be as it is when the actor acts."""
        kinds, is_apart = "{}", self.case == "recipient keeps strangers apart"
        if self.case == "recipient wants likes nowhere":
            kinds = '{"like": {"in_app": false}}'
        if self.case == "recipient wants likes in the list alone":
            kinds = '{"like": {"in_app": true, "push": false, "mail": false}}'
        await stack.sql(
            "INSERT INTO websocket.notification_settings (account_id, kinds, filter_strangers)"
            " VALUES ($1, $2, $3)",
            self.ada.id,
            kinds,
            is_apart,
        )
        if self.case == "recipient mutes":
            await self.ada.ask("PUT", f"/users/{self.eve.username}/mute")
        if self.case == "recipient has blocked":
            # What the actor did before stays in the tables, as after a race.
            await stack.sql(
                "INSERT INTO feed.blocks (blocker_id, blocked_id) VALUES ($1, $2)",
                self.ada.id,
                self.eve.id,
            )

    async def act(self) -> None:
        """Let the actor do all that is told."""
        self.own = (await self.ada.ask("POST", "/posts", {"text": "own"})).json()["id"]
        about: dict[str, dict[str, str]] = {
            f"@{self.ada.username} secret": {},
            "secret": {"reply_to": self.own},
            "secrets": {"quote_of": self.own},
        }
        for text, more in about.items():
            answer = await self.eve.ask("POST", "/posts", {"text": text, **more})
            if answer.status_code == 201:
                self.posts.append(answer.json()["id"])
        for verb in ("like", "repost"):
            await self.eve.ask("PUT", f"/posts/{self.own}/{verb}")
        await self.eve.ask("PUT", f"/users/{self.ada.username}/follow")

    async def change(self, stack: Stack) -> None:
        """Let something come after it."""
        ada, eve = self.ada, self.eve
        match self.case:
            case "recipient blocks":
                await ada.ask("PUT", f"/users/{eve.username}/block")
            case "actor blocks":
                await eve.ask("PUT", f"/users/{ada.username}/block")
            case "actor leaves":
                await stack.sql("SELECT feed.hide_member($1, true)", eve.id)
            case "actor becomes private":
                await eve.ask("PATCH", "/users/me", {"is_private": True})
            case "posts narrowed":
                for post in self.posts:
                    await eve.ask("PATCH", f"/posts/{post}", {"visibility": "self"})
            case "posts deleted":
                for post in self.posts:
                    await eve.ask("DELETE", f"/posts/{post}")
            case "recipient's post deleted":
                await ada.ask("DELETE", f"/posts/{self.own}")
            case "all is taken back":
                for path in (f"/posts/{self.own}/like", f"/posts/{self.own}/repost"):
                    await eve.ask("DELETE", path)
                await eve.ask("DELETE", f"/users/{ada.username}/follow")


async def notify_is_done(stack: Stack) -> bool:
    return not await stack.sql(
        "SELECT FROM jobs.jobs WHERE kind = 'notify' AND due_at < now() + interval '10 s'"
    )


async def listed(client: httpx.AsyncClient, one: Someone) -> list[dict[str, Any]]:
    answer = await client.get("/notifications", headers=one._headers)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_no_channel_carries_what_the_recipient_may_not_see(
    stack: Stack, push_service: PushService
) -> None:
    async with (
        Crowd(stack) as crowd,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{stack.ports['websocket']}") as client,
    ):
        cases = {**BEFORE, **{case: (left, left, left) for case, left in AFTER.items()}}
        people = await crowd.join(2 * len(cases))
        pairs = [
            Pair(case, people[2 * at], people[2 * at + 1], *expected, [])
            for at, (case, expected) in enumerate(cases.items())
        ]
        for pair in pairs:
            await pair.prepare(stack)
        for pair in pairs:
            await pair.act()
        await eventually(lambda: notify_is_done(stack))
        for pair in pairs:
            await pair.change(stack)
        await eventually(lambda: notify_is_done(stack))
        left = await carried(stack, push_service, {one.ada.username: one.ada.id for one in pairs})
        for pair in pairs:
            found = await listed(client, pair.ada)
            assert {one["kind"] for one in found} == pair.listed, pair.case
            latest = [one["id"] for one in found if one["kind"] in pair.pushed][:1]
            there = left[pair.ada.username]
            assert there.pushes == [push_of(id_) for id_ in latest], pair.case
            assert len(there.mails) == bool(pair.mailed), pair.case
            assert len(there.lines) == len(pair.mailed), (pair.case, there.mails)
            assert "secret" not in str(there.mails), pair.case
            assert pair.eve.username not in str(there.mails), pair.case
