"""Typesense beside the benchmark of search: the same members, the same queries, on the same machine.

It runs already, at a URL that holds its key, as ``http://KEY@127.0.0.1:8108``. The benchmark stores one
collection there, and removes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from getpass import getuser
from urllib.parse import quote, urlsplit

import asyncpg
import msgspec
import psutil

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import http_client

COLLECTION = "chitlaq_bench_members"
BATCH = 10_000
BATCH_SECONDS = 300.0
REQUEST_SECONDS = 30.0
SCHEMA = {
    "name": COLLECTION,
    "default_sorting_field": "followers",
    "fields": [
        {"name": "username", "type": "string", "infix": True},
        {"name": "display_name", "type": "string", "infix": True},
        {"name": "followers", "type": "int32"},
    ],
}


class _Document(msgspec.Struct):
    display_name: str


class _Hit(msgspec.Struct):
    document: _Document


class _Found(msgspec.Struct):
    hits: list[_Hit]


@dataclass(frozen=True)
class Typesense:
    """One that holds the members."""

    host: str
    port: int
    key: str
    process: psutil.Process

    def request(self, text: str) -> str:
        """Return a search as text, ready to be sent again and again."""
        return (
            f"GET {self._target(text)} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"
            f"X-TYPESENSE-API-KEY: {self.key}\r\n\r\n"
        )

    async def names(self, text: str) -> list[str]:
        """Search, and return the names that are found."""
        body = await self.ask("GET", self._target(text))
        return [hit.document.display_name for hit in msgspec.json.decode(body, type=_Found).hits]

    def cpu_seconds(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system

    def megabytes(self) -> float:
        return round(self.process.memory_info().rss / 1e6, 1)

    async def ask(
        self, method: str, target: str, body: bytes = b"", seconds: float = REQUEST_SECONDS
    ) -> bytes:
        """Return the body of an answer.

        Raises:
            OperatorError: it refuses.
        """
        answer = await http_client.request(
            method,
            f"http://{self.host}:{self.port}{target}",
            timeout_seconds=seconds,
            headers={"X-TYPESENSE-API-KEY": self.key, "Content-Type": "application/json"},
            body=body,
        )
        if answer.status >= 400:
            raise OperatorError(f"Typesense answered {answer.status}: {answer.text[:200]}")
        return answer.body

    @staticmethod
    def _target(text: str) -> str:
        return (
            f"/collections/{COLLECTION}/documents/search?q={quote(text)}&query_by=display_name,username"
            "&infix=fallback,fallback&per_page=10&include_fields=username,display_name"
        )


@asynccontextmanager
async def holding(url: str, members: Sequence[tuple[str, str, int]]) -> AsyncIterator[Typesense]:
    """Let it hold these members (username, display name, followers) until the block ends.

    Raises:
        OperatorError: there is none at the URL, or it is not on this machine.
    """
    parts = urlsplit(url)
    if parts.hostname is None or parts.port is None or parts.username is None:
        raise OperatorError("A URL of Typesense holds its key and port: http://KEY@127.0.0.1:8108.")
    process = await asyncio.to_thread(_listening, parts.port)
    typesense = Typesense(parts.hostname, parts.port, parts.username, process)
    await typesense.ask("POST", "/collections", msgspec.json.encode(SCHEMA))
    try:
        for at in range(0, len(members), BATCH):
            rows = (
                {"username": username, "display_name": name, "followers": followers}
                for username, name, followers in members[at : at + BATCH]
            )
            body = b"\n".join(map(msgspec.json.encode, rows))
            target = f"/collections/{COLLECTION}/documents/import?action=create"
            await typesense.ask("POST", target, body, BATCH_SECONDS)
        yield typesense
    finally:
        await typesense.ask("DELETE", f"/collections/{COLLECTION}", seconds=BATCH_SECONDS)


async def members(connection: asyncpg.Connection[asyncpg.Record]) -> list[tuple[str, str, int]]:
    """Return what Typesense is to hold."""
    rows = await connection.fetch(
        "SELECT username, display_name, followers_count FROM feed.members"
    )
    return [tuple(row) for row in rows]


def _listening(port: int) -> psutil.Process:
    for found in psutil.net_connections("tcp"):
        if found.status == psutil.CONN_LISTEN and found.laddr[1:] == (port,) and found.pid:
            return psutil.Process(found.pid)
    raise OperatorError(
        f"Nothing that this user runs listens on port {port}: start Typesense first, as the user"
        f" {getuser()}, since others' processes cannot be told by their ports."
    )
