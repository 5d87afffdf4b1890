"""The observers' programs: used once they are complete, and what they do on disks."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from chitlaq import inventory
from chitlaq.core.errors import MissingProgramError
from chitlaq.core.host import http_client, memory
from chitlaq.core.installation import secrets
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.observers import access as access_to
from chitlaq.core.installation.settings import Ports, Settings
from chitlaq.stack.install import apt_unpack
from chitlaq.stack.servers import observers
from tests.conftest import eventually, free_ports
from tests.disks import fill, real_disk, small_disk
from tests.observers import fetched


def test_program_of_an_interrupted_fetch_is_not_used(tmp_path: Path) -> None:
    if any(shutil.which(file) for file in observers.PROGRAMS["alertmanager"]):
        pytest.skip("the program is on this machine's PATH")
    home = Home(tmp_path)
    half = home.packages / "usr" / "bin" / "prometheus-alertmanager"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half of it")
    with pytest.raises(MissingProgramError):
        observers.program(home, "alertmanager")
    (home.packages / apt_unpack.FETCHED).touch()
    assert observers.program(home, "alertmanager") == half


@contextmanager
def observing(home: Home, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A Prometheus of this home, which scrapes itself each second."""
    config = home.prometheus / "prometheus.yml"
    scraped = {"job_name": "prometheus", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
    document = {"global": {"scrape_interval": "1s"}, "scrape_configs": [scraped]}
    config.write_bytes(msgspec.json.encode(document))
    process = subprocess.Popen(
        [
            observers.program(home, "prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={home.prometheus / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        cwd=home.packages,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_prometheus_outlives_a_full_disk_and_knows_how_old_its_samples_are() -> None:
    """What SamplesNotStored stands on."""
    age = {"query": "max(time() - timestamp(up))"}
    with small_disk(40) as disk:
        home = Home(disk)
        memory.link(home.all_metrics)
        home.packages.symlink_to(fetched().packages)
        secrets.ensure(home)
        observers.prepare(home, "prometheus")
        (port,) = free_ports(1)
        url = f"http://127.0.0.1:{port}/api/v1/query"
        async with httpx.AsyncClient(timeout=20) as client:

            async def seconds() -> float:
                answer = await client.get(url, params=age)
                assert answer.is_success, answer.text
                found = answer.json()["data"]["result"]
                assert found, "nothing is scraped yet"
                return float(found[0]["value"][1])

            async def is_fresh() -> bool:
                return await seconds() < 3

            async def is_old() -> bool:
                return await seconds() > 5

            try:
                with observing(home, port) as process:
                    await eventually(is_fresh)
                    fill(disk)
                    # Each takes its own place in the file of the queries under way.
                    await asyncio.gather(*(client.get(url, params=age) for _ in range(40)))
                    await eventually(is_old)
                    assert process.poll() is None
                # A start needs no space for what it generates.
                observers.prepare(home, "prometheus")
            finally:
                memory.remove(home.all_metrics)


async def test_disk_is_measured_wherever_it_is_mounted(tmp_path: Path) -> None:
    """Debian's build leaves out /mnt and /media, where backups have a disk of their own."""
    home = Home(tmp_path)
    home.packages.symlink_to(fetched().packages)
    secrets.ensure(home)
    setting = inventory.COMPONENTS["node-exporter"].setting
    settings = Settings(ports=Ports(**{setting: free_ports(1)[0]}))
    observers.prepare(home, "node-exporter")
    access = access_to(home, settings, "node-exporter")

    async def measured() -> str:
        answer = await http_client.get(f"{access.url}/metrics", tls=access.tls, timeout_seconds=20)
        return answer.text

    with real_disk(20, Path("/mnt")) as disk:
        process = subprocess.Popen(
            observers.node_exporter(home, settings),
            cwd=home.packages,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            text = await eventually(measured)
        finally:
            process.kill()
            process.wait()
    places = re.findall(r'^node_filesystem_avail_bytes\{.*mountpoint="([^"]+)"', text, re.MULTILINE)
    assert str(disk) in places
    assert "/dev/shm" not in places
