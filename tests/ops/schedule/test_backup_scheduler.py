"""Scheduled backups: once a day, retried after a failure, and WAL as it arrives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.ops.schedule import backup_scheduler
from chitlaq.ops.schedule.backup_scheduler import BackupScheduler
from chitlaq.stack.servers import barman


class Machine:
    """An installation whose clock and commands the test controls."""

    def __init__(self, root: Path, **settings: str) -> None:
        self.home = Home(root)
        folder = {"CHITLAQ_BACKUPS_FOLDER": str(root / "backups")}
        zone = {"CHITLAQ_OPERATIONS_TIMEZONE": "Europe/Vienna"}
        self.settings = settings_loading.load(self.home, {**folder, **zone, **settings})
        # Noon: no due time falls within the pause before a retry.
        self.now = datetime(2026, 11, 25, 12, tzinfo=UTC)
        self.ran: list[Sequence[str]] = []
        self.succeeds = True
        self.keeper = self.restarted()

    def restarted(self) -> BackupScheduler:
        self.keeper = BackupScheduler(self.home, self.settings, self.run, lambda: self.now)
        return self.keeper

    async def run(self, _home: Home, words: Sequence[str], _seconds: float, *_: object) -> bool:
        self.ran.append(words)
        return self.succeeds

    def received(self, *names: str) -> None:
        folder = barman.streaming(self.home, self.settings)
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            (folder / name).touch()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


async def test_new_installation_has_its_first_backup_at_once_and_the_next_a_day_later(
    machine: Machine,
) -> None:
    assert await machine.keeper.run_if_due()
    (words,) = machine.ran
    assert words[:4] == ["backup", "run", "--daily", "--since"]
    assert not await machine.keeper.run_if_due()
    machine.now += timedelta(days=1)
    assert await machine.keeper.run_if_due()
    assert len(machine.ran) == 2


async def test_restart_does_not_repeat_the_daily_job(machine: Machine) -> None:
    assert await machine.keeper.run_if_due()
    assert not await machine.restarted().run_if_due()


async def test_failed_job_is_retried_later(machine: Machine) -> None:
    machine.succeeds = False
    assert not await machine.keeper.run_if_due()
    assert not await machine.keeper.run_if_due()
    assert len(machine.ran) == 1
    machine.succeeds = True
    machine.now += timedelta(seconds=backup_scheduler.AGAIN_AFTER_SECONDS)
    assert await machine.keeper.run_if_due()
    # Since the same moment: successful steps are not repeated.
    first, again = machine.ran
    assert first == again
    assert datetime.fromisoformat(first[-1]) <= machine.now


async def test_after_days_of_downtime_one_backup_is_made(machine: Machine) -> None:
    assert await machine.keeper.run_if_due()
    machine.now += timedelta(days=5)
    assert await machine.restarted().run_if_due()
    machine.now += timedelta(seconds=backup_scheduler.AGAIN_AFTER_SECONDS)
    assert not await machine.keeper.run_if_due()


@pytest.mark.parametrize("succeeds", [True, False])
async def test_clock_that_was_ahead_keeps_no_backup_away(machine: Machine, succeeds: bool) -> None:
    now = machine.now
    machine.now += timedelta(days=365)
    machine.succeeds = succeeds
    await machine.keeper.run_if_due()
    machine.now, machine.succeeds = now, True
    assert await machine.keeper.run_if_due()
    machine.now -= timedelta(minutes=5)
    assert not await machine.keeper.run_if_due(), "a small correction repeats nothing"


async def test_archiving_runs_once_a_segment_is_complete(machine: Machine) -> None:
    first, second = "000000010000000000000001", "000000010000000000000002"
    assert not await machine.keeper.archive_wal()
    machine.received(f"{first}.partial")
    assert not await machine.keeper.archive_wal()
    machine.received(first, f"{second}.partial")
    assert await machine.keeper.archive_wal()
    assert machine.ran == [["backup", "archive"]]


async def test_archiving_does_not_run_without_an_archive(tmp_path: Path) -> None:
    machine = Machine(tmp_path, CHITLAQ_BACKUPS_ARCHIVE="off")
    machine.received("000000010000000000000001", "000000010000000000000002.partial")
    assert not await machine.keeper.archive_wal()
    assert machine.ran == []


async def test_recent_wal_is_copied_off_site_every_few_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(tmp_path, CHITLAQ_BACKUPS_COPY_TO=str(tmp_path / "elsewhere"))
    assert not await machine.keeper.archive_wal()
    clock = time.monotonic() + backup_scheduler.SEND_SECONDS + 1
    monkeypatch.setattr(backup_scheduler, "monotonic", lambda: clock)
    assert await machine.keeper.archive_wal()
    assert machine.ran == [["backup", "archive", "--send"]]
    assert not await machine.keeper.archive_wal()


async def test_wal_is_archived_while_the_daily_job_runs(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may take hours, and new WAL must not wait for it."""
    monkeypatch.setattr(backup_scheduler, "FIRST_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(backup_scheduler, "POLL_SECONDS", 0.01)
    archived, is_day_over = asyncio.Event(), asyncio.Event()

    async def run(_home: Home, words: Sequence[str], _seconds: float, *_: object) -> bool:
        if "--daily" in words:
            machine.received("000000010000000000000001", "000000010000000000000002.partial")
            await is_day_over.wait()
        else:
            archived.set()
        return True

    keeper = BackupScheduler(machine.home, machine.settings, run, lambda: machine.now)
    keeping = asyncio.create_task(keeper.run_forever())
    try:
        await asyncio.wait_for(archived.wait(), 30)
        assert not is_day_over.is_set()
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
