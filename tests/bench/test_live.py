"""The monthly benchmark: bounded, labelled, refused in production, and compared with earlier runs."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chitlaq.bench import live
from chitlaq.core import ids
from chitlaq.core.formatting import duration
from chitlaq.core.installation.home import Home
from chitlaq.ops.checks.model import Section, Value, Verdict
from chitlaq.ops.checks.runner import Result, Run
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.history import run_history
from tests.conftest import Stack, eventually

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark.sh"
SECONDS = 0.3


@dataclass
class Gateway:
    """A server in place of the gateway that records its clients and the duration."""

    delay: float
    status: str = "200 OK"
    port: int = 0
    open: int = 0
    most_open: int = 0
    agents: Counter[str] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                self.times.append(time.monotonic())
                self.targets[head.split()[1]] += 1
                named = [line for line in head.splitlines() if line.startswith("User-Agent: ")]
                self.agents[named[0].removeprefix("User-Agent: ") if named else ""] += 1
                await asyncio.sleep(self.delay)
                writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def gateway(delay: float, status: str = "200 OK") -> AsyncIterator[Gateway]:
    found = Gateway(delay, status)
    server = await asyncio.start_server(found.answer, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    async with server:
        yield found


@pytest.fixture
def database(stack: Stack) -> Iterator[OpsDatabase]:
    with OpsDatabase(Home(stack.home)) as database:
        yield database


async def remember(database: OpsDatabase, p95: float) -> None:
    """Fill the history with as many benchmarks as are compared, all with this figure."""
    for minute in range(live.COMPARED):
        results = [
            Result(
                name, title, Section.MAINTENANCE, Verdict.OK, "as usual",
                {"p95": Value(p95, "seconds")}, [], live.REMEDY, 1.0,
            )
            for name, (title, _) in live.TARGETS.items()
        ]  # fmt: skip
        at = datetime.now(UTC) - timedelta(seconds=minute)
        run = Run(ids.new(), live.ROUTINE, at, 1.0, Verdict.OK, "ada", "vm", results)
        await run_history.store(database, run)


async def bench(stack: Stack, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        stack.command, "bench", "--here", "--seconds", f"{SECONDS}", "--as", "ada", *words,
        env=environment,
    )  # fmt: skip


async def test_load_is_labelled_and_bounded_in_connections_and_time(
    stack: Stack, database: OpsDatabase
) -> None:
    await remember(database, 1.0)
    async with gateway(0.002) as asked:
        answer = await bench(stack, CHITLAQ_PORTS_GATEWAY=f"{asked.port}")
    assert answer.returncode == 0, answer.stderr
    assert set(asked.agents) == {live.AGENT}
    assert set(asked.targets) == {target for _, target in live.TARGETS.values()}
    assert asked.most_open == live.CONNECTIONS
    # A process starts between targets; each target takes the requested time.
    pauses = [b - a for a, b in zip(asked.times, asked.times[1:], strict=False) if b - a > 0.1]
    whole = asked.times[-1] - asked.times[0] - sum(pauses)
    assert whole == pytest.approx(SECONDS * len(live.TARGETS), abs=0.3)
    too_long = await asyncio.to_thread(stack.command, "bench", "--here", "--seconds", "3600")
    assert too_long.returncode == 2


async def test_benchmark_of_the_running_system_is_recorded(stack: Stack) -> None:
    answer = await bench(stack, "--json")
    run = json.loads(answer.stdout)
    assert answer.returncode == (0 if run["verdict"] == "OK" else 3)
    assert {result["check"] for result in run["results"]} == set(live.TARGETS)
    assert all(result["values"]["per_second"]["value"] > 0 for result in run["results"])
    kept = stack.json("ops", "history", "benchmark")
    assert any(one["id"] == run["id"] and one["started_by"] == "ada" for one in kept)
    log = stack.home / "logs" / "nginx-access.log"
    # The log shows that these are the benchmark's requests.
    await eventually(lambda: f'"user_agent":"{live.AGENT}"' in log.read_text(errors="replace"))


@pytest.mark.parametrize(
    ("usual", "delay", "status", "verdict", "code"),
    # A busy machine adds a few hundred milliseconds, and changes none of these verdicts.
    [
        (1.0, 0.01, "200 OK", "OK", 0),
        (0.4, 0.8, "200 OK", "WARNING", 3),
        (0.02, 0.12, "200 OK", "CRITICAL", 3),
        (1.0, 0.01, "503 Away", "CRITICAL", 3),
    ],
)
async def test_slower_result_is_reported_and_sets_the_exit_code(
    stack: Stack,
    database: OpsDatabase,
    usual: float,
    delay: float,
    status: str,
    verdict: str,
    code: int,
) -> None:
    await remember(database, usual)
    async with gateway(delay, status) as asked:
        answer = await bench(stack, CHITLAQ_PORTS_GATEWAY=f"{asked.port}")
    assert answer.stdout.startswith(verdict), answer.stdout
    assert answer.returncode == code
    assert ("responses" if status != "200 OK" else f"usually {duration(usual)}") in answer.stdout


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CHITLAQ_PUBLIC_URL", "https://chitlaq.example.edu"),
        ("DATABASE_URL", "postgresql://owner@127.0.0.1:9/chitlaq"),
    ],
)
async def test_production_system_is_refused_unless_requested(
    stack: Stack, variable: str, value: str
) -> None:
    async with gateway(0.002) as asked:
        where = {"CHITLAQ_PORTS_GATEWAY": f"{asked.port}", variable: value}
        answer = await bench(stack, **where)
        assert answer.returncode == 1
        assert "--production" in answer.stderr
        assert not asked.agents
        if variable == "CHITLAQ_PUBLIC_URL":
            answer = await bench(stack, "--production", **where)
            assert answer.returncode in {0, 3}
            assert asked.agents


async def test_runbook_script_does_the_same(stack: Stack) -> None:
    answer = await asyncio.to_thread(
        subprocess.run,
        [str(SCRIPT), "--seconds", f"{SECONDS}", "--json"],
        env=stack.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(answer.stdout)["routine"] == live.ROUTINE, answer.stderr
