"""Posts, pictures and people at the API over HTTP: what a session does in the feed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import quote
from uuid import UUID

from chitlaq.client.shapes import (
    Draft,
    FoundMessage,
    FoundPage,
    FoundPost,
    Media,
    Page,
    Parameters,
    Person,
    Post,
    Profile,
    Suggestion,
    Thread,
    TrendingTag,
    User,
)

T = TypeVar("T")


class Requests(Protocol):
    """What the methods stand on."""

    async def request(
        self,
        method: str,
        path: str,
        kind: type[T] | None,
        parameters: Parameters | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> T: ...

    async def send_form(
        self, method: str, path: str, kind: type[T], form: bytes, boundary: str
    ) -> T: ...


class Feed(Requests):
    """Methods of a `Session`. Posts are named by their id, people by their username."""

    async def me(self) -> Person:
        """Return who is signed in."""
        return await self.request("GET", "/users/me", Person)

    async def post(
        self,
        text: str,
        visibility: str = "public",
        reply_to: UUID | None = None,
        *,
        media_ids: Sequence[UUID] = (),
        **more: Any,
    ) -> Post:
        """Write a post; if there was no answer, writing it again may write it twice.

        Args:
            media_ids: pictures from `upload`.
            more: further fields of ``POST /posts``, such as ``quote_of`` or ``content_warning``.
        """
        body = {"text": text, "visibility": visibility, "reply_to": reply_to, **more}
        return await self.request("POST", "/posts", Post, body=body | {"media_ids": media_ids})

    async def post_of(self, post_id: UUID) -> Post:
        """Return a post as it is now."""
        return await self.request("GET", _post(post_id), Post)

    async def edit_post(self, post_id: UUID, **changes: Any) -> Post:
        """Change one's own post: ``text``, ``visibility``, ``content_warning``, ``quotable_by``."""
        return await self.request("PATCH", _post(post_id), Post, body=changes)

    async def delete_post(self, post_id: UUID) -> None:
        """Delete one's own post."""
        await self.request("DELETE", _post(post_id), None)

    async def thread(self, post_id: UUID, cursor: str | None = None) -> Thread:
        """Return a post with what it answers and what answers it."""
        return await self.request("GET", _post(post_id, "thread"), Thread, {"cursor": cursor})

    async def like(self, post_id: UUID, *, takes_back: bool = False) -> None:
        """Like a post, or no more."""
        await self._toggle(_post(post_id, "like"), takes_back)

    async def repost(self, post_id: UUID, *, takes_back: bool = False) -> None:
        """Share a post, or no more."""
        await self._toggle(_post(post_id, "repost"), takes_back)

    async def bookmark(self, post_id: UUID, *, takes_back: bool = False) -> None:
        """Keep a post for later, or no more; nobody is told."""
        await self._toggle(_post(post_id, "bookmark"), takes_back)

    async def vote(self, post_id: UUID, choices: Sequence[int]) -> Post:
        """Vote in a poll, once: the numbers of the options, from 0."""
        return await self.request("PUT", _post(post_id, "vote"), Post, body={"choices": choices})

    # Feeds: each is read on with the ``next_cursor`` of its last page.

    async def home(self, limit: int = 20, cursor: str | None = None) -> Page[Post]:
        """Return a page of the home feed."""
        return await self._posts("/feed/home", limit, cursor)

    async def explore(self, limit: int = 20, cursor: str | None = None) -> Page[Post]:
        """Return what many care for these days, then the latest public posts."""
        return await self._posts("/feed/explore", limit, cursor)

    async def tag(self, tag: str, limit: int = 20, cursor: str | None = None) -> Page[Post]:
        """Return the latest public posts with a hashtag, in any spelling."""
        return await self._posts(f"/feed/tags/{quote(tag, safe='')}", limit, cursor)

    async def posts(self, username: str, limit: int = 20, cursor: str | None = None) -> Page[Post]:
        """Return a member's posts, newest first."""
        return await self._posts(_member(username, "posts"), limit, cursor)

    async def bookmarks(self, limit: int = 20, cursor: str | None = None) -> Page[Post]:
        """Return one's bookmarks, the latest first."""
        return await self._posts("/users/me/bookmarks", limit, cursor)

    async def trending(self) -> Sequence[TrendingTag]:
        """Return hashtags that rise at one's university."""
        return (await self.request("GET", "/feed/trending", Page[TrendingTag])).items

    # Pictures.

    async def upload(self, picture: bytes, alt: str = "") -> Media:
        """Upload a picture for a post or a message, with a description for those who do not see it."""
        return await self._send_picture("POST", "/media", picture, alt)

    async def picture(self, media_id: UUID) -> Media:
        """Return one's own picture: whether it is ready, or why it has failed."""
        return await self.request("GET", f"/media/{media_id}", Media)

    async def set_avatar(self, picture: bytes) -> Media:
        """Show a picture as one's own, once it is ready."""
        return await self._send_picture("PUT", "/users/me/avatar", picture)

    # Drafts.

    async def keep_draft(self, text: str, at: datetime | None = None, **more: Any) -> Draft:
        """Keep a draft, or schedule a post: ``more`` are fields of ``POST /posts``."""
        body = {"post": {"text": text, **more}, "scheduled_at": at}
        return await self.request("POST", "/users/me/drafts", Draft, body=body)

    async def drafts(self, limit: int = 20, cursor: str | None = None) -> Page[Draft]:
        """Return one's drafts and scheduled posts, newest first."""
        given: Parameters = {"limit": limit, "cursor": cursor}
        return await self.request("GET", "/users/me/drafts", Page[Draft], given)

    async def delete_draft(self, draft_id: UUID) -> None:
        """Delete a draft; it is not published any more."""
        await self.request("DELETE", f"/users/me/drafts/{draft_id}", None)

    # People.

    async def profile(self, username: str) -> Profile:
        """Return a member's profile; one's own for ``me``."""
        return await self.request("GET", _member(username), Profile)

    async def change_profile(self, **changes: Any) -> Profile:
        """Change one's own profile: ``display_name``, ``bio``, ``is_private`` and the like."""
        return await self.request("PATCH", "/users/me", Profile, body=changes)

    async def search(
        self, query: str, *, limit: int = 20, cursor: str | None = None
    ) -> FoundPage[User]:
        """Return members by name, username, department or bio, those who are meant most likely first."""
        sought: Parameters = {"q": query, "limit": limit, "cursor": cursor}
        return await self.request("GET", "/search/users", FoundPage[User], sought)

    async def search_posts(
        self, query: str, *, limit: int = 20, cursor: str | None = None, by_time: bool = False
    ) -> FoundPage[FoundPost]:
        """Return posts that say it, the most relevant or the latest first."""
        sought = _sought(query, limit, cursor, by_time=by_time)
        return await self.request("GET", "/search/posts", FoundPage[FoundPost], sought)

    async def search_messages(
        self, query: str, *, limit: int = 20, cursor: str | None = None, by_time: bool = False
    ) -> FoundPage[FoundMessage]:
        """Return messages of one's conversations that say it, the most relevant or the latest first."""
        sought = _sought(query, limit, cursor, by_time=by_time)
        return await self.request("GET", "/search/messages", FoundPage[FoundMessage], sought)

    async def suggestions(self) -> Sequence[Suggestion]:
        """Return whom one may want to follow, and why."""
        return (await self.request("GET", "/users/me/suggestions", Page[Suggestion])).items

    async def follow(self, username: str, *, takes_back: bool = False) -> None:
        """Follow a member, or ask a private one; or no more."""
        await self._toggle(_member(username, "follow"), takes_back)

    async def block(self, username: str, *, takes_back: bool = False) -> None:
        """Block a member, or no more."""
        await self._toggle(_member(username, "block"), takes_back)

    async def mute(self, username: str, *, takes_back: bool = False) -> None:
        """Leave a member's posts out of one's feeds, or no more."""
        await self._toggle(_member(username, "mute"), takes_back)

    async def follow_requests(self, limit: int = 20, cursor: str | None = None) -> Page[Person]:
        """Return who asks to follow one, the latest first."""
        given: Parameters = {"limit": limit, "cursor": cursor}
        return await self.request("GET", "/users/me/follow-requests", Page[Person], given)

    async def answer_request(self, username: str, *, refuses: bool = False) -> None:
        """Let a member follow, or refuse it."""
        await self._toggle(f"/users/me/follow-requests/{quote(username, safe='')}", refuses)

    async def _toggle(self, path: str, takes_back: bool) -> None:
        await self.request("DELETE" if takes_back else "PUT", path, None)

    async def _posts(self, path: str, limit: int, cursor: str | None) -> Page[Post]:
        return await self.request("GET", path, Page[Post], {"limit": limit, "cursor": cursor})

    async def _send_picture(self, method: str, path: str, picture: bytes, alt: str = "") -> Media:
        boundary = secrets.token_hex(16)
        form = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="alt"\r\n\r\n{alt}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="picture"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode() + picture
        return await self.send_form(
            method, path, Media, form + f"\r\n--{boundary}--\r\n".encode(), boundary
        )


def _post(post_id: UUID, *parts: str) -> str:
    return "/".join(("/posts", str(post_id), *parts))


def _member(username: str, *parts: str) -> str:
    return "/".join(("/users", quote(username, safe=""), *parts))


def _sought(query: str, limit: int, cursor: str | None, *, by_time: bool) -> Parameters:
    sort = "time" if by_time else "relevance"
    return {"q": query, "limit": limit, "cursor": cursor, "sort": sort}
