"""Log files change under load, by our own hand or by logrotate's, and every line is kept."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from chitlaq.stack import logfiles
from tests.conftest import Stack, eventually
from tests.packages import unpacked

REQUESTS = 300


async def asked_while(stack: Stack, rotate: Callable[[], None]) -> set[str]:
    """Ask through the gateway while the files are rotated thrice; returns the request ids."""
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
            await asyncio.to_thread(rotate)
        is_done.set()
        await asyncio.gather(*asking)
    return identifiers


def logged(path: Path, identifiers: set[str]) -> list[str]:
    found = [
        json.loads(line)["request_id"]
        for file in logfiles.history(path)
        for line in logfiles.lines(file)
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


async def counted(stack: Stack) -> float:
    """Refused posts, as the gateway has counted them from the access log."""
    async with httpx.AsyncClient(timeout=20) as client:
        text = (await client.get(f"{stack.gateway}/metrics")).text
    wanted = (
        'http_requests_total{method="POST",route="/api/posts",service="api-gateway",status="401"}'
    )
    values = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(wanted)]
    return float(values[0]) if values else 0.0


async def test_files_begin_anew_when_asked(stack: Stack) -> None:
    before = await counted(stack)

    def rotate() -> None:
        answer = stack.command("rotate")
        assert answer.returncode == 0, answer.stderr

    identifiers = await asked_while(stack, rotate)
    await every_line_is_there_once(stack, identifiers)

    async def all_counted() -> bool:
        return await counted(stack) - before == len(identifiers)

    await eventually(all_counted)


async def test_logrotate_does_the_same(stack: Stack, tmp_path: Path) -> None:
    program = unpacked("logrotate", "logrotate")
    configuration = tmp_path / "chitlaq"
    configuration.write_text(stack.command("config", "logrotate").stdout)
    configuration.chmod(0o644)
    checked = subprocess.run(
        [program, "-d", configuration], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0
    assert "error" not in checked.stderr.lower()

    def rotate() -> None:
        done = subprocess.run(
            [program, "-f", "-s", tmp_path / "state", configuration],
            capture_output=True,
            text=True,
            check=False,
            env=stack.environment,
        )
        assert done.returncode == 0, done.stderr

    identifiers = await asked_while(stack, rotate)
    await every_line_is_there_once(stack, identifiers)
    names = {file.name for file in (stack.home / "logs").iterdir()}
    assert {"feed-service.log", "feed-service.log.1", "feed-service.log.2.gz"} <= names


@pytest.mark.parametrize("line", [b'{"type":"rotate"}\n', b'{"type":"rotate","moved":true}\n'])
def test_rotation_without_lines_makes_no_files(stack: Stack, line: bytes) -> None:
    from tests.stack.test_control import ask

    ask(stack, b'{"type":"rotate"}\n')
    before = sorted(file.name for file in (stack.home / "logs").glob("redis.log*"))
    ask(stack, line)
    assert sorted(file.name for file in (stack.home / "logs").glob("redis.log*")) == before
