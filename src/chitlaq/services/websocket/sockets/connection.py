"""One WebSocket connection (RFC 6455): frames, limits, flow control, heartbeat, closing.

A protocol of our own on uvloop's transport (docs/decisions/0008-websocket-connection.md). It knows nothing of
what messages mean.

What a client can make us keep is bounded: one incomplete message, and `MAX_WAITING_BYTES` that it does
not read. What it can make us do is bounded by one budget for frames of every type and their bytes. A budget
that many connections share delays them all alike: each waits its turn.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, cast

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Close, CloseCode, Frame, Opcode

from chitlaq.core.http.upgrades import Upgraded
from chitlaq.core.telemetry import logs
from chitlaq.services.websocket.sockets import framing
from chitlaq.services.websocket.sockets.budget import Budget
from chitlaq.services.websocket.sockets.framing import Incoming

# The budget refills as time passes: this many frames, or this many bytes, each second.
FRAMES_PER_SECOND = 50
BYTES_PER_SECOND = 256 * 1024
# The longest turn to wait for where a shared budget is overdrawn.
TURN_SECONDS = 5.0

MAX_MESSAGE_BYTES = 64 * 1024
MAX_WAITING_BYTES = 256 * 1024
# A client that does not read its answers is not read from either.
HIGH_WATER_BYTES = 64 * 1024

HEARTBEAT_SECONDS = 30.0
"""A silent client is pinged after so long, and closed after twice as long."""
CLOSE_SECONDS = 5.0
# nginx closes both ends as soon as ours ends, and what a client sent meanwhile would become a reset that
# destroys the reason for closing on its way. So the reason travels first.
EOF_SECONDS = 0.2
# What a client still sends after it was told to close is read to reach its end, but not for ever.
MAX_DISCARDED_BYTES = 64 * 1024

# More is not kept back until the event loop's next turn.
COALESCED_BYTES = 16 * 1024

log = logs.get("socket")


class Connection(Upgraded, ABC):
    """A connection after its handshake; a subclass says what messages do."""

    max_message_bytes = MAX_MESSAGE_BYTES
    max_waiting_bytes = MAX_WAITING_BYTES
    shared_budget: Budget | None = None

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._incoming = Incoming()
        self._budget = Budget(FRAMES_PER_SECOND, BYTES_PER_SECOND)
        self._turn: asyncio.TimerHandle | None = None
        self._outgoing: list[bytes] = []
        self._outgoing_bytes = 0
        self._is_writing_paused = False
        self._drained: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_waiting = False
        self._is_closing = False
        self._discarded = 0
        self._opened_at = self._heard_at = self._loop.time()
        self._timer = self._loop.call_later(HEARTBEAT_SECONDS, self._beat)

    @abstractmethod
    def receive(self, message: bytes | bytearray) -> Coroutine[Any, Any, None] | None:
        """Handle one message, JSON in UTF-8; the next is read when the returned work is done."""

    @abstractmethod
    def closing(self, code: int, reason: str) -> None:
        """The connection is over: nothing is received or sent any more. Called once."""

    # What the transport says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end(CloseCode.ABNORMAL_CLOSURE, "connection lost")
        self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self._is_closing:
            self._discarded += len(data)
            if self._discarded > MAX_DISCARDED_BYTES:
                self._transport.pause_reading()
            return
        self._heard_at = self._loop.time()
        if self._is_held:
            self._incoming.feed(data)
            self._transport.pause_reading()
        elif (message := self._incoming.whole(data, self.max_message_bytes)) is not None:
            self.spend(1, len(message))
            if not self._is_closing:
                self._guarded(self._deliver, Opcode.TEXT, message)
        else:
            self._incoming.feed(data)
            self._guarded(self._advance)

    def pause_writing(self) -> None:
        self._is_writing_paused = True
        if not self._is_closing:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._is_writing_paused = False
        self._let_write()
        self._resume()

    async def drained(self) -> None:
        """Wait until the client has read enough that more may be written, or is gone."""
        if self._is_writing_paused and not self._is_closing:
            self._drained = self._drained or self._loop.create_future()
            await self._drained

    def _let_write(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    # What the server and a subclass say.

    def shutdown(self) -> None:
        self.close(CloseCode.SERVICE_RESTART, "the service restarts: connect again")

    def write(self, frames: bytes) -> None:
        """Send encoded frames; a client that leaves too much unread is closed with 1013."""
        if self._is_closing:
            return
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(frames)
        self._outgoing_bytes += len(frames)
        if self._outgoing_bytes > COALESCED_BYTES:
            self._flush()
        if self.unread_bytes > self.max_waiting_bytes:
            self.close(CloseCode.TRY_AGAIN_LATER, "reading too slowly")

    def _flush(self) -> None:
        frames, self._outgoing, self._outgoing_bytes = self._outgoing, [], 0
        if frames:
            self._transport.write(frames[0] if len(frames) == 1 else b"".join(frames))

    def spend(self, frames: float, size: int = 0) -> None:
        """Take what frames cost out of the client's budget; close with 1008 when it is exhausted.

        Where others exhausted the budget that it shares, read no further until its turn comes.
        """
        now = self._loop.time()
        if self._budget.spend(now, frames, size, TURN_SECONDS):
            self.close(CloseCode.POLICY_VIOLATION, "too many frames or bytes")
        elif self.shared_budget is not None:
            seconds = self.shared_budget.spend(now, frames, size, TURN_SECONDS)
            if seconds:
                self._wait(seconds)

    @property
    def unhandled_bytes(self) -> int:
        """What has arrived and is not handled yet."""
        return self._incoming.size

    @property
    def unread_bytes(self) -> int:
        """What the client has not read yet, beyond what its kernel and ours keep."""
        return self._outgoing_bytes + self._transport.get_write_buffer_size()

    @property
    def open_seconds(self) -> float:
        return self._loop.time() - self._opened_at

    @property
    def silent_seconds(self) -> float:
        """Since the client was heard."""
        return self._loop.time() - self._heard_at

    def close(self, code: int, reason: str) -> None:
        """Say why, send what is waiting, and close; the client has `CLOSE_SECONDS` to read it."""
        if self._is_closing:
            return
        self._flush()
        self._end(code, reason)
        self._transport.write(framing.encoded(Opcode.CLOSE, Close(code, reason).serialize()))
        self._timer.cancel()
        self._timer = self._loop.call_later(EOF_SECONDS, self._write_eof)
        self._transport.resume_reading()  # so that the client's own end is seen

    def _write_eof(self) -> None:
        self._timer = self._loop.call_later(CLOSE_SECONDS - EOF_SECONDS, self._transport.abort)
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def _end(self, code: int, reason: str) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._incoming.clear()
            self._outgoing.clear()
            if self._task is not None:
                self._task.cancel()
            if self._turn is not None:
                self._turn.cancel()
            self.closing(code, reason)

    # Frames.

    def _advance(self) -> None:
        """Handle frames as they arrive, while they may be handled."""
        while not self._is_held and not self._is_closing:
            frame = self._incoming.frame(self.max_message_bytes)
            if frame is None:
                return
            self.spend(1, len(frame.data))
            if not self._is_closing:
                self._handle(frame)

    def _handle(self, frame: Frame) -> None:
        if frame.opcode in framing.DATA:
            message = self._incoming.message(frame, self.max_message_bytes)
            if message is not None:
                self._deliver(*message)
        elif frame.opcode is Opcode.PING:
            self.write(framing.encoded(Opcode.PONG, frame.data))
        elif frame.opcode is Opcode.CLOSE:
            self._answer_close(Close.parse(frame.data))

    def _deliver(self, opcode: Opcode, message: bytes | bytearray) -> None:
        if opcode is Opcode.TEXT:
            message.decode()  # RFC 6455, 8.1: text that is not UTF-8 fails the connection
        work = self.receive(message)
        if work is not None:
            self.work(work)

    def _guarded(self, step: Callable[..., object], *arguments: object) -> None:
        try:
            step(*arguments)
        except ProtocolError as error:
            self.close(CloseCode.PROTOCOL_ERROR, str(error))
        except PayloadTooBig:
            reason = f"a message may have {self.max_message_bytes} bytes"
            self.close(CloseCode.MESSAGE_TOO_BIG, reason)
        except UnicodeDecodeError:
            self.close(CloseCode.INVALID_DATA, "not UTF-8")
        except Exception as error:
            self._fail(error)

    def _answer_close(self, said: Close) -> None:
        self._flush()
        self._end(said.code, said.reason)
        code = CloseCode.NORMAL_CLOSURE if said.code == CloseCode.NO_STATUS_RCVD else said.code
        self._transport.write(framing.encoded(Opcode.CLOSE, Close(code, "").serialize()))
        self._timer.cancel()
        self._timer = self._loop.call_later(CLOSE_SECONDS, self._transport.abort)
        self._transport.close()

    # Waiting.

    def work(self, work: Coroutine[Any, Any, None]) -> None:
        """Handle no further message until this is done."""
        if not self._is_closing:
            self._transport.pause_reading()
        self._task = self._loop.create_task(work)
        self._task.add_done_callback(self._finished)

    def wait(self) -> None:
        """Handle no further message until `proceed`.

        Reading is paused only when more arrives: most clients wait for their answer, and pausing costs as
        much as handling a message.
        """
        self._is_waiting = True

    def proceed(self) -> None:
        """Handle the next message, if this one waited."""
        if self._is_waiting:
            self._is_waiting = False
            self._resume()

    @property
    def _is_held(self) -> bool:
        return (
            self._is_waiting
            or self._is_writing_paused
            or self._task is not None
            or self._turn is not None
        )

    def _wait(self, seconds: float) -> None:
        if self._turn is not None:
            self._turn.cancel()
        self._transport.pause_reading()
        self._turn = self._loop.call_later(seconds, self._take_turn)

    def _take_turn(self) -> None:
        self._turn = None
        self._resume()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (fault := task.exception()) is not None:
            self._fail(fault)
        self._resume()

    def _fail(self, fault: BaseException) -> None:
        log.error("message failed", fault=fault)
        self.close(CloseCode.INTERNAL_ERROR, "an error on our side; it was logged")

    def _resume(self) -> None:
        if not self._is_held and not self._is_closing:
            self._transport.resume_reading()
            if self._incoming.size:
                self._guarded(self._advance)

    def _beat(self) -> None:
        silent = self.silent_seconds
        if silent >= 2 * HEARTBEAT_SECONDS:
            if self._is_writing_paused:
                self.close(CloseCode.TRY_AGAIN_LATER, "reading too slowly")
            else:
                self.close(CloseCode.INTERNAL_ERROR, "no answer to a ping")
            return
        if silent >= HEARTBEAT_SECONDS:
            self.write(_PING)
        if not self._is_closing:
            due = HEARTBEAT_SECONDS - silent % HEARTBEAT_SECONDS
            self._timer = self._loop.call_later(due, self._beat)


_PING = framing.encoded(Opcode.PING, b"")
