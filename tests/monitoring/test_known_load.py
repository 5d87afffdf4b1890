"""A known load yields the same figures in Prometheus."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from chitlaq.core.telemetry.metrics import LATENCY_BUCKETS
from tests.conftest import Stack, eventually, free_ports
from tests.monitoring.known_load import FAILURES, SECONDS
from tests.observers import tool

REQUESTS = 400


@pytest.fixture
def asked(stack: Stack, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The addresses of a service with known behaviour, and of a Prometheus that scrapes it each second."""
    service, prometheus = free_ports(2)
    configuration = tmp_path / "prometheus.yml"
    target = {"job_name": "shaped", "static_configs": [{"targets": [f"127.0.0.1:{service}"]}]}
    configuration.write_text(
        json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [target]})
    )
    commands = (
        [sys.executable, "-m", "tests.monitoring.known_load", str(service)],
        [
            tool("prometheus"),
            f"--config.file={configuration}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{prometheus}",
        ],
    )
    with ExitStack() as ends:
        for command in commands:
            process = subprocess.Popen(
                command,
                env=stack.environment,
                cwd=Path(__file__).parents[2],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            ends.callback(process.wait, 20)
            ends.callback(process.terminate)
        yield f"http://127.0.0.1:{service}", f"http://127.0.0.1:{prometheus}"


async def test_prometheus_figures_are_within_five_per_cent(asked: tuple[str, str]) -> None:
    service, prometheus = asked
    async with httpx.AsyncClient(timeout=20) as client:

        async def query(expression: str) -> float:
            answer = await client.get(f"{prometheus}/api/v1/query", params={"query": expression})
            answer.raise_for_status()
            result = answer.json()["data"]["result"]
            return float(result[0]["value"][1]) if result else 0.0

        async def is_seen() -> bool:
            return await query('up{job="shaped"}') == 1

        await eventually(is_seen)
        requests = 'http_requests_total{route="/shaped"}'
        limit = asyncio.Semaphore(10)
        durations = []

        async def ask() -> int:
            async with limit:
                answer = await client.get(f"{service}/shaped")
                durations.append(answer.elapsed.total_seconds())
                return answer.status_code

        statuses = await asyncio.gather(*(ask() for _ in range(REQUESTS)))
        failed = statuses.count(500)
        assert failed == REQUESTS * len(FAILURES) / 100

        async def all_are_seen() -> bool:
            return await query(f"sum({requests})") == REQUESTS

        await eventually(all_are_seen)
        errors = await query(
            'sum(rate(http_requests_total{route="/shaped",status=~"5.."}[1m]))'
            f" / sum(rate({requests}[1m]))"
        )
        assert errors == pytest.approx(failed / REQUESTS, rel=0.05)
        p95 = await query(
            "histogram_quantile(0.95, sum by (le)"
            ' (rate(http_request_duration_seconds_bucket{route="/shaped"}[1m])))'
        )
        seen = sorted(durations)[int(0.95 * REQUESTS)]
        if seen < SECONDS * 1.03:
            assert p95 == pytest.approx(SECONDS, rel=0.05)
        else:
            # On a busy machine responses are late, and Prometheus must show that: in the same bucket, or the
            # one before, since the client's figure includes its own wait.
            assert SECONDS < p95 <= min(bound for bound in LATENCY_BUCKETS if bound >= seen)
