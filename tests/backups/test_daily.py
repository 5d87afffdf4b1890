"""The daily job: failures are retried, successes are not repeated, local backups are deleted first."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from chitlaq.backups import daily
from chitlaq.backups.catalog import records, status
from chitlaq.backups.catalog.records import BackupKind, ProofResult, Record
from chitlaq.backups.context import BackupContext, make_private_folder
from chitlaq.backups.offsite import copies, object_store
from chitlaq.backups.steps import StepOutcome
from chitlaq.core.errors import OperatorError
from tests.backups.machines import archive_segment, machine, made_at, make

LATER = made_at(2) + timedelta(days=400)
DAYS = 2


def days_of_backups(context: BackupContext) -> None:
    """Let enough days have backups after the others: configuration backups, which are younger then."""
    for number in range(1, DAYS + 2):
        name = f"configuration_{number}"
        moment = LATER - timedelta(days=number)
        made = Record(name, "configuration", moment, 1.0, name, 1, "0" * 64)
        (context.folder / name).write_bytes(b"x")
        records.write(context.folder, made)
        records.write(copies.registry_folder(context, context.settings.backups.copy_to), made)


def silent(_: StepOutcome) -> None:
    pass


@pytest.fixture
def context(tmp_path: Path, key: tuple[str, str]) -> BackupContext:
    """A machine whose off-site location the test can disable."""
    return machine(
        tmp_path / "one",
        CHITLAQ_BACKUPS_RECIPIENTS=key[1],
        CHITLAQ_BACKUPS_COPY_TO=str(tmp_path / "elsewhere"),
        CHITLAQ_BACKUPS_KEEP_LEAST="1",
        CHITLAQ_BACKUPS_KEEP_DAYS=f"{DAYS}",
        CHITLAQ_BACKUPS_KEEP_DUMPS_DAYS=f"{DAYS}",
    )


def proved(context: BackupContext, record: Record) -> Record:
    judged = msgspec.structs.replace(record, verified=ProofResult(made_at(3), True, "", 1.0))
    records.write(context.folder, judged)
    return judged


def test_failed_copy_is_made_with_the_next_job(context: BackupContext, tmp_path: Path) -> None:
    full, dump = make(context, "full"), make(context, "dump")
    archive_segment(context)
    target = tmp_path / "elsewhere"
    target.write_text("no folder")
    done = daily.take_backups(context, [], silent)
    assert [one.is_good for one in done] == [False, False, False]
    assert not any(one.is_finding for one in done)
    assert not list(context.folder.glob(".copying-*"))
    target.unlink()
    done = daily.take_backups(context, [], silent)
    assert [one.step for one in done] == [f"copy {full.id}", f"copy {dump.id}", "copy WAL"]
    assert all(one.is_good for one in done)
    assert not status.read(context).uncopied
    assert [one.step for one in daily.take_backups(context, [], silent)] == ["copy WAL"]


def test_full_backup_is_copied_with_its_incremental_one(
    context: BackupContext,
) -> None:
    full = make(context, "full")
    child = msgspec.structs.replace(
        full, id="incremental_20261125T023000", kind="incremental", parent=full.id,
        created_at=made_at(2) + timedelta(days=1),
    )  # fmt: skip
    records.write(context.folder, child)
    assert [one.id for one in status.read(context).uncopied] == [full.id, child.id]
    copies.copy_backup(context, child)
    assert [one.id for one in status.read(context).uncopied] == [full.id]


def test_steps_that_succeeded_since_then_are_skipped(
    context: BackupContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A location that is down all day does not cost a base backup every 15 minutes."""
    now = datetime.now(UTC)
    for kind in ("full", "dump", "configuration"):
        record = make(context, kind)
        good = ProofResult(now, True, "", 1.0)
        records.write(
            context.folder,
            msgspec.structs.replace(record, created_at=now, verified=good, drilled=good),
        )
    asked: list[str] = []

    def ask(_context: BackupContext, kind: BackupKind, _into: object) -> BackupKind:
        asked.append(kind)
        return kind

    monkeypatch.setattr(daily, "_take", ask)
    done = daily.run(context, date(2026, 11, 24), silent, now - timedelta(minutes=1))
    assert asked == []
    assert not any(one.step.startswith(("verify", "drill")) for one in done)
    assert sum(one.step.startswith("copy") for one in done) == 5
    daily.run(context, date(2026, 11, 24), silent, now + timedelta(minutes=1))
    assert asked == ["incremental", "dump", "configuration"]


