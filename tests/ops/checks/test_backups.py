"""The checks on backups, which judge their records."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import BackupKind, OffsiteCopy, ProofResult, Record
from chitlaq.core.installation.home import Home
from chitlaq.ops.checks import model
from tests.conftest import Stack
from tests.ops.checks.run_check import run_check

RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
OK, WARNING, CRITICAL = model.Verdict.OK, model.Verdict.WARNING, model.Verdict.CRITICAL


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def ago(hours: float) -> datetime:
    return datetime.now(UTC) - timedelta(hours=hours)


def good(hours: float) -> ProofResult:
    return ProofResult(ago(hours), True, "as it was", 12.0, 3.0)


def bad(hours: float) -> ProofResult:
    return ProofResult(ago(hours), False, "12 rows are missing", 12.0)


def keep(home: Home, kind: BackupKind, hours: float, **fields: Any) -> Record:
    name = {"dump": "chitlaq", "configuration": "config"}.get(kind, kind)
    made = ago(hours)
    own = f"{name}_{made:%Y%m%dT%H%M%S%f}"
    record = Record(own, kind, made, 2.0, own, 1000, "0" * 64)
    record = msgspec.structs.replace(record, **fields)
    folder = home.root / "backups"
    records.write(folder, record)
    files = [folder / own]
    if record.is_physical:
        files = [folder / own / "backup_manifest", folder / own / "base" / "5" / "1259"]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x" * (1000 // len(files)))
        os.utime(file, (made.timestamp(), made.timestamp()))
    return record


async def say(home: Home, name: str, **environment: str) -> Any:
    folder = {"CHITLAQ_BACKUPS_FOLDER": str(home.root / "backups")}
    return await run_check(home, name, **(folder | environment))


@pytest.mark.parametrize(("name", "kind"), [("database", "dump"), ("physical", "full")])
@pytest.mark.parametrize(
    ("hours", "drilled", "verdict"),
    [
        (1, good(1), OK),
        (1, None, WARNING),
        (1, bad(1), CRITICAL),
        (30, good(1), WARNING),
        (60, good(1), CRITICAL),
        (1, good(30), WARNING),
        (1, good(60), CRITICAL),
    ],
)
async def test_backup_is_ok_if_it_was_restored_recently(
    home: Home,
    name: str,
    kind: BackupKind,
    hours: float,
    drilled: ProofResult | None,
    verdict: model.Verdict,
) -> None:
    keep(home, kind, hours, verified=good(1), drilled=drilled)
    assert (await say(home, f"backup.{name}")).verdict == verdict


async def test_drill_of_an_earlier_backup_counts_until_the_newest_is_drilled(home: Home) -> None:
    keep(home, "dump", 20, drilled=good(20))
    keep(home, "dump", 1, verified=good(1))
    assert (await say(home, "backup.database")).verdict == OK


async def test_missing_backup_is_critical_whatever_files_there_are(home: Home) -> None:
    folder = home.root / "backups"
    folder.mkdir(parents=True)
    (folder / "chitlaq_20261123T023000.sql").write_bytes(b"x" * 1000)
    (folder / "config_20261123T023000.tar.gz").write_bytes(b"x" * 1000)
    for name in ("database", "physical", "configuration"):
        found = await say(home, f"backup.{name}")
        assert (found.verdict, found.values["backups"].value) == (CRITICAL, 0)


async def test_one_bad_backup_is_critical_beside_good_ones(home: Home) -> None:
    keep(home, "dump", 30, verified=bad(1), drilled=good(29))
    keep(home, "dump", 1, verified=good(1), drilled=good(1))
    found = await say(home, "backup.database")
    assert found.verdict == CRITICAL
    assert "12 rows are missing" in found.summary


@pytest.mark.parametrize(
    ("name", "kind"),
    [("database", "dump"), ("physical", "full"), ("configuration", "configuration")],
)
async def test_record_is_no_backup_without_its_files(
    home: Home, name: str, kind: BackupKind
) -> None:
    wanted = {"CHITLAQ_BACKUPS_RECIPIENTS": RECIPIENT}
    record = keep(home, kind, 1, verified=good(0.8), drilled=good(0.8))
    path = home.root / "backups" / record.path
    file = path / "base" / "5" / "1259" if record.is_physical else path
    assert (await say(home, f"backup.{name}", **wanted)).verdict == OK

    file.touch()
    found = await say(home, f"backup.{name}", **wanted)
    assert found.verdict == WARNING
    assert f"`chitlaq backup verify {record.id}`" in found.summary
    os.utime(file, (0, 0))

    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    found = await say(home, f"backup.{name}", **wanted)
    assert found.verdict == CRITICAL
    assert "999 bytes instead of 1,000" in found.summary
    file.write_bytes(whole)
    os.utime(file, (0, 0))

    path.rename(path.with_name("aside"))
    found = await say(home, f"backup.{name}", **wanted)
    assert found.verdict == CRITICAL
    assert f"{path} is missing" in found.summary
    path.with_name("aside").rename(path)
    assert (await say(home, f"backup.{name}", **wanted)).verdict == OK


async def test_damaged_record_is_critical_for_its_own_kind_only(home: Home) -> None:
    keep(home, "dump", 1, verified=good(1), drilled=good(1))
    record = keep(home, "full", 1, verified=good(1), drilled=good(1))
    path = home.root / "backups" / "records" / f"{record.id}.json"
    path.write_bytes(path.read_bytes().replace(b'"bytes":1000', b'"bytes":1001'))
    assert (await say(home, "backup.database")).verdict == OK
    found = await say(home, "backup.physical")
    assert found.verdict == CRITICAL
    assert record.id in found.summary


async def test_configuration_without_secrets_is_for_the_operator_to_decide(home: Home) -> None:
    keep(home, "configuration", 1)
    assert (await say(home, "backup.configuration")).verdict == WARNING
    keep(home, "configuration", 0.5, verified=good(0.5))
    found = await say(home, "backup.configuration")
    assert found.verdict == OK
    assert "without secrets" in found.summary
    assert "chitlaq backup key" in (await say(home, "installation.decisions")).summary
    found = await say(home, "backup.configuration", CHITLAQ_BACKUPS_RECIPIENTS=RECIPIENT)
    assert (found.verdict, "without secrets" in found.summary) == (OK, False)


async def test_copies_are_judged_if_configured(home: Home, tmp_path: Path) -> None:
    assert (await say(home, "backup.copies")).verdict == model.Verdict.SKIPPED
    where = str(tmp_path / "elsewhere")
    wished = {"CHITLAQ_BACKUPS_COPY_TO": where, "CHITLAQ_BACKUPS_ARCHIVE": "off"}
    assert (await say(home, "backup.copies", **wished)).verdict == CRITICAL
    keep(home, "dump", 30, copied=OffsiteCopy(where, ago(30), 10, "0" * 64))
    assert (await say(home, "backup.copies", **wished)).verdict == OK
    newest = keep(home, "dump", 1)
    found = await say(home, "backup.copies", **wished)
    assert found.verdict == CRITICAL
    assert newest.id in found.summary
    keep(home, "dump", 0.5, copied=OffsiteCopy("/another/place", ago(0.5), 10, "0" * 64))
    assert (await say(home, "backup.copies", **wished)).verdict == CRITICAL


async def test_wal_archive_is_judged_if_there_is_one(home: Home) -> None:
    off = {"CHITLAQ_BACKUPS_ARCHIVE": "off"}
    for name in ("backup.archive", "backup.physical"):
        assert (await say(home, name, **off)).verdict == model.Verdict.SKIPPED
    # It is on, but PostgreSQL is down.
    assert (await say(home, "backup.archive")).verdict == model.Verdict.UNKNOWN


async def test_wal_without_a_receiver_is_critical(stack: Stack) -> None:
    found = await run_check(
        Home(stack.home), "backup.archive", **stack.environment | {"CHITLAQ_BACKUPS_ARCHIVE": "on"}
    )
    assert found.verdict == CRITICAL
    assert "nothing receives the WAL" in found.summary


@pytest.mark.parametrize(
    ("hours", "verdict"), [(None, CRITICAL), (0.1, OK), (2, WARNING), (7, CRITICAL)]
)
async def test_off_site_wal_is_judged_by_its_age(
    home: Home, tmp_path: Path, hours: float | None, verdict: model.Verdict
) -> None:
    where = str(tmp_path / "elsewhere")
    keep(home, "dump", 1, copied=OffsiteCopy(where, ago(1), 10, "0" * 64))
    if hours is not None:
        note = home.backup / "log-copied"
        note.parent.mkdir(parents=True)
        note.write_text(where)
        os.utime(note, (ago(hours).timestamp(),) * 2)
    assert (await say(home, "backup.copies", CHITLAQ_BACKUPS_COPY_TO=where)).verdict == verdict


async def test_unreadable_backup_folder_is_unknown(home: Home) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may see everything")
    keep(home, "dump", 1, drilled=good(1))
    folder = home.root / "backups" / "records"
    folder.chmod(0o000)
    try:
        for name in ("database", "configuration"):
            assert (await say(home, f"backup.{name}")).verdict == model.Verdict.UNKNOWN
    finally:
        folder.chmod(0o700)
