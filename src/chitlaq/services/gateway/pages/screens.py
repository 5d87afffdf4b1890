"""The screens of the members' application, and of what is public in it: of which parts each is made.

`static/app/views/NAME.js` names the same parts by the same names, and its markup is that of `app/NAME.html`:
a browser goes on with what it got, and asks itself for what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from litestar import Request, Response
from litestar.response import Redirect

from chitlaq.core.http import cookies
from chitlaq.core.http.service import Context
from chitlaq.services.gateway.pages.reading import Part, Read, Reader
from chitlaq.web.site.pages import SITE
from chitlaq.web.site.posts import encoded

FEED = "feed-service"
WEBSOCKET = "websocket"
SEARCH = "search-service"
SHELL = {
    "me": Read(FEED, "/users/me"),
    "counts": Read(WEBSOCKET, "/notifications?limit=1"),
    "chats": Read(WEBSOCKET, "/conversations/unread"),
    "banners": Read(WEBSOCKET, "/notifications/announcements"),
}
"""What a member's page has around each screen."""


@dataclass(frozen=True, slots=True)
class Screen:
    """A page of several parts.

    Args:
        name: of its template and of its view.
        parts: what it reads, by name.
        subject: the part without which there is no such page.
        is_for_members: whether who is not signed in is asked to sign in.
    """

    name: str
    parts: Mapping[str, Read] = field(default_factory=dict)
    subject: str = ""
    is_for_members: bool = False


LANDING = Screen("landing", {"posts": Read(FEED, "/feed/explore?limit=5")})
HOME = Screen("home", {"posts": Read(FEED, "/feed/home?limit=20")}, is_for_members=True)
COMPOSE = Screen("compose", is_for_members=True)
QUOTING = Screen("compose", {"quoted": Read(FEED, "/posts/{quote}")}, "quoted", True)
BOOKMARKS = Screen(
    "bookmarks", {"posts": Read(FEED, "/users/me/bookmarks?limit=20")}, is_for_members=True
)
DRAFTS = Screen(
    "drafts",
    {"drafts": Read(FEED, "/users/me/drafts?limit=20&cursor={cursor}")},
    is_for_members=True,
)
ABOUT_POSTS = {
    "likes": Screen(
        "people",
        {"people": Read(FEED, "/posts/{post}/likes?limit=20&cursor={cursor}")},
        "people",
        True,
    ),
    "reposts": Screen(
        "people",
        {"people": Read(FEED, "/posts/{post}/reposts?limit=20&cursor={cursor}")},
        "people",
        True,
    ),
    "quotes": Screen(
        "quotes", {"posts": Read(FEED, "/posts/{post}/quotes?limit=20")}, "posts", True
    ),
    "history": Screen("history", {"history": Read(FEED, "/posts/{post}/history")}, "history", True),
}
"""By the last part of their address."""
EXPLORE = Screen(
    "explore",
    {
        "posts": Read(FEED, "/feed/explore?limit=20&cursor={cursor}"),
        "trending": Read(FEED, "/feed/trending"),
    },
)
TAG = Screen("tag", {"posts": Read(FEED, "/feed/tags/{tag}?limit=20&cursor={cursor}")})
PROFILE = Screen(
    "profile",
    {
        "profile": Read(FEED, "/users/{handle}"),
        "posts": Read(FEED, "/users/{handle}/posts?limit=20&cursor={cursor}"),
    },
    subject="profile",
)
SHELL_ALONE = Screen("offline", is_for_members=True)
"""What a browser keeps, to open the application without a connection."""
MEMBERS = {
    name: Screen(
        "members",
        {
            "profile": Read(FEED, "/users/{handle}"),
            "members": Read(FEED, f"/users/{{handle}}/{name}?limit=40&cursor={{cursor}}"),
        },
        subject="profile",
    )
    for name in ("followers", "following")
}
"""By the list: those who follow a member, and those whom they follow."""
REQUESTS = Screen(
    "requests",
    {"asking": Read(FEED, "/users/me/follow-requests?limit=40&cursor={cursor}")},
    is_for_members=True,
)
MOST_LETTERS = 100
"""Of what is searched for."""
NOT_YET_SEARCHED = Screen("search")
ABOUT = Screen("about")
RULES = Screen("rules")
SEARCHES = {
    kind: Screen("search", {"found": Read(SEARCH, path)}, is_for_members=kind == "messages")
    for kind, path in {
        "members": "/search/users?q={q}&limit=20&cursor={cursor}",
        "posts": "/search/posts?q={q}&sort={sort}&limit=20&cursor={cursor}",
        "tags": "/search/tags?q={q}&limit=20",
        "messages": "/search/messages?q={q}&sort={sort}&limit=20&cursor={cursor}",
    }.items()
}
"""By what is searched for."""
NOTIFICATIONS = Screen(
    "notifications",
    {"told": Read(WEBSOCKET, "/notifications?limit=20&filtered={filtered}&cursor={cursor}")},
    is_for_members=True,
)
CHATS = Screen(
    "chat",
    {
        "conversations": Read(WEBSOCKET, "/conversations?limit=30"),
        "requests": Read(WEBSOCKET, "/conversations?folder=requests&limit=30"),
    },
    is_for_members=True,
)
ARCHIVE = Screen(
    "chat",
    {"conversations": Read(WEBSOCKET, "/conversations?folder=archived&limit=30")},
    is_for_members=True,
)
CONVERSATION, CONVERSATION_AT_MESSAGE, CONVERSATION_AT_MOMENT = (
    Screen(
        "conversation",
        {
            "conversation": Read(WEBSOCKET, "/conversations/{conversation}"),
            "messages": Read(WEBSOCKET, "/conversations/{conversation}/messages?limit=50" + place),
        },
        subject="conversation",
        is_for_members=True,
    )
    for place in ("&unread=true", "&around={at}", "&at={moment}")
)
THREAD = Screen(
    "thread", {"thread": Read(FEED, "/posts/{post}/thread?limit=20&cursor={cursor}")}, "thread"
)


