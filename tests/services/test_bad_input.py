"""Nothing that a client sends causes a 500, each refusal names its field, and nothing is stored."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Member, Stack

Join = Callable[[], Awaitable[Member]]

JSON = {"Content-Type": "application/json"}
GOOD = {
    "email": "someone@example.edu", "password": "four odd words here", "username": "someone_new",
    "display_name": "Someone",
}  # fmt: skip

BODIES: dict[str, tuple[bytes, int, str | None]] = {
    "broken JSON": (b'{"email": ', 400, None),
    "no JSON at all": (b"hello", 400, None),
    "not UTF-8": (b'{"email": "\xff\xfe"}', 400, None),
    "a list": (b"[1, 2]", 422, "body"),
    "wrong type": (json.dumps(GOOD | {"email": 5}).encode(), 422, "email"),
    "null": (json.dumps(GOOD | {"password": None}).encode(), 422, "password"),
    "missing field": (json.dumps({"email": "a@example.edu"}).encode(), 422, "password"),
    "unknown field": (json.dumps(GOOD | {"is_admin": True}).encode(), 422, "is_admin"),
    "1 MB of nested arrays": (b"[" * 1_000_000, 400, None),
    "1 MB of nested arrays in a field": (b'{"email":' + b"[" * 1_000_000, 400, None),
    "NUL bytes": (json.dumps(GOOD | {"display_name": "a\x00b"}).encode(), 422, "display_name"),
    "lone surrogate": (b'{"email": "a\\ud800@example.edu"}', 400, None),
    "10,000-character name": (json.dumps(GOOD | {"username": "x" * 10_000}).encode(), 422, "username"),
    "10,000-character display name": (
        json.dumps(GOOD | {"display_name": "ä" * 10_000}).encode(), 422, "display_name",
    ),
    "not an address": (json.dumps(GOOD | {"email": "not an address"}).encode(), 422, "email"),
    "name with spaces": (json.dumps(GOOD | {"username": "a b c"}).encode(), 422, "username"),
    "short password": (json.dumps(GOOD | {"password": "short"}).encode(), 422, "password"),
    "larger than allowed": (b" " * 1_100_000, 413, None),
}  # fmt: skip


async def rows(stack: Stack) -> int:
    (row,) = await stack.sql(
        "SELECT (SELECT count(*) FROM auth.accounts) + (SELECT count(*) FROM feed.posts)"
    )
    return int(row[0])


@pytest.mark.parametrize("case", BODIES)
async def test_bad_registration_is_refused_and_stores_nothing(
    stack: Stack, client: httpx.AsyncClient, case: str
) -> None:
    body, status, field = BODIES[case]
    before = await rows(stack)
    answer = await client.post("/api/auth/register", content=body, headers=JSON)
    assert answer.status_code == status, answer.text
    assert_is_problem(answer, field)
    assert await rows(stack) == before


@pytest.mark.parametrize(
    ("field", "value"),
    [("shares_presence", 0), ("shares_presence", "true"), ("may_message", 1), ("shares_read", 1.0)],
)
async def test_value_of_another_type_is_refused_and_not_converted(
    join: Join, field: str, value: object
) -> None:
    member = await join()
    before = (await member.get("/api/conversations/privacy")).json()
    answer = await member.put("/api/conversations/privacy", {**before, field: value})
    assert_is_problem(answer, field)
    assert (await member.get("/api/conversations/privacy")).json() == before


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=99999999999999999999999999", "page"),
        ("page=1001&limit=100", "page"),
        ("page=0", "page"),
        ("page=one", "page"),
        ("limit=-5", "limit"),
        ("limit=101", "limit"),
        ("limit=", "limit"),
        ("cursor=not-a-cursor", "cursor"),
        ("cursor=%00%ff", "cursor"),
    ],
)
@pytest.mark.parametrize("path", ["/api/feed/home", "/api/search/users?q=a"])
async def test_bad_paging_names_the_parameter(
    client: httpx.AsyncClient, path: str, query: str, field: str
) -> None:
    answer = await client.get(f"{path}{'&' if '?' in path else '?'}{query}")
    assert answer.status_code == 422, answer.text
    assert_is_problem(answer, field)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/search/users", 422),
        ("/api/search/users?q=", 422),
        ("/api/search/users?q=%00", 422),
        ("/api/search/users?q=" + "x" * 200, 422),
        ("/api/search/users?q=%ff%fe", 200),
        ("/api/search/users?q=%25", 200),
        ("/api/users/%00", 400),
        ("/api/users/" + "x" * 5000, 404),
        ("/api/posts/not-an-id", 404),
        ("/api/posts/00000000-0000-0000-0000-000000000000", 404),
        ("/api/feed/tags/%00", 400),
        ("/api/nothing/here", 404),
        ("/api/posts", 405),
        ("/api/feed/home?" + "x" * 10_000, 414),
    ],
)
async def test_bad_address_is_a_problem(client: httpx.AsyncClient, path: str, status: int) -> None:
    answer = await client.get(path)
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert_is_problem(answer)


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer x", "Basic eDp5", "Bearer a.b.c", "Bearer " + "x" * 3000, "bearer é"],
)
async def test_bad_token_is_401(client: httpx.AsyncClient, header: str) -> None:
    answer = await client.get("/api/users/me", headers={b"Authorization": header.encode()})
    assert answer.status_code == 401, answer.text
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/login", "/join", "/settings/appearance", "/api/posts"])
@pytest.mark.parametrize(
    "header", [{"Origin": "http://["}, {"Host": "a:b:c"}, {"Host": "a:99999999"}]
)
async def test_origin_or_host_that_is_none_is_refused(
    stack: Stack, path: str, header: dict[str, str]
) -> None:
    cookies = {"Cookie": "__Host-access=any"}
    async with httpx.AsyncClient(base_url=stack.edge) as client:
        answer = await client.post(path, data={"login": "any"}, headers={**cookies, **header})
    assert 400 <= answer.status_code < 500, answer.text


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=60, derandomize=True)
@given(
    body=st.dictionaries(st.sampled_from(["text", "visibility", "reply_to", "other"]), anything)
    | anything
)
def test_any_json_as_a_post_is_accepted_or_refused_by_field(poster: Poster, body: Any) -> None:
    answer = poster.post(json.dumps(body).encode())
    assert answer.status_code in {201, 400, 422}, answer.text
    if answer.status_code == 201:
        assert answer.json()["text"] == body["text"]
    else:
        assert_is_problem(answer)


@settings(max_examples=60, derandomize=True)
@given(body=st.binary(max_size=200))
def test_any_bytes_as_a_post_are_refused(poster: Poster, body: bytes) -> None:
    answer = poster.post(body)
    assert answer.status_code in {400, 422}, answer.text
    assert_is_problem(answer)


class Poster:
    def __init__(self, base: str, headers: dict[str, str]) -> None:
        self._client = httpx.Client(base_url=base, headers=headers | JSON)

    def post(self, body: bytes) -> httpx.Response:
        return self._client.post("/posts", content=body)

    def close(self) -> None:
        self._client.close()


@pytest.fixture
async def poster(stack: Stack, join: Join) -> Any:
    """A client of feed-service itself, without the gateway."""
    member = await join()
    poster = Poster(f"http://127.0.0.1:{stack.ports['feed']}", member.headers)
    yield poster
    poster.close()


def assert_is_problem(answer: httpx.Response, field: str | None = None) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert len(problem["request_id"]) == 32
    if field is not None:
        assert field in problem["errors"], problem
