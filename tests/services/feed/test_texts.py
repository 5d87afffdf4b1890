"""What members write in posts and messages: no text is a fault of ours, and none acts on who reads it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.conftest import Member

Join = Callable[..., Awaitable[Member]]

FAMILY = "👨‍👩‍👧"


async def written(author: Member, other: Member, text: str) -> list[tuple[int, Any]]:
    """Write a text in a post, an edit and a message; return each status and what is shown."""
    post = (await author.write("before"))["id"]
    direct = {"kind": "direct", "members": [other.username]}
    conversation = (await author.post("/api/conversations", direct)).json()["id"]
    answers = [
        await author.post("/api/posts", {"text": text}),
        await author.patch(f"/api/posts/{post}", {"text": text}),
        await author.post(
            f"/api/conversations/{conversation}/messages", {"text": text, "client_id": "1"}
        ),
    ]
    return [(answer.status_code, answer.json().get("text")) for answer in answers]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pay \u202e001\u202c\r\nnow\x1b[31m", "pay 001\nnow[31m"),
        (f"{FAMILY} שלום\u200f! क्\u200dष", f"{FAMILY} שלום\u200f! क्\u200dष"),
        ("#" + 100 * "İ" + " #" + 101 * "ﬃ", "#" + 100 * "İ" + " #" + 101 * "ﬃ"),
    ],
)
async def test_text_is_stored_without_what_acts(join: Join, text: str, shown: str) -> None:
    author, other = await join(), await join()
    assert await written(author, other, text) == [(201, shown), (200, shown), (201, shown)]


@pytest.mark.parametrize("text", ["\u200b", "\u202e\u200d", " \n", "\u3164", "a\x00b"])
async def test_text_that_shows_nothing_is_refused(join: Join, text: str) -> None:
    author, other = await join(), await join()
    assert [status for status, _ in await written(author, other, text)] == [422, 422, 422]


async def test_length_of_a_post_is_counted_as_people_count(join: Join) -> None:
    author = await join()
    for one in ("x", "e\u0301", FAMILY):
        assert (await author.post("/api/posts", {"text": 1000 * one})).status_code == 201
    for one in ("x", "e\u0301"):
        refused = await author.post("/api/posts", {"text": 1001 * one})
        assert refused.status_code == 422
        assert "1001 characters" in refused.text


async def test_mentions_and_tags_are_those_of_the_grammar(join: Join) -> None:
    author, other = await join(), await join()
    name = other.username
    text = f"(@{name}) me@{name}.example https://x.example/@{name}#a #Ça_va! #2026 a#b"
    post = await author.write(text)
    assert (post["mentions"], post["tags"]) == ([name], ["ça_va"])
    direct = {"kind": "direct", "members": [name]}
    conversation = (await author.post("/api/conversations", direct)).json()["id"]
    message = await author.post(
        f"/api/conversations/{conversation}/messages", {"text": text, "client_id": "1"}
    )
    assert message.json()["mentions"] == [name]
