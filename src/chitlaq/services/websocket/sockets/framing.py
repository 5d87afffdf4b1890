"""Framing (RFC 6455): bytes that arrive become frames and messages, and messages become bytes.

It knows of no transport. The parser of frames is that of `websockets`; the most frequent case, exactly one
text frame, is recognised directly.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import cast

from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.frames import Frame, Opcode, apply_mask  # type: ignore[attr-defined]
from websockets.streams import StreamReader

DATA = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})
# RFC 6455, 5.2: the first bytes of a frame that is not fragmented, and masked.
_FINAL_TEXT = 0x80 | Opcode.TEXT
_MASKED = 0x80
_MASKED_HEAD = 6
_LENGTH_OF_TWO = 126


class Incoming:
    """What a client has sent and nobody has taken yet."""

    def __init__(self) -> None:
        self._reader = StreamReader()
        self._parsing: Generator[None, None, Frame] | None = None
        self._message: bytearray | None = None
        self._opcode = Opcode.TEXT

    @property
    def size(self) -> int:
        """Bytes that were not taken; some of an incomplete frame may be taken already."""
        return len(self._reader.buffer)

    def feed(self, data: bytes) -> None:
        self._reader.feed_data(data)

    def clear(self) -> None:
        self._reader.buffer.clear()
        self._parsing = self._message = None

    def whole(self, data: bytes, max_bytes: int) -> bytes | None:
        """Return the payload of what is exactly one text frame, as most reads are; None of anything else.

        What is returned was not fed.
        """
        if self._parsing is not None or self._message is not None or self._reader.buffer:
            return None
        if len(data) < _MASKED_HEAD or data[0] != _FINAL_TEXT:
            return None
        length, start = data[1] - _MASKED, _MASKED_HEAD
        if length == _LENGTH_OF_TWO:
            length, start = int.from_bytes(data[2:4]), _MASKED_HEAD + 2
        elif length > _LENGTH_OF_TWO:
            return None
        if len(data) != start + length or length > max_bytes:
            return None
        return apply_mask(data[start:], data[start - 4 : start])

    def frame(self, max_bytes: int) -> Frame | None:
        """Take the next frame, if it is there.

        Raises:
            ProtocolError, PayloadTooBig: the client does not follow RFC 6455, or the frame has more bytes.
        """
        if self._parsing is None:
            if not self._reader.buffer:
                return None
            self._parsing = Frame.parse(self._reader.read_exact, mask=True, max_size=max_bytes)
        try:
            next(self._parsing)
        except StopIteration as end:
            self._parsing = None
            return cast(Frame, end.value)
        return None

    def message(self, frame: Frame, max_bytes: int) -> tuple[Opcode, bytes | bytearray] | None:
        """Return the message that a frame of data completes, and of which type it is.

        Raises:
            ProtocolError, PayloadTooBig: it is no continuation, or the message has more bytes.
        """
        data = cast("bytes | bytearray", frame.data)
        if (frame.opcode is Opcode.CONT) == (self._message is None):
            raise ProtocolError("unexpected continuation or beginning of a message")
        if self._message is None:
            if frame.fin:
                return frame.opcode, data
            self._message, self._opcode = bytearray(), frame.opcode
        self._message += data
        if len(self._message) > max_bytes:
            raise PayloadTooBig(len(self._message), max_bytes)
        if not frame.fin:
            return None
        message, self._message = self._message, None
        return self._opcode, message


def text(payload: bytes) -> bytes:
    """Encode one text message as a frame; encode once what goes to many."""
    length = len(payload)
    if length < _LENGTH_OF_TWO:
        return bytes((_FINAL_TEXT, length)) + payload
    if length < 1 << 16:
        return b"\x81\x7e" + length.to_bytes(2) + payload
    return encoded(Opcode.TEXT, payload)


def encoded(opcode: Opcode, payload: bytes | bytearray | memoryview) -> bytes:
    """Encode one frame."""
    return Frame(opcode, payload).serialize(mask=False)
