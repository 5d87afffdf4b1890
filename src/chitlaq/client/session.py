"""A signed-in member at the API over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import quote, urlencode
from uuid import UUID, uuid4

import msgspec
from msgspec import UNSET, UnsetType

from chitlaq.client.errors import ApiError, ClientError, Problem, SignedOutError, UnreachableError
from chitlaq.client.feed import Feed
from chitlaq.client.shapes import (
    Banner,
    Conversation,
    Edit,
    Message,
    MessagePage,
    NotificationPage,
    Page,
    Parameters,
    Privacy,
    SignedIn,
)
from chitlaq.core.host import http_client
from chitlaq.core.host.http_client import NoAnswerError, Response

TIMEOUT_SECONDS = 20.0
JSON = "application/json"
FORM = "multipart/form-data"

T = TypeVar("T")


class Tokens(NamedTuple):
    """What signs in: ``access`` for minutes, ``refresh`` once, for a new pair."""

    access: str
    refresh: str = ""


class Session(Feed):
    """A member's session.

    An access token that has expired is renewed by the refresh token, whichever request notices it.

    Args:
        url: of the installation, such as ``https://chitlaq.example.edu``.
        tokens: of an earlier sign-in. `tokens` are the present ones, to be kept by the application.
    """

    def __init__(self, url: str, tokens: Tokens) -> None:
        self.url = url.rstrip("/")
        self.tokens = tokens
        self._refreshing = asyncio.Lock()
        self._username = ""

    @classmethod
    async def sign_in(cls, url: str, login: str, password: str, code: str | None = None) -> Self:
        """Sign in with an e-mail address or a username.

        Args:
            code: of the second factor, if the account has one.

        Raises:
            ApiError: refused: 401 for a wrong password; for a code that is missing or wrong with the kind
                ``second-factor-required``.
            UnreachableError: no answer.
        """
        session = cls(url, Tokens(""))
        body = {"login": login, "password": password} | ({"code": code} if code else {})
        session._keep(
            await session._send("POST", "/auth/login", SignedIn, body=msgspec.json.encode(body))
        )
        return session

    async def refresh(self, used: str | None = None) -> None:
        """Renew the tokens, unless ``used``, the access token that failed, has been renewed meanwhile.

        Raises:
            SignedOutError: there is no refresh token, or it is not valid any more.
            UnreachableError, ApiError: it could not be tried; the tokens stay as they are.
        """
        async with self._refreshing:
            if used is not None and used != self.tokens.access:
                return
            if not self.tokens.refresh:
                raise SignedOutError("The access token is not valid any more: sign in again.")
            body = {"refresh_token": self.tokens.refresh}
            try:
                self._keep(
                    await self._send(
                        "POST", "/auth/refresh", SignedIn, body=msgspec.json.encode(body)
                    )
                )
            except ApiError as error:
                if error.status in {401, 403}:
                    raise SignedOutError(str(error)) from None
                raise

    # Notifications.

    async def notifications(self, limit: int = 20, cursor: str | None = None) -> NotificationPage:
        """Return a page of the notifications, the latest first."""
        return await self.request(
            "GET", "/notifications", NotificationPage, {"limit": limit, "cursor": cursor}
        )

    async def mark_notifications(
        self, *, read: datetime | None = None, seen: datetime | None = None
    ) -> None:
        """Mark notifications up to a position (``updated_at``) as read, or as seen, on all devices."""
        body = {"until": read, "seen_until": seen}
        await self.request("POST", "/notifications/read", None, body=body)

    async def announcements(self) -> Sequence[Banner]:
        """Return what the university announces, the latest first, until it expires or is dismissed."""
        found = await self.request(
            "GET", "/notifications/announcements", Page[Banner], {"limit": 100}
        )
        return found.items

    async def dismiss_announcement(self, announcement_id: UUID) -> None:
        """Show an announcement no more, on all devices."""
        await self.request("DELETE", f"/notifications/announcements/{announcement_id}", None)

    # Conversations.

    async def direct(self, username: str) -> Conversation:
        """Return the conversation with another member; begin it if there is none."""
        return await self._begin({"kind": "direct", "members": [username]})

    async def group(
        self, name: str | None, usernames: Sequence[str], *, is_history_visible: bool = False
    ) -> Conversation:
        """Begin a group. Who follows one takes part at once; others are invited.

        Args:
            is_history_visible: whether those who join later may read what was said before.
        """
        members = list(usernames)
        return await self._begin(
            {
                "kind": "group",
                "members": members,
                "name": name,
                "is_history_visible": is_history_visible,
            }
        )

    async def conversation(self, conversation_id: UUID) -> Conversation:
        """Return a conversation as it is now."""
        return await self.request("GET", _path(conversation_id), Conversation)

    async def conversations(self, folder: str = "inbox") -> AsyncIterator[Conversation]:
        """Yield all conversations of a folder: pinned ones, then the one with the latest message.

        Args:
            folder: ``inbox``, ``requests`` (with invitations) or ``archived``.
        """
        cursor: str | None = None
        while True:
            page = await self.request(
                "GET", "/conversations", Page[Conversation],
                {"limit": 100, "cursor": cursor, "folder": folder},
            )  # fmt: skip
            for conversation in page.items:
                yield conversation
            if (cursor := page.next_cursor) is None:
                return

    async def messages(
        self,
        conversation_id: UUID,
        *,
        before: int | None = None,
        after: int | None = None,
        around: int | None = None,
        at: datetime | None = None,
        limit: int = 50,
    ) -> MessagePage:
        """Return messages in order: the latest, or those next to a number, or from a moment on."""
        return await self.request(
            "GET", _path(conversation_id, "messages"), MessagePage,
            {
                "before": before, "after": after, "around": around,
                "at": at.isoformat() if at is not None else None, "limit": limit,
            },
        )  # fmt: skip

    async def send(
        self,
        conversation_id: UUID,
        text: str,
        client_id: str | None = None,
        media_ids: Sequence[UUID] = (),
    ) -> Message:
        """Send one message over HTTP. With the same ``client_id`` it is stored once, however often sent.

        Args:
            media_ids: pictures from `upload`; with them the text may be empty.
        """
        body = {"text": text, "client_id": client_id or str(uuid4()), "media_ids": media_ids}
        return await self.request("POST", _path(conversation_id, "messages"), Message, body=body)

    async def mark_read(self, conversation_id: UUID, seq: int) -> None:
        """Mark what was said up to a number as read."""
        await self.request("POST", _path(conversation_id, "read"), None, body={"seq": seq})

    async def edit(self, conversation_id: UUID, seq: int, text: str) -> Message:
        """Give one's own message another text, within a day."""
        path = _path(conversation_id, "messages", seq)
        return await self.request("PATCH", path, Message, body={"text": text})

    async def edits(self, conversation_id: UUID, seq: int) -> Sequence[Edit]:
        """Return what a message said before, oldest first."""
        path = _path(conversation_id, "messages", seq, "history")
        return await self.request("GET", path, list[Edit])

    async def delete(self, conversation_id: UUID, seq: int) -> None:
        """Leave only a tombstone of a message."""
        await self.request("DELETE", _path(conversation_id, "messages", seq), None)

    async def react(self, conversation_id: UUID, seq: int, emoji: str) -> None:
        """React to a message."""
        await self.request("PUT", _path(conversation_id, "messages", seq, "reactions", emoji), None)

    async def take_reaction_back(self, conversation_id: UUID, seq: int, emoji: str) -> None:
        """Take a reaction back."""
        await self.request(
            "DELETE", _path(conversation_id, "messages", seq, "reactions", emoji), None
        )

    # Who takes part, and settings.

    async def add(self, conversation_id: UUID, username: str) -> None:
        """Add somebody who follows one to a group, or invite them."""
        await self.request("PUT", _path(conversation_id, "members", username), None)

    async def set_role(self, conversation_id: UUID, username: str, role: str) -> None:
        """Make a member ``admin`` or ``member``, or the ``owner`` in one's own place."""
        path = _path(conversation_id, "members", username)
        await self.request("PUT", path, None, body={"role": role})

    async def remove(self, conversation_id: UUID, username: str) -> None:
        """Remove a member from a group, or an invitation."""
        await self.request("DELETE", _path(conversation_id, "members", username), None)

    async def accept(self, conversation_id: UUID) -> None:
        """Accept an invitation or a message request; to answer it does that, too."""
        await self.add(conversation_id, await self._own_name())

    async def leave(self, conversation_id: UUID) -> None:
        """Leave a group, or decline an invitation or a message request."""
        await self.remove(conversation_id, await self._own_name())

    async def change(
        self,
        conversation_id: UUID,
        *,
        name: str | UnsetType = UNSET,
        picture_id: UUID | UnsetType | None = UNSET,
        is_history_visible: bool | UnsetType = UNSET,
        muted_until: datetime | UnsetType | None = UNSET,
        archived: bool | UnsetType = UNSET,
        pinned: bool | UnsetType = UNSET,
    ) -> Conversation:
        """Change a group, for all who take part, or one's own settings of a conversation.

        Args:
            picture_id: a picture from `upload` that is ready; None for none.
            muted_until: None ends it.
        """
        given = {
            "name": name,
            "picture_id": picture_id,
            "is_history_visible": is_history_visible,
            "muted_until": muted_until,
            "archived": archived,
            "pinned": pinned,
        }
        body = {key: value for key, value in given.items() if value is not UNSET}
        return await self.request("PATCH", _path(conversation_id), Conversation, body=body)

    async def privacy(self) -> Privacy:
        """Return who may write to one, and what others see."""
        return await self.request("GET", "/conversations/privacy", Privacy)

    async def set_privacy(self, wanted: Privacy) -> None:
        """Say who may write to one, and what others see."""
        body = msgspec.structs.asdict(wanted)
        await self.request("PUT", "/conversations/privacy", None, body=body)

    # Requests.

    async def request(
        self,
        method: str,
        path: str,
        kind: type[T] | None,
        parameters: Parameters | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> T:
        """Send a request to any route of the API, and return its answer as ``kind``.

        Raises:
            ApiError: it was refused.
            SignedOutError: the session ended.
            UnreachableError: no complete answer.
        """
        encoded = msgspec.json.encode(body) if body is not None else b""
        return await self._ask(method, path, kind, parameters, encoded, JSON)

    async def send_form(
        self, method: str, path: str, kind: type[T], form: bytes, boundary: str
    ) -> T:
        """Send a body of ``multipart/form-data``; errors as of `request`."""
        return await self._ask(method, path, kind, None, form, f"{FORM}; boundary={boundary}")

    async def _ask(
        self,
        method: str,
        path: str,
        kind: type[T] | None,
        parameters: Parameters | None,
        body: bytes,
        media_type: str,
    ) -> T:
        used = self.tokens.access
        try:
            return await self._send(method, path, kind, parameters, body, media_type)
        except ApiError as error:
            if error.status != 401:
                raise
        await self.refresh(used)
        return await self._send(method, path, kind, parameters, body, media_type)

    async def _own_name(self) -> str:
        if not self._username:
            self._username = (await self.me()).username
        return self._username

    async def _begin(self, body: Mapping[str, Any]) -> Conversation:
        return await self.request("POST", "/conversations", Conversation, body=body)

    async def _send(
        self,
        method: str,
        path: str,
        kind: type[T] | None,
        parameters: Parameters | None = None,
        body: bytes = b"",
        media_type: str = JSON,
    ) -> T:
        given = {key: value for key, value in (parameters or {}).items() if value is not None}
        query = f"?{urlencode(given)}" if given else ""
        headers = {"Accept": JSON}
        if self.tokens.access:
            headers["Authorization"] = f"Bearer {self.tokens.access}"
        if body:
            headers["Content-Type"] = media_type
        try:
            answer = await http_client.request(
                method,
                f"{self.url}/api{path}{query}",
                timeout_seconds=TIMEOUT_SECONDS,
                headers=headers,
                body=body,
            )
        except NoAnswerError as error:
            raise UnreachableError(str(error)) from None
        if answer.status >= 400:
            raise _refused(answer)
        if kind is None:
            return None  # type: ignore[return-value]
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except msgspec.DecodeError as error:
            raise ClientError(f"{method} {path} answered with something else: {error}") from None

    def _keep(self, found: SignedIn) -> None:
        self.tokens = Tokens(found.access_token, found.refresh_token)
        self._username = found.user.username


def _path(conversation_id: UUID, *parts: object) -> str:
    return "/".join(
        ["/conversations", str(conversation_id), *(quote(str(part), safe="") for part in parts)]
    )


def _refused(answer: Response) -> ApiError:
    try:
        problem = msgspec.json.decode(answer.body, type=Problem)
    except msgspec.DecodeError:
        problem = Problem()
    after = answer.headers.get("retry-after", "")
    return ApiError(
        answer.status,
        problem.detail or f"The answer is {answer.status}.",
        problem.errors,
        float(after) if after.isdecimal() else 0.0,
        problem.request_id,
        problem.type.removeprefix("/problems/") if problem.type != "about:blank" else "",
        problem.methods,
    )
