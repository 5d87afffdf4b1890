"""All frames of the WebSocket, of all slices."""

from __future__ import annotations

from typing import get_args

import msgspec

from chitlaq.services.websocket.chat import frames as chat
from chitlaq.services.websocket.chat.schemas import ClientId
from chitlaq.services.websocket.notifications import frames as notifications
from chitlaq.services.websocket.presence import frames as presence
from chitlaq.services.websocket.sockets import frames as sockets
from chitlaq.services.websocket.sockets.frames import type_of


class PostFrame(msgspec.Struct, tag="post", frozen=True):
    """A member whom the reader follows wrote a post."""

    post: msgspec.Raw


ForMembers = chat.Incoming | presence.Incoming
"""What only members who are signed in may send."""
Incoming = sockets.Incoming | ForMembers
Outgoing = sockets.Outgoing | chat.Outgoing | presence.Outgoing | notifications.Outgoing | PostFrame

INCOMING = tuple(map(type_of, get_args(Incoming)))
OUTGOING = tuple(map(type_of, get_args(Outgoing)))

# A reason may quote the frame: the answer must not be as long.
MAX_REASON = 200

_decoder: msgspec.json.Decoder[Incoming] = msgspec.json.Decoder(Incoming)


class _Named(msgspec.Struct):
    client_id: ClientId


def decode(data: bytes | bytearray) -> Incoming:
    """Read one frame.

    Raises:
        ValueError: it is not a valid frame; the message says why.
    """
    try:
        return _decoder.decode(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ValueError(str(error)[:MAX_REASON]) from None


def client_id(data: bytes | bytearray) -> str | msgspec.UnsetType:
    """Return by what name its sender waits for the answer to a frame that is not valid, if it can be told."""
    try:
        return msgspec.json.decode(data, type=_Named).client_id
    except (RecursionError, msgspec.DecodeError, UnicodeError):
        return msgspec.UNSET
