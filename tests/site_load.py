"""What a site is asked while its machines fail, and whether all that it acknowledged is there afterwards.

Members post and chat through an application node. Beside them, a program on each database machine writes to
the PostgreSQL of that very machine, as an application that is cut off together with it would.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import httpx
import psutil

from tests.conftest import Member, eventually
from tests.faults.test_chat import load as chat_load
from tests.services.websocket.chat.history import Record, faults
from tests.site_cluster import DATABASES, SiteCluster, SiteStack, signal_family

PATIENCE_SECONDS = 90.0
DIRECT = """\
i=0
while :; do
  i=$((i+1))
  "$1" -qAtX -c "INSERT INTO public.direct VALUES ('$2-$i')" "$3" 2>>"$4.err" &&
    echo "$2-$i $EPOCHREALTIME" >>"$4"
  sleep 0.1
done
"""


@dataclass
class Posting:
    """One member's posts: each is sent until it is acknowledged.

    Attributes:
        began: when the latest acknowledged one was first sent.
        acknowledged: the texts.
    """

    member: Member
    began: float = 0.0
    acknowledged: list[str] = field(default_factory=list)
    unclear: str = ""

    async def run(self) -> None:
        while True:
            self.unclear = str(uuid4())
            began = time.monotonic()
            while not await self._is_sent():
                await asyncio.sleep(0.2)
            self.acknowledged.append(self.unclear)
            self.began = began
            await asyncio.sleep(0.1)

    async def _is_sent(self) -> bool:
        with suppress(httpx.TransportError):
            answer = await self.member.post(
                "/api/posts", {"text": self.unclear}, **{"Idempotency-Key": self.unclear}
            )
            assert answer.status_code in {201, 429, 500, 502, 503, 504}, answer.text
            return answer.status_code == 201
        return False


class Direct:
    """A program on each database machine that writes to its own PostgreSQL all the time.

    It does what an application would that is cut off together with the database.
    """

    def __init__(self, cluster: SiteCluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        for left in self._folder.glob("direct-*"):
            left.unlink()
        await self._cluster.sql("DROP TABLE IF EXISTS public.direct")
        await self._cluster.sql("CREATE TABLE public.direct (id text PRIMARY KEY)")
        programs = [self._start(name) for name in DATABASES]
        try:
            await eventually(lambda: any(self.acknowledged().values()))
            yield
        finally:
            for program in programs:
                signal_family(psutil.Process(program.pid), signal.SIGKILL)
                program.wait()

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        psql = Path(self._cluster.site.postgres_programs) / "psql"
        log = self._folder / f"direct-{name}"
        words = ["bash", "-c", DIRECT, "bash", psql, name, self._cluster.url_of(name), log]
        return subprocess.Popen(
            self._cluster.network.at(name, list(map(str, words))),
            env={"PATH": "/usr/bin:/bin", "PGCONNECT_TIMEOUT": "2"},
            start_new_session=True,
        )

    def acknowledged(self) -> dict[str, list[tuple[str, float]]]:
        """What was written, and when it was acknowledged, by machine."""
        found = {}
        for name in DATABASES:
            with suppress(FileNotFoundError):
                lines = (self._folder / f"direct-{name}").read_text().splitlines()
                found[name] = [(text, float(at)) for text, at in (line.split() for line in lines)]
        return found

    async def check(self) -> None:
        """All that was acknowledged is there, and no two databases acknowledged at the same time.

        Raises:
            AssertionError: it is not so.
        """
        acknowledged = self.acknowledged()
        there = {row["id"] for row in await self._cluster.sql("SELECT id FROM public.direct")}
        assert {text for acks in acknowledged.values() for text, _ in acks} - there == set()
        every = sorted((at, name) for name, acks in acknowledged.items() for _, at in acks)
        turns = [name for name, _ in itertools.groupby(name for _, name in every)]
        assert len(turns) == len(set(turns)), "databases acknowledged in turns"


class SiteLoad:
    """What runs, and what was acknowledged."""

    def __init__(self, postings: Sequence[Posting], record: Record, direct: Direct) -> None:
        self._postings = postings
        self._record = record
        self._direct = direct

    async def goes_on(self, since: float) -> float:
        """Wait until each member's post is acknowledged that began later; return after how many seconds."""
        messages = len(self._record.acknowledged)

        def is_served() -> bool:
            return all(posting.began > since for posting in self._postings)

        await eventually(is_served, PATIENCE_SECONDS)
        seconds = time.monotonic() - since
        await eventually(lambda: len(self._record.acknowledged) > messages + 5, PATIENCE_SECONDS)
        return seconds

    async def check(self, stack: SiteStack) -> None:
        """All that was acknowledged is there once; no two databases acknowledged at the same time.

        Raises:
            AssertionError: it is not so.
        """
        assert list(faults(self._record))[:5] == []
        rows = await stack.sql("SELECT text, count(*) FROM feed.posts GROUP BY 1")
        stored = Counter({row["text"]: row["count"] for row in rows})
        for posting in self._postings:
            wrong = {text: stored[text] for text in posting.acknowledged if stored[text] != 1}
            assert wrong == {}, "acknowledged posts, and how often they are there"
            assert stored[posting.unclear] <= 1
        await self._direct.check()


@asynccontextmanager
async def load(
    cluster: SiteCluster, stack: SiteStack, members: Sequence[Member], folder: Path
) -> AsyncIterator[SiteLoad]:
    """Let members post and chat until the block ends, and the machines write to their own databases."""
    direct = Direct(cluster, folder)
    postings = [Posting(member) for member in members]
    async with (
        direct.running(),
        chat_load(stack, [members], (None,), pause_seconds=0.2) as (record, _),
    ):
        tasks = [asyncio.create_task(posting.run()) for posting in postings]
        try:
            await eventually(lambda: all(posting.acknowledged for posting in postings))
            yield SiteLoad(postings, record, direct)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            assert task.cancelled(), task.exception()
