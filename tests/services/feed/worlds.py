"""A small world of members and posts, set up at once, and the rule of who may read what, in plain Python."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from chitlaq.core import ids
from tests.conftest import Member, Stack

VISIBILITIES = ("public", "university", "followers", "mentioned", "self")
AUTHORS = ("open", "private", "leaving")
VIEWERS = (
    "follower", "requester", "stranger", "moderator", "elsewhere", "blocked", "blocker", "muter", "mentioned",
)  # fmt: skip
FOLLOWERS = ("follower", "muter")
# Whom everybody follows: one writes, one reposts.
HOST, SHARER = "host", "sharer"
NOBODY = "nobody"


@dataclass(frozen=True)
class Written:
    """A post of the world: ``word`` is in all that it says."""

    id: str
    author: str
    visibility: str
    kind: str
    about: str | None = None
    word: str = field(default_factory=lambda: f"w{secrets.token_hex(8)}")


def may_read(viewer: str, post: Written) -> bool:
    """Whether somebody may read a post: the rule of docs/feed.md."""
    author, visibility = post.author, post.visibility
    if author == "leaving":
        return False
    if viewer == author:
        return True
    if author in (HOST, SHARER):
        return visibility == "public"
    if visibility == "self" or viewer in ("blocked", "blocker"):
        return False
    if visibility == "mentioned":
        return viewer == "mentioned"
    if (author == "private" or visibility == "followers") and viewer not in FOLLOWERS:
        return False
    return visibility != "university" or viewer not in ("elsewhere", NOBODY)


def follows(viewer: str, author: str) -> bool:
    return viewer != author and (
        author in (HOST, SHARER) if viewer not in FOLLOWERS else author in (HOST, SHARER, *AUTHORS)
    )


def mutes(viewer: str, author: str) -> bool:
    return viewer == "muter" and author in AUTHORS


@dataclass
class World:
    members: dict[str, Member]
    posts: dict[str, Written]
    tag: str
    client: httpx.AsyncClient

    def of(self, *kinds: str, authors: Sequence[str] = AUTHORS) -> list[Written]:
        return [
            post
            for post in self.posts.values()
            if post.kind in kinds and (post.author in authors or post.author == HOST)
        ]

    def headers(self, viewer: str) -> dict[str, str]:
        return {} if viewer == NOBODY else self.members[viewer].headers

    async def ask(self, viewer: str, method: str, path: str, body: object = None) -> httpx.Response:
        answer = await self.client.request(
            method, f"/api{path}", headers=self.headers(viewer), json=body
        )
        self.check(viewer, path, answer.text)
        return answer

    def check(self, viewer: str, where: str, text: str) -> None:
        """No answer holds a word of a post that its reader may not read."""
        for post in self.posts.values():
            if post.word in text:
                assert may_read(viewer, post), f"{viewer} reads in {where}: {post}"


async def joined(stack: Stack, client: httpx.AsyncClient, *names: str) -> dict[str, Member]:
    """Let members join at once, without mails: one of another university, one a moderator, by these names."""
    await stack.add_university("Elsewhere College", "elsewhere.example")
    run = secrets.token_hex(4)
    members: dict[str, Member] = {}
    connection = await asyncpg.connect(stack.dsn())
    try:
        for name in names:
            domain = "elsewhere.example" if name == "elsewhere" else "example.edu"
            username = f"{name[:9]}_{run}"
            one = await connection.fetchval(
                "INSERT INTO auth.accounts (university_id, email, username, display_name, verified_at)"
                " SELECT university_id, $1 || '@' || domain, $1, $1, now()"
                " FROM auth.university_domains WHERE domain = $2 RETURNING id",
                username, domain,
            )  # fmt: skip
            await connection.execute(
                "SELECT feed.create_member(id, university_id, username, username) FROM auth.accounts"
                " WHERE id = $1",
                one,
            )
            roles = ["moderator"] if name == "moderator" else []
            token = stack.signer.sign(one, ids.new(), 900, roles=roles)
            members[name] = Member(str(one), username, "", token, client)
    finally:
        await connection.close()
    return members


async def world(stack: Stack, client: httpx.AsyncClient) -> World:
    """Set up members in all relations to three authors, and posts of every kind and visibility."""
    run = secrets.token_hex(4)
    names = (*AUTHORS, HOST, SHARER, *VIEWERS)
    members = await joined(stack, client, *names)
    people = {name: UUID(one.id) for name, one in members.items()}
    posts = [Written(str(ids.new()), HOST, "public", "root")]
    (root,) = posts
    for author in AUTHORS:
        for visibility in VISIBILITIES:
            own = Written(str(ids.new()), author, visibility, "post")
            posts += [
                own,
                Written(str(ids.new()), author, visibility, "reply", root.id),
                Written(str(ids.new()), author, visibility, "quote", root.id),
                Written(str(ids.new()), HOST, "public", "reply below", own.id),
                Written(str(ids.new()), HOST, "public", "quote of it", own.id),
            ]
    found = World(members, {post.id: post for post in posts}, f"tag{run}", client)
    connection = await asyncpg.connect(stack.dsn())
    try:
        async with connection.transaction():
            await _store(connection, found, people)
    finally:
        await connection.close()
    return found


async def _store(connection: Any, world: World, people: dict[str, UUID]) -> None:
    everybody = list(people.values())
    await connection.executemany(
        "INSERT INTO feed.follows (follower_id, followed_id) VALUES ($1, $2)",
        [
            (one, other)
            for name, one in people.items()
            for whom, other in people.items()
            if follows(name, whom)
        ],
    )
    for author in (people[name] for name in AUTHORS):
        await connection.execute(
            "INSERT INTO feed.blocks (blocker_id, blocked_id) VALUES ($1, $2), ($3, $1)",
            author, people["blocked"], people["blocker"],
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO feed.mutes (member_id, muted_id) VALUES ($1, $2)", people["muter"], author
        )
        await connection.execute(
            "INSERT INTO feed.follow_requests (requester_id, requested_id) VALUES ($1, $2)",
            people["requester"], author,
        )  # fmt: skip
    posts = list(world.posts.values())
    await connection.executemany(
        "INSERT INTO feed.posts (id, author_id, text, visibility, reply_to, root_id, quote_of,"
        " content_warning, is_restricted) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $4 <> 'public')",
        [
            (
                post.id,
                people[post.author],
                f"{post.word} #{world.tag}",
                post.visibility,
                post.about if post.kind in ("reply", "reply below") else None,
                post.about if post.kind in ("reply", "reply below") else None,
                post.about if post.kind in ("quote", "quote of it") else None,
                post.word,
            )
            for post in posts
        ],
    )
    chosen = [post.id for post in posts if post.kind == "post"]
    sharer = people[SHARER]
    for table, columns in (
        ("polls", "id, ARRAY[content_warning, 'no'], '{1,0}', 1, now(), false"),
        ("post_edits (post_id, text, visibility)", "id, text, visibility"),
        ("reposts (post_id, member_id)", f"id, '{sharer}'"),
        ("likes (post_id, member_id)", f"id, '{sharer}'"),
        ("post_tags (tag, spelling, post_id)", f"'{world.tag}', '{world.tag}', id"),
    ):
        await connection.execute(
            f"INSERT INTO feed.{table} SELECT {columns} FROM feed.posts WHERE id = ANY ($1)", chosen
        )
    await connection.execute(
        "INSERT INTO feed.post_mentions SELECT id, $2 FROM feed.posts"
        " WHERE id = ANY ($1) AND visibility = 'mentioned'",
        list(world.posts), people["mentioned"],
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO feed.bookmarks (post_id, member_id)"
        " SELECT p, m FROM unnest($1::uuid[]) p, unnest($2::uuid[]) m",
        chosen, everybody,
    )  # fmt: skip
    likers = [one for name, one in people.items() if name != "leaving"]
    for table in ("likes", "reposts"):
        await connection.execute(
            f"INSERT INTO feed.{table} (post_id, member_id) SELECT $1, unnest($2::uuid[])",
            posts[0].id, likers,
        )  # fmt: skip
    # The triggers recount what depends on the account, and index a poll's options with its post.
    await connection.execute(
        "UPDATE feed.posts p SET has_poll = id = ANY ($2),"
        " likes_count = (SELECT count(*) FROM feed.likes l WHERE l.post_id = p.id),"
        " reposts_count = (SELECT count(*) FROM feed.reposts s WHERE s.post_id = p.id),"
        " (replies_count, restricted_replies_count) ="
        " (SELECT count(*) FILTER (WHERE NOT is_restricted), count(*) FILTER (WHERE is_restricted)"
        "  FROM feed.posts r WHERE r.reply_to = p.id)"
        " WHERE id = ANY ($1)",
        list(world.posts), chosen,
    )  # fmt: skip
    await connection.execute(
        "UPDATE feed.members m SET posts_count = (SELECT count(*) FROM feed.posts p"
        " WHERE p.author_id = m.id AND p.visibility = 'public'),"
        " (followers_count, following_count) = (SELECT f.* FROM feed.follows_counted_for(m.id) f)"
        " WHERE id = ANY ($1)",
        everybody,
    )
    await connection.execute(
        "UPDATE feed.members SET is_private = true WHERE id = $1", people["private"]
    )
    await connection.execute(
        "UPDATE feed.members SET hidden_at = now() WHERE id = $1", people["leaving"]
    )