def test_expired_backup_is_deleted_locally_first_and_its_copy_later(
    context: BackupContext, tmp_path: Path
) -> None:
    old = [copies.copy_backup(context, make(context, "dump", hour)) for hour in (2, 3)]
    copies.copy_backup(context, proved(context, make(context, "dump", 4)))
    days_of_backups(context)
    place_of_copies, aside = tmp_path / "elsewhere", tmp_path / "aside"
    place_of_copies.rename(aside)
    place_of_copies.write_text("no folder")
    done = {one.step: one for one in daily.prune(context, LATER, silent)}
    assert not done["prune copies"].is_good
    assert all(not (context.folder / one.path).exists() for one in old)
    assert len(records.read(context.folder).of("dump")) == 1
    place_of_copies.unlink()
    aside.rename(place_of_copies)
    assert len(copies.known_copies(context).of("dump")) == 3
    assert all(one.is_good for one in daily.prune(context, LATER, silent))
    names = object_store.list_objects(object_store.open_store(context.settings.backups), "backups/")
    assert list(names) == ["backups/dump_20261124T043000.age"]


def test_failed_deletion_does_not_block_others(context: BackupContext) -> None:
    first, second = make(context, "dump", 2), make(context, "dump", 3)
    proved(context, make(context, "dump", 4))
    days_of_backups(context)
    (context.folder / second.path).unlink()
    (context.folder / second.path).mkdir()
    done = {one.step: one for one in daily.prune(context, LATER, silent)}
    assert not done[f"delete {second.id}"].is_good
    assert done[f"delete {first.id}"].is_good
    assert not (context.folder / first.path).exists()
    assert records.read(context.folder).get(second.id) is not None


def test_wal_is_trimmed_unless_needed_or_a_record_is_unreadable(
    context: BackupContext,
) -> None:
    older = archive_segment(context, "000000010000000000000006")
    needed = archive_segment(context)
    proved(context, make(context, "full"))
    damaged = context.folder / "records" / "full_20261120T023000.json"
    damaged.write_text("{")
    daily.prune(context, LATER, silent)
    assert older.exists()
    damaged.unlink()
    daily.prune(context, LATER, silent)
    assert not older.exists()
    assert needed.exists()


def test_deleting_a_base_backup_keeps_the_wal_that_others_need(context: BackupContext) -> None:
    """Even if Barman's catalog is lost, or never had a fetched backup."""
    make(context, "full", 2)
    proved(context, make(context, "full", 4))
    days_of_backups(context)
    needed = archive_segment(context)
    shutil.rmtree(context.folder / "physical" / "chitlaq" / "meta", ignore_errors=True)
    daily.prune(context, LATER, silent)
    (left,) = context.folder.glob("physical/chitlaq/base/*")
    assert left.name == "20261124T043000"
    assert [one.id for one in records.read(context.folder).of("full")] == ["full_20261124T043000"]
    assert needed.exists()


def test_backup_folder_is_private(context: BackupContext) -> None:
    context.folder.mkdir(parents=True, mode=0o755)
    context.folder.chmod(0o755)
    daily.remove_drafts(context)
    assert context.folder.stat().st_mode & 0o007 == 0
    new = context.folder / "another"
    make_private_folder(new)
    assert new.stat().st_mode & 0o777 == 0o700
    file = context.folder / "file"
    file.touch()
    with pytest.raises(OperatorError, match=r"backups\.folder"):
        make_private_folder(file / "below")


def test_named_kinds_are_taken_in_their_order_and_others_are_refused(
    context: BackupContext,
) -> None:
    day = date(2026, 11, 24)
    assert daily.kinds_to_take(context, ["configuration", "full"], day) == ["full", "configuration"]
    assert daily.kinds_to_take(context, [], day) == daily.kinds_due(context, day)
    with pytest.raises(OperatorError, match="There is no kind ful; there are full"):
        daily.kinds_to_take(context, ["dump", "ful"], day)
