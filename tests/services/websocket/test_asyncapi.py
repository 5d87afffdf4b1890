"""The document of the frames: complete, consistent, and shown to people."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
from websockets.frames import CloseCode

from chitlaq.services.websocket import asyncapi, protocol, sockets
from chitlaq.services.websocket.sockets import connection
from chitlaq.services.websocket.sockets.hub import MAX_SOCKETS_PER_ACCOUNT

ROOT = Path(__file__).parents[3]


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if "$ref" in value else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_document_has_every_frame_and_no_dead_reference() -> None:
    document = json.loads(json.dumps(asyncapi.document()))
    messages = document["components"]["messages"]
    for action, kinds in (("receive", protocol.INCOMING), ("send", protocol.OUTGOING)):
        names = [
            reference["$ref"].rpartition("/")[2]
            for reference in document["operations"][action]["messages"]
        ]
        assert [messages[name]["name"] for name in names] == list(kinds)
    for reference in references(document):
        found: Any = document
        for word in reference.removeprefix("#/").split("/"):
            found = found[word]


def test_guide_names_every_frame_and_close_code_and_the_limits() -> None:
    guide = (ROOT / "docs/websocket.md").read_text()
    for kind in protocol.INCOMING:
        assert f'"type":"{kind}"' in guide, kind
    for kind in protocol.OUTGOING:
        assert f"`{kind}`" in guide, kind
    _, _, closes = guide.partition("## When it closes")
    source = "".join(path.read_text() for path in Path(sockets.__file__).parent.glob("*.py"))
    for name in set(re.findall(r"close\(\s*CloseCode\.(\w+)", source)):
        assert str(int(CloseCode[name])) in closes, name
    limits = f"{connection.FRAMES_PER_SECOND} frames or {connection.BYTES_PER_SECOND // 1024} KiB"
    assert limits in closes
    assert f"{MAX_SOCKETS_PER_ACCOUNT} connections" in closes


async def test_document_and_page_are_served(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/ws/asyncapi.json")
    assert answer.json() == json.loads(json.dumps(asyncapi.document()))
    page = await client.get("/api/ws/docs")
    assert page.headers["content-type"].startswith("text/html")
    for kind in {*protocol.INCOMING, *protocol.OUTGOING}:
        assert re.search(f"<code>{kind}</code>", page.text), kind
