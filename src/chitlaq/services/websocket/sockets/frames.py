"""The JSON frames of a WebSocket, in and out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, get_args

import msgspec

from chitlaq.services.websocket.sockets import connection


class Ping(msgspec.Struct, tag="ping", frozen=True):
    """Ask whether the connection is alive; needs no sign-in."""


class Auth(msgspec.Struct, tag="auth", frozen=True):
    """Sign in with an access token; again with a newer one before it expires."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


Incoming = Ping | Auth


class Pong(msgspec.Struct, tag="pong", frozen=True):
    timestamp: datetime


class SignedIn(msgspec.Struct, tag="signed_in", frozen=True):
    """The answer to `Auth`: events are sent from now until ``expires_at`` (Unix seconds)."""

    account_id: str
    expires_at: int


class Error(msgspec.Struct, tag="error", frozen=True):
    """A frame was invalid or refused; the socket stays open."""

    detail: str
    status: int


class PostFrame(msgspec.Struct, tag="post", frozen=True):
    """A member whom the reader follows wrote a post."""

    post: msgspec.Raw


Outgoing = Pong | SignedIn | Error | PostFrame

INCOMING = tuple(str(one.__struct_config__.tag) for one in get_args(Incoming))
OUTGOING = tuple(str(one.__struct_config__.tag) for one in get_args(Outgoing))

# A reason may quote the frame: the answer must not be as long.
MAX_REASON = 200

_decoder: msgspec.json.Decoder[Incoming] = msgspec.json.Decoder(Incoming)


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


def encode(frame: Outgoing) -> bytes:
    """Return the frame as it is sent: encoded once, however many get it."""
    return connection.text(msgspec.json.encode(frame))


def type_of(frame: Incoming | Outgoing) -> str:
    return str(frame.__struct_config__.tag)
