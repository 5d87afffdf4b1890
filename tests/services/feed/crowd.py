"""Members who are signed in without registering, at feed-service itself, for tests with many requests."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

import httpx

from tests.conftest import Stack

JOINED = """
WITH who AS (
    INSERT INTO auth.accounts (university_id, email, username, display_name, password_hash, verified_at)
    SELECT d.university_id, u || '@example.edu', u, u, 'x', now()
    FROM auth.university_domains d, unnest($1::text[]) AS u WHERE d.domain = 'example.edu'
    RETURNING id, university_id, username
)
INSERT INTO feed.members (id, university_id, username, display_name)
SELECT id, university_id, username, username FROM who RETURNING id, username
"""


class Someone:
    """Somebody who is signed in."""

    def __init__(self, client: httpx.AsyncClient, stack: Stack, own: UUID, username: str) -> None:
        self.id = own
        self.username = username
        self._client = client
        self._headers = {"Authorization": f"Bearer {stack.signer.sign(own, uuid4(), 900)}"}

    async def ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        answer = await self._client.request(method, path, headers=self._headers, json=body)
        assert answer.status_code < 500, answer.text
        return answer

    async def json(self, path: str) -> Any:
        answer = await self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def names(self, path: str) -> list[str] | int:
        """The usernames in a list, read page by page; or the status that refuses it."""
        found: list[str] = []
        cursor = ""
        while True:
            answer = await self.ask("GET", f"{path}?limit=2{cursor and '&cursor=' + cursor}")
            if answer.status_code != 200:
                return answer.status_code
            found += [item["username"] for item in answer.json()["items"]]
            cursor = answer.json()["next_cursor"]
            if not cursor:
                return found


class Crowd:
    """Makes members of the university that every stack knows."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{stack.ports['feed']}", timeout=60
        )

    async def join(self, count: int) -> list[Someone]:
        names = [f"c{uuid4().hex[:15]}" for _ in range(count)]
        rows = await self._stack.sql(JOINED, names)
        made = [Someone(self.client, self._stack, row["id"], row["username"]) for row in rows]
        return sorted(made, key=lambda one: one.id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.client.aclose()
