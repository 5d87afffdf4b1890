"""No text is an error, slow, or more than a text, wherever it is typed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import pytest

from tests.conftest import Member, Stack, eventually

Join = Callable[[], Awaitable[Member]]

LONGEST = {"users": 100, "posts": 500, "messages": 500, "tags": 101, "suggest": 100}
TEXTS = ("posts", "messages")
OPERATORS = ("from:", "to:", "in:", "tag:", "before:", "after:", "has:")
SECONDS = 5
"""Far more than a search takes, since others use the cores as well."""

WITHOUT_WORDS = [
    " ",
    "%",
    "_",
    "\\",
    "'",
    '"',
    '""',
    "()",
    "&",
    "!",
    "*",
    "@",
    "#",
    "-",
    "--",
    "| " * 200,
    "%" * 500,
]
"""Of these, nobody and nothing is found: none is a wildcard."""
ODD = [
    *WITHOUT_WORDS, *OPERATORS,
    "(", ")", "|", ":*", "a:*", "<->", "a <-> b", "'a' & 'b'", "!a", "%a%", "a", "ı", "ß", "李", "{1,2}",
    "' OR 1=1 --", "'; DROP TABLE search.members; --", "\\'", "a\\", "a:A", "<script>alert(1)</script>",
    "a\r\nb", "\u202eadmin", "\u202e" * 500, "\ufeff", "\u0301" * 500, "👨‍👩‍👧", "👨" * 500, "مُحَمَّد", "שלום",
    "from:'", "from:%", "in:x", "in:%", "tag:%", "-from:", '-"', "OR", "OR OR", "a OR", "-a -b", "-from:me",
    "from:me", "before:0001-01-01", "after:9999-12-31", "after:0000", "before:99999999999999999999",
    " ".join(OPERATORS) + " a", "from:" + "x" * 495, "a" * 500, "ab " * 166, "1 2 3 4 5 6 7 8 9 0 " * 25,
    "-a " * 166, "OR " * 166, "from:a " * 71, "in:a " * 100, "has:poll " * 55, '"a" ' * 125, "李" * 500,
    "ﷺ" * 500, "a-" * 250, "".join(map(chr, range(0x3300, 0x3400))) * 2, "\U0001d504\U0001d521\U0001d51e",
    "İ" * 500, "the", "der die das",
]  # fmt: skip


@pytest.fixture
async def service(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    base = f"http://127.0.0.1:{stack.ports['search']}/search/"
    async with httpx.AsyncClient(base_url=base, timeout=60) as client:
        yield client


@pytest.mark.parametrize("place", LONGEST)
async def test_no_text_is_an_error_or_slow(
    client: httpx.AsyncClient, service: httpx.AsyncClient, join: Join, place: str
) -> None:
    member = await join()
    variants: list[dict[str, str]] = (
        [{}, {"sort": "time", "page": "40"}] if place in TEXTS else [{}]
    )
    readers = [member.headers] if place == "messages" else [member.headers, {}]
    for text in dict.fromkeys(one[: LONGEST[place]] for one in ODD):
        for variant in variants:
            for headers in readers:
                answer = await service.get(place, params={"q": text, **variant}, headers=headers)
                assert answer.status_code == 200, (text, answer.text)
                assert answer.elapsed.total_seconds() < SECONDS, text
    for text in WITHOUT_WORDS:
        answer = await member.get(f"/api/search/{place}", params={"q": text[: LONGEST[place]]})
        assert found(answer.json()) == [], text
    for text, status in (
        ("", 422),
        ("a\0b", 422),
        ("a" * (LONGEST[place] + 1), 422),
        ("a" * 10_000, 414),
        ("from: " * 1_700, 414),
    ):
        answer = await client.get(
            f"/api/search/{place}", params={"q": text}, headers=member.headers
        )
        assert answer.status_code == status, (text[:10], answer.text)


def found(body: dict[str, Any]) -> list[Any]:
    """What an answer holds, also one with a list of each kind, but for the member's own searches."""
    if "items" in body:
        return list(body["items"])
    return [one for kind in ("members", "tags", "conversations") for one in body[kind]]


@pytest.mark.parametrize("place", TEXTS)
async def test_cursor_that_nobody_gave_is_refused(join: Join, place: str) -> None:
    member = await join()
    for cursor in ("x", "AAAA", "é", "A" * 31):
        answer = await member.get(f"/api/search/{place}", params={"q": "a", "cursor": cursor})
        assert answer.status_code == 422, cursor


@pytest.mark.parametrize("place", TEXTS)
async def test_operators_without_values_are_named_and_the_rest_is_searched_for(
    join: Join, place: str
) -> None:
    member = await join()
    text = f"nothing{member.username} {' '.join(OPERATORS)}"
    body = (await member.get(f"/api/search/{place}", params={"q": text})).json()
    ignored = [(one["text"], one["reason"]) for one in body["ignored"]]
    assert ignored == [(operator, "no_value") for operator in OPERATORS]


async def test_history_keeps_texts_that_fold_to_many_letters_and_those_of_others(
    join: Join,
) -> None:
    """Both are written in one statement, which failed for all who searched in that second."""
    member, other = await join(), await join()
    squared = "".join(map(chr, range(0x3300, 0x3400)))
    for text in ("ﷺ" * 500, squared, (squared * 2)[:500]):
        assert (await member.get("/api/search/posts", params={"q": text})).status_code == 200
        word = f"bystander {text[:1]}{len(text)}"
        assert (await other.get("/api/search/posts", params={"q": word})).status_code == 200
        await eventually(partial(_is_latest, member, text))
        await eventually(partial(_is_latest, other, word))


async def _is_latest(member: Member, text: str) -> bool:
    items = (await member.get("/api/search/history")).json()["items"]
    return bool(items) and items[0]["text"] == text
