"""The frames of a connection, whatever it is for: signing in, staying alive, errors."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from chitlaq.services.websocket.sockets import framing


class Ping(msgspec.Struct, tag="ping", frozen=True):
    """Ask whether the connection is alive; needs no sign-in."""


class Auth(msgspec.Struct, tag="auth", frozen=True):
    """Sign in with an access token; again with a newer one before it expires."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class Pong(msgspec.Struct, tag="pong", frozen=True):
    """The answer to `Ping`."""

    timestamp: datetime


class SignedIn(msgspec.Struct, tag="signed_in", frozen=True):
    """The answer to `Auth`: events are sent from now until ``expires_at`` (Unix seconds)."""

    account_id: str
    expires_at: int


class Reconnect(msgspec.Struct, tag="reconnect", frozen=True):
    """The service restarts, and closes: connect again at a random moment within so many seconds."""

    within_seconds: int


class Error(msgspec.Struct, tag="error", frozen=True):
    """A frame was invalid or refused; the socket stays open. ``client_id`` names the message refused."""

    detail: str
    status: int
    client_id: str | msgspec.UnsetType = msgspec.UNSET


Incoming = Ping | Auth
Outgoing = Pong | SignedIn | Reconnect | Error


def encode(frame: msgspec.Struct) -> bytes:
    """Return the frame as it is sent: encoded once, however many get it."""
    return framing.text(msgspec.json.encode(frame))


def encode_as(kind: type[msgspec.Struct], body: msgspec.Struct) -> bytes:
    """Return the frame of this type that has the fields of ``body``, without copying these into one."""
    head = b'{"type":"%b",' % str(kind.__struct_config__.tag).encode()
    return framing.text(head + msgspec.json.encode(body)[1:])


def type_of(frame: msgspec.Struct) -> str:
    return str(frame.__struct_config__.tag)
