"""The document of the frames: complete, consistent, and shown to people."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx

from chitlaq.services.websocket import asyncapi, protocol


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


async def test_document_and_page_are_served(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/ws/asyncapi.json")
    assert answer.json() == json.loads(json.dumps(asyncapi.document()))
    page = await client.get("/api/ws/docs")
    assert page.headers["content-type"].startswith("text/html")
    for kind in {*protocol.INCOMING, *protocol.OUTGOING}:
        assert re.search(f"<code>{kind}</code>", page.text), kind
