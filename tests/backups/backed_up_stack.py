"""Stacks with a WAL archive, and helpers to inspect their backups from within."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self
from uuid import UUID

import httpx

from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import Record
from chitlaq.backups.context import BackupContext
from chitlaq.client import Chat, Session, Tokens
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from tests.conftest import Member, Stack, become_member, start_stack

Write = Callable[[], Awaitable[str]]


def start_backed_up_stack(file: str = "", **settings: str) -> Stack:
    """Start a stack with a WAL archive and no rate limit for members; the caller stops it.

    Args:
        file: the content of its ``chitlaq.toml``.
        settings: environment variables.
    """
    usual = {
        "CHITLAQ_BACKUPS_ARCHIVE": "on",
        "CHITLAQ_LIMITS_ACCOUNT_REQUESTS_PER_MINUTE": "1000000",
    }
    stack = start_stack(**(usual | settings))
    if file:
        (stack.home / "chitlaq.toml").write_text(file)
    stack.up()
    return stack


def context_of(stack: Stack) -> BackupContext:
    home = Home(stack.home)
    # The tests' process may be root, and commands give root up: both make their copies there.
    owner = (home.run if home.run.exists() else home.root).stat()
    for folder in (home.backup, home.backup / "scratch"):
        folder.mkdir(exist_ok=True, mode=0o700)
        os.chown(folder, owner.st_uid, owner.st_gid)
    return BackupContext(home, settings_loading.load(home, stack.environment))


def backups_of(stack: Stack) -> records.Catalog:
    return records.read(context_of(stack).folder)


def run(stack: Stack, *words: str) -> str:
    """Run ``chitlaq backup WORDS``, which must succeed."""
    answer = stack.command("backup", *words)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def newest(stack: Stack, *kinds: records.BackupKind) -> Record:
    found = backups_of(stack).newest(*kinds)
    assert found is not None
    return found


@asynccontextmanager
async def author(stack: Stack, username: str = "ada") -> AsyncIterator[Member]:
    """A member who writes posts."""
    async with httpx.AsyncClient(base_url=stack.gateway, timeout=20) as client:
        yield await become_member(stack, client, username)


PAUSE_SECONDS = 0.05
"""Between what one writes: a stream that never ends, and leaves the machine to what is tested."""


class Writers:
    """Write posts without an end, and remember which were acknowledged."""

    def __init__(self, member: Member, count: int = 4) -> None:
        self.acknowledged: list[str] = []
        self._member = member
        self._count = count
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._write()) for _ in range(self._count)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self) -> None:
        while True:
            try:
                answer = await self._member.post("/api/posts", {"text": "written under load"})
            except httpx.TransportError:
                continue
            finally:
                await asyncio.sleep(PAUSE_SECONDS)
            if answer.status_code == 201:
                self.acknowledged.append(answer.json()["id"])


class Talkers(Writers):
    """Write messages over a WebSocket without an end, and remember them by their number."""

    def __init__(self, stack: Stack, member: Member, conversation_id: str) -> None:
        super().__init__(member, count=1)
        self.said: dict[int, str] = {}
        self._session = Session(stack.gateway, Tokens(member.token, member.refresh_token))
        self._conversation_id = UUID(conversation_id)

    async def _write(self) -> None:
        async with Chat(self._session, lambda _: None).connected() as chat:
            for number in itertools.count():
                text = f"message {number}"
                self.said[(await chat.send(self._conversation_id, text)).seq] = text
                await asyncio.sleep(PAUSE_SECONDS)


async def said_in(stack: Stack, conversation_id: str) -> dict[int, str]:
    """The messages of a conversation; all conversations are whole."""
    assert await stack.sql("SELECT * FROM websocket.numbering_faults('-infinity')") == []
    rows = await stack.sql(
        "SELECT seq, text FROM websocket.messages WHERE conversation_id = $1", conversation_id
    )
    return {row["seq"]: row["text"] for row in rows}


async def posts_in(stack: Stack) -> set[str]:
    return {str(row["id"]) for row in await stack.sql("SELECT id FROM feed.posts")}


def servers_in(folder: Path) -> list[int]:
    """PostgreSQL processes that run on a data directory below a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.startswith(str(folder).encode()) for word in words) and b"-D" in words:
            found.append(int(path.parent.name))
    return found


def up(stack: Stack) -> None:
    """Start the stack, and wait for the WAL receiver, too, which `up` does not wait for."""
    stack.up()
    deadline = time.monotonic() + 60
    while not stack.is_healthy():
        assert time.monotonic() < deadline, stack.command("ps").stdout
        time.sleep(0.2)
