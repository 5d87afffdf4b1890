"""The WebSocket as an AsyncAPI 3 document, made from the types of its frames."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import cache
from typing import Any, get_args

import msgspec

from chitlaq import __version__
from chitlaq.services.websocket import protocol
from chitlaq.services.websocket.sockets.frames import type_of

_SCHEMAS = "#/components/schemas/"


@cache
def document() -> dict[str, Any]:
    """Return the document; the service is the one that is described."""
    incoming, outgoing = get_args(protocol.Incoming), get_args(protocol.Outgoing)
    _, schemas = msgspec.json.schema_components(
        [*incoming, *outgoing], ref_template=_SCHEMAS + "{name}"
    )
    messages = {_name(kind): _message(kind) for kind in (*incoming, *outgoing)}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "ChitLaq: WebSocket",
            "version": __version__,
            "description": "Frames are JSON objects, in text messages of RFC 6455; `type` says which one.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "ws": {
                "address": "/ws",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": {
            "receive": _operation("receive", "What clients send.", incoming),
            "send": _operation("send", "What clients get.", outgoing),
        },
        "components": {"messages": messages, "schemas": schemas},
    }


def _operation(action: str, summary: str, kinds: Sequence[type]) -> dict[str, Any]:
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": "#/channels/ws"},
        "messages": [{"$ref": f"#/channels/ws/messages/{_name(kind)}"} for kind in kinds],
    }


def _message(kind: type[msgspec.Struct]) -> dict[str, Any]:
    summary, _, description = inspect.getdoc(kind).partition("\n\n")  # type: ignore[union-attr]
    return {
        "name": type_of(kind),  # type: ignore[arg-type]
        "summary": summary.replace("``", "`").replace("\n", " "),
        **({"description": description.replace("``", "`")} if description else {}),
        "payload": {"$ref": _SCHEMAS + kind.__name__},
    }


def _name(kind: type) -> str:
    return kind.__name__
