"""Messages that are not acknowledged yet: in order, and the first of each conversation on its way."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from chitlaq.client.errors import ClientError
from chitlaq.client.frames import Ack, Failure

# The server counts 4,000 characters as people see them, which may be several code points each. To what is
# longer than this it cannot even say no.
MAX_CHARACTERS = 16_000
MAX_FRAME_BYTES = 64 * 1024
_CLIENT_ID = re.compile(r"[\x21-\x7e]{1,64}")

# Below what the server takes from one connection: a budget of 50 frames or 256 KiB a second, and that of two
# seconds after a rest.
FRAMES_PER_SECOND = 40.0
BYTES_PER_SECOND = 200_000.0
BURST_SECONDS = 1.0
# A message without an answer is sent again: it is stored once all the same.
ANSWER_SECONDS = 10.0
BUSY_SECONDS = 0.5


class RefusedError(ClientError):
    """A message was refused for good, and is not stored."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Acknowledged(NamedTuple):
    """A message is stored."""

    id: UUID
    seq: int


class Outgoing:
    """A message that is not acknowledged yet."""

    def __init__(
        self,
        conversation_id: UUID,
        text: str,
        client_id: str,
        reply_to: int | None,
        media_ids: Sequence[UUID] = (),
    ) -> None:
        is_empty = not text.strip() and not media_ids
        if is_empty or len(text) > MAX_CHARACTERS or "\x00" in text:
            raise RefusedError(422, "A message has a picture or 1 to 4,000 characters, not NUL.")
        if not _CLIENT_ID.fullmatch(client_id):
            raise RefusedError(422, "A client_id has 1 to 64 visible ASCII characters.")
        self.conversation_id = conversation_id
        self.text = text
        self.client_id = client_id
        self.reply_to = reply_to
        self.media_ids = media_ids
        self.frame = msgspec.json.encode(
            {
                "type": "send",
                "conversation_id": conversation_id,
                "text": text,
                "client_id": client_id,
                "reply_to": reply_to,
                "media_ids": media_ids,
            }
        ).decode()
        if len(self.frame.encode()) > MAX_FRAME_BYTES:
            raise RefusedError(422, f"A message has at most {MAX_FRAME_BYTES:,} bytes as JSON.")
        self.answer: asyncio.Future[Acknowledged] = asyncio.get_running_loop().create_future()
        self.again: asyncio.TimerHandle | None = None


class Outbox:
    def __init__(self) -> None:
        self._waiting: dict[UUID, deque[Outgoing]] = {}
        self._due: asyncio.Queue[Outgoing | str] = asyncio.Queue()
        self._paid_until = 0.0

    def add(self, one: Outgoing) -> None:
        waiting = self._waiting.setdefault(one.conversation_id, deque())
        waiting.append(one)
        if waiting[0] is one:
            self._due.put_nowait(one)

    def say(self, frame: str) -> None:
        """Send a frame once, if this connection lasts."""
        self._due.put_nowait(frame)

    def restart(self) -> None:
        """Let the first of each conversation be due: what was on its way is lost or not."""
        self._due = asyncio.Queue()
        for waiting in self._waiting.values():
            self._make_due(waiting[0])

    async def next(self) -> str:
        """Return the next frame to send, as fast as the server takes them."""
        while isinstance(one := await self._due.get(), Outgoing) and one.answer.done():
            pass
        frame = one.frame if isinstance(one, Outgoing) else one
        now = time.monotonic()
        cost = 1 / FRAMES_PER_SECOND + len(frame.encode()) / BYTES_PER_SECOND
        self._paid_until = max(self._paid_until, now - BURST_SECONDS) + cost
        await asyncio.sleep(self._paid_until - now)
        if isinstance(one, Outgoing):
            self._postpone(one, ANSWER_SECONDS)
        return frame

    def acknowledge(self, ack: Ack) -> Outgoing | None:
        """Take what is stored out; None for an answer to what was answered already."""
        return self._finish(ack.client_id, ack.conversation_id, Acknowledged(ack.id, ack.seq))

    def refuse(self, failure: Failure) -> None:
        """Take what is refused for good out; try the rest again."""
        assert failure.client_id is not None
        if failure.status in {408, 425, 429} or failure.status >= 500:
            for waiting in self._waiting.values():
                if waiting[0].client_id == failure.client_id:
                    self._postpone(waiting[0], BUSY_SECONDS)
        else:
            self._finish(failure.client_id, None, RefusedError(failure.status, failure.detail))

    def give_up(self) -> None:
        """Nothing will be sent any more."""
        for waiting in self._waiting.values():
            for one in waiting:
                if one.again is not None:
                    one.again.cancel()
                one.answer.cancel()
        self._waiting.clear()

    def _finish(
        self, client_id: str, conversation_id: UUID | None, outcome: Acknowledged | RefusedError
    ) -> Outgoing | None:
        for waiting in self._waiting.values():
            one = waiting[0]
            if one.client_id == client_id and conversation_id in {None, one.conversation_id}:
                break
        else:
            return None
        waiting.popleft()
        if one.again is not None:
            one.again.cancel()
        if waiting:
            self._due.put_nowait(waiting[0])
        else:
            del self._waiting[one.conversation_id]
        if not one.answer.done():
            if isinstance(outcome, RefusedError):
                one.answer.set_exception(outcome)
            else:
                one.answer.set_result(outcome)
        return one

    def _postpone(self, one: Outgoing, seconds: float) -> None:
        if one.again is not None:
            one.again.cancel()
        one.again = asyncio.get_running_loop().call_later(seconds, self._make_due, one)

    def _make_due(self, one: Outgoing) -> None:
        if one.again is not None:
            one.again.cancel()
        self._due.put_nowait(one)
