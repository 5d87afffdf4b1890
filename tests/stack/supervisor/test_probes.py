"""A receiver is ready by what it receives: a file that is there and a process that lives show nothing."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from chitlaq.stack.supervisor import probes
from tests.conftest import eventually

SEGMENT = "000000010000000000000001"


class Archive:
    """What PostgreSQL writes, and what is received of it."""

    def __init__(self, folder: Path) -> None:
        self.wal, self.received = folder / "wal", folder / "received"
        self.wal.mkdir()
        self.received.mkdir()
        self._now = time.time() - 1000
        self.write()

    def write(self) -> None:
        self._change(self.wal / SEGMENT)

    def receive(self) -> None:
        self._change(self.received / f"{SEGMENT}.partial")

    def _change(self, path: Path) -> None:
        self._now += 1
        path.touch()
        os.utime(path, (self._now, self._now))

    def probe(self) -> probes.Probe:
        return probes.receiver(self.wal, self.received)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


async def test_receiver_is_ready_once_something_arrives(archive: Archive) -> None:
    probe = archive.probe()
    archive.receive()  # by an earlier one
    for _ in range(2):
        assert not await probe(1)
        archive.write()
    archive.receive()
    assert await probe(1)
    # Its successor finds the file, and has received nothing.
    assert not await probe(2)


async def test_receiver_that_waits_for_what_is_not_written_is_ready(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "STILL_SECONDS", 0.2)
    archive.receive()
    probe = archive.probe()
    assert not await probe(1)
    await eventually(lambda: probe(1))
    assert not (await probe(1)).fault


async def test_receiver_is_unable_while_postgresql_writes_and_nothing_arrives(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "STILL_SECONDS", 0.2)
    probe = archive.probe()
    await probe(1)
    archive.receive()
    assert not (await probe(1)).fault
    archive.write()

    async def fault() -> str:
        answer = await probe(1)
        assert answer, "the supervisor need not replace it"
        return answer.fault

    assert "has received nothing for" in await eventually(fault)
    archive.receive()
    assert not await fault()
    # What is quiet is not still.
    await asyncio.sleep(0.4)
    assert not await fault()


async def test_folder_that_cannot_be_read_is_named(archive: Archive) -> None:
    probe = archive.probe()
    archive.received.rmdir()
    answer = await probe(1)
    assert not answer
    assert str(archive.received) in answer.fault
