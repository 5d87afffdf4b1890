"""Real Prometheus servers, each with prepared samples."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx

from tests.conftest import eventually, free_ports
from tests.observers import tool
from tests.ops.checks.conftest import program


def up(*jobs: str) -> list[str]:
    """The lines of a history in which these jobs are up, from five minutes ago on into the next minutes."""
    now = time.time()
    times = [now + second for second in range(-300, 1200, 15)]
    return ["# TYPE up gauge", *(f'up{{job="{job}"}} 1 {at:.3f}' for job in jobs for at in times)]


@asynccontextmanager
async def serving(pasts: Mapping[str, str | None]) -> AsyncIterator[Mapping[str, str]]:
    """Run a Prometheus for each history, in OpenMetrics text; one without a history has no samples.

    Returns:
        The address of each, by name.
    """
    # On a disk: promtool reserves half a gigabyte for each block, which memory would have to fill.
    with tempfile.TemporaryDirectory() as base:
        async with _serving(pasts, Path(base)) as addresses:
            yield addresses


@asynccontextmanager
async def _serving(pasts: Mapping[str, str | None], base: Path) -> AsyncIterator[Mapping[str, str]]:
    folders = {name: base / name for name in pasts}
    for folder in folders.values():
        folder.mkdir()
    await asyncio.gather(*(_tell(past, folders[name]) for name, past in pasts.items()))
    ports = dict(zip(pasts, free_ports(len(pasts)), strict=True))
    addresses = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    async with AsyncExitStack() as running, httpx.AsyncClient() as client:
        for name, folder in folders.items():
            running.enter_context(
                program(
                    folder,
                    tool("prometheus"),
                    "--config.file=prometheus.yml",
                    "--storage.tsdb.path=data",
                    "--storage.tsdb.retention.time=100d",
                    f"--web.listen-address=127.0.0.1:{ports[name]}",
                )
            )

        async def are_ready() -> bool:
            asked = [client.get(f"{address}/-/ready") for address in addresses.values()]
            return all(answer.is_success for answer in await asyncio.gather(*asked))

        await eventually(are_ready)
        yield addresses


async def _tell(past: str | None, folder: Path) -> None:
    """Make a Prometheus's data from a history."""
    (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": []}))
    if past is None:
        return
    (folder / "past").write_text(past)
    making = await asyncio.create_subprocess_exec(
        tool("promtool"),
        # A single block: one for each two hours would cost more than the samples in it.
        *(
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            "--max-block-duration=2400h",
            "past",
            "data",
        ),
        cwd=folder,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaint = await making.communicate()
    assert making.returncode == 0, complaint.decode()
