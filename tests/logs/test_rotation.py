"""Log files are rotated under load, by ChitLaq or by logrotate, and every line is kept."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from prometheus_client import REGISTRY

from chitlaq.core.installation.home import Home
from chitlaq.logs import rotation
from chitlaq.services.gateway.access_log_metrics import AccessLog
from tests.conftest import Stack, eventually
from tests.debian_programs import unpacked

REQUESTS = 300


async def asked_while(
    stack: Stack,
    rotate: Callable[[], None],
    until_read: Callable[[int], Awaitable[None]] | None = None,
) -> set[str]:
    """Send requests through the gateway during three rotations; return the request ids.

    After each rotation, ``until_read`` waits for that many requests, all that were answered before.
    """
    identifiers: set[str] = set()
    is_done = asyncio.Event()

    async def ask(client: httpx.AsyncClient) -> None:
        while not is_done.is_set() or len(identifiers) < REQUESTS:
            answer = await client.post("/api/posts", json={"text": "nobody is signed in"})
            assert answer.status_code == 401
            identifiers.add(answer.headers["x-request-id"])

    async with httpx.AsyncClient(base_url=stack.gateway, timeout=20) as client:
        asking = [asyncio.create_task(ask(client)) for _ in range(4)]
        for _ in range(3):
            answered = len(identifiers)
            await asyncio.to_thread(rotate)
            if until_read is not None:
                await until_read(answered)
        is_done.set()
        await asyncio.gather(*asking)
    return identifiers


def logged(path: Path, identifiers: set[str]) -> list[str]:
    found = [
        json.loads(line).get("request_id")
        for file in rotation.history(path)
        for line in rotation.lines(file)
        if line.startswith("{")
    ]
    return [identifier for identifier in found if identifier in identifiers]


async def every_line_is_there_once(stack: Stack, identifiers: set[str]) -> None:
    for name in ("nginx-access.log", "feed-service.log"):

        def all_logged(path: Path = stack.home / "logs" / name) -> bool:
            found = logged(path, identifiers)
            assert len(found) <= len(identifiers), "some line is there twice"
            return set(found) == identifiers

        await eventually(all_logged)


async def counted(stack: Stack, method: str = "POST", status: int = 401) -> float:
    """Requests to ``/api/posts``, as the gateway has counted them from the access log."""
    async with httpx.AsyncClient(timeout=20) as client:
        text = (await client.get(f"{stack.gateway}/metrics")).text
    wanted = (
        f'http_requests_total{{method="{method}",route="/api/posts",service="api-gateway",'
        f'status="{status}"}}'
    )
    values = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(wanted)]
    return float(values[0]) if values else 0.0


async def counted_so_far(stack: Stack) -> float:
    """The same, when every line that earlier tests left has been read: lines keep their order."""
    marks = await counted(stack, "PUT", 405)
    async with httpx.AsyncClient(base_url=stack.gateway, timeout=20) as client:
        assert (await client.put("/api/posts")).status_code == 405

    async def is_seen() -> bool:
        return await counted(stack, "PUT", 405) > marks

    await eventually(is_seen)
    return await counted(stack)


async def test_rotate_starts_new_files(stack: Stack) -> None:
    before = await counted_so_far(stack)

    def rotate() -> None:
        answer = stack.command("rotate")
        assert answer.returncode == 0, answer.stderr

    async def until_counted(answered: int) -> None:
        """A file that is moved twice between two reads is not counted (`logs.follow`)."""

        async def is_counted() -> bool:
            return await counted(stack) - before >= answered

        await eventually(is_counted)

    identifiers = await asked_while(stack, rotate, until_counted)
    await every_line_is_there_once(stack, identifiers)

    async def all_counted() -> bool:
        assert await counted(stack) - before == len(identifiers)
        return True

    await eventually(all_counted)


async def test_logrotate_does_the_same(stack: Stack, tmp_path: Path) -> None:
    program = unpacked("logrotate", "logrotate", "usr/sbin/logrotate")
    configuration = tmp_path / "chitlaq"
    configuration.write_text(stack.command("config", "logrotate").stdout)
    configuration.chmod(0o644)
    checked = subprocess.run(
        [program.path, "-d", configuration],
        capture_output=True,
        text=True,
        check=False,
        env=program.environment,
    )
    assert checked.returncode == 0, checked.stderr
    assert "error" not in checked.stderr.lower()

    def rotate() -> None:
        done = subprocess.run(
            [program.path, "-f", "-s", tmp_path / "state", configuration],
            capture_output=True,
            text=True,
            check=False,
            env={**program.environment, **stack.environment},
        )
        assert done.returncode == 0, done.stderr

    identifiers = await asked_while(stack, rotate)
    await every_line_is_there_once(stack, identifiers)
    names = {file.name for file in (stack.home / "logs").iterdir()}
    assert {"feed-service.log", "feed-service.log.1", "feed-service.log.2.gz"} <= names


@pytest.mark.parametrize("line", [b'{"type":"rotate"}\n', b'{"type":"rotate","moved":true}\n'])
def test_rotation_without_lines_makes_no_files(stack: Stack, line: bytes) -> None:
    from tests.stack.supervisor.test_control import ask

    ask(stack, b'{"type":"rotate"}\n')
    before = sorted(file.name for file in (stack.home / "logs").glob("redis.log*"))
    ask(stack, line)
    assert sorted(file.name for file in (stack.home / "logs").glob("redis.log*")) == before


class Reading(RuleBasedStateMachine):
    """The gateway's reader, whatever is moved, however it is restarted: each line counts once."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="chitlaq-reading-"))
        self.home = Home(self.root)
        self.home.run.mkdir()
        self.home.logs.mkdir()
        self.reader = AccessLog(self.home)
        self.ids = itertools.count()
        self.written = 0
        self.before = self.counted()
        self.reader.read()

    def counted(self) -> float:
        labels = {"service": "api-gateway", "method": "GET", "route": "/reading", "status": "200"}
        return REGISTRY.get_sample_value("http_requests_total", labels) or 0.0

    @rule(lines=st.integers(1, 5), where=st.sampled_from(("", ".1")))
    def write(self, lines: int, where: str) -> None:
        """Write to the file or, like a worker that has not reopened it yet, to the previous one."""
        path = self.home.access_log.with_name(self.home.access_log.name + where)
        if where and not path.exists():
            return
        with path.open("a") as file:
            for _ in range(lines):
                line = {"method": "GET", "route": "/reading", "status": 200, "request_time": 0.1}
                file.write(json.dumps(line | {"request_id": next(self.ids)}) + "\n")
        self.written += lines
        self.reader.read()

    @rule()
    def rotate(self) -> None:
        rotation.rotate(self.home.access_log, keep_files=3)
        self.reader.read()

    @rule(is_rotated=st.booleans(), lines=st.integers(1, 5))
    def restart(self, is_rotated: bool, lines: int) -> None:
        self.reader.close()
        if is_rotated:
            rotation.rotate(self.home.access_log, keep_files=3)
        self.reader = AccessLog(self.home)
        self.write(lines, "")

    @invariant()
    def every_line_is_counted_once(self) -> None:
        assert self.counted() - self.before == self.written

    def teardown(self) -> None:
        self.reader.close()
        shutil.rmtree(self.root)


TestReading = Reading.TestCase
TestReading.settings = settings(max_examples=40, stateful_step_count=20)