_DOORS = {"account-leaving": "/keep", "second-factor-missing": "/settings/security"}


class Screens:
    """Shows screens, with what the services have for whoever asks."""

    def __init__(self, context: Context) -> None:
        self._reader = Reader(context)
        self._base_url = context.settings.base_url

    async def show(
        self, request: Request[Any, Any, Any], screen: Screen, **parameters: str
    ) -> Response[Any]:
        """Return a screen; 404 if its subject is not there, or not for whoever asks: nothing tells which."""
        is_member = cookies.value(request.headers, cookies.ACCESS) is not None
        if screen.is_for_members and not is_member:
            path = f"{request.url.path}?{request.url.query}".removesuffix("?")
            return Redirect(f"/login?return_to={encoded(path)}", status_code=303)
        wanted = {**SHELL, **screen.parts} if is_member else screen.parts
        quoted = {name: encoded(one) for name, one in parameters.items()}
        parts = await self._reader.read(request, wanted, quoted)
        shell = {name: parts.pop(name) for name in SHELL if is_member}
        me = shell.get("me")
        door = _only_door(me)
        if door not in ("", request.url.path):
            return Redirect(door, status_code=303)
        # The token has expired: the browser gets a new one, and asks for the page again.
        is_stale = me is not None and me.status == HTTPStatus.UNAUTHORIZED
        if is_stale:
            parts = dict.fromkeys(parts, Part(0, None))
        subject = parts.get(screen.subject)
        if subject is not None and 400 <= subject.status < 500:
            return self._nothing(request, shell)
        return SITE.screen(
            request,
            f"app/{screen.name}.html",
            is_member=is_member,
            is_stale=is_stale,
            **_around(shell),
            view=screen.name,
            parameters=parameters,
            data={name: one.body if one.is_there else None for name, one in parts.items()},
            now=datetime.now(UTC),
            address=f"{self._base_url}{request.url.path}",
        )

    async def nothing(self, request: Request[Any, Any, Any]) -> Response[Any]:
        """Say that there is no such page."""
        is_member = cookies.value(request.headers, cookies.ACCESS) is not None
        shell = await self._reader.read(request, SHELL, {}) if is_member else {}
        return self._nothing(request, shell)

    def _nothing(self, request: Request[Any, Any, Any], shell: Mapping[str, Part]) -> Response[Any]:
        return SITE.screen(
            request,
            "app/nothing.html",
            HTTPStatus.NOT_FOUND,
            is_member=bool(shell),
            **_around(shell),
            view="nothing",
            parameters={},
            data={},
            now=datetime.now(UTC),
            address="",
        )


def _only_door(me: Part | None) -> str:
    """Return the one page that is open to an account that may not be used as it is."""
    kind = me.body.get("type", "") if me and me.status == HTTPStatus.FORBIDDEN else ""
    return _DOORS.get(kind.rpartition("/")[2], "")


def _around(shell: Mapping[str, Part]) -> dict[str, Any]:
    """Return what is around a screen, as far as it came."""
    found = {name: one.body for name, one in shell.items() if one.is_there}
    return {
        "me": found.get("me"),
        "unread": found["counts"]["unread"] if "counts" in found else 0,
        "chats": sum(found.get("chats", {}).values()),
        "banners": found["banners"]["items"] if "banners" in found else [],
    }
