"""Fetching copies: nothing is trusted unproved, and one failure stops nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import obstore
import pytest

from chitlaq.backups import daily
from chitlaq.backups.catalog import records, status
from chitlaq.backups.catalog.records import ProofResult, Record
from chitlaq.backups.context import BackupContext
from chitlaq.backups.offsite import copies, encryption, fetch, object_store
from chitlaq.backups.offsite.remote_copies import open_copies
from chitlaq.backups.wal import archive, ledger
from chitlaq.core.errors import OperatorError
from chitlaq.stack.servers import barman
from tests.backups.machines import OTHER_SYSTEM, archive_segment, fetched, machine, make, segment

ROOT = Path(__file__).parents[3]


@pytest.fixture
def context(tmp_path: Path, key: tuple[str, str]) -> BackupContext:
    return machine(
        tmp_path / "one",
        CHITLAQ_BACKUPS_RECIPIENTS=key[1],
        CHITLAQ_BACKUPS_COPY_TO=str(tmp_path / "elsewhere"),
    )


@pytest.fixture
def there(tmp_path: Path) -> BackupContext:
    """The new machine."""
    return machine(tmp_path / "two")


def brought(
    context: BackupContext, there: BackupContext, identity: str, *, is_all: bool = False
) -> tuple[set[str], dict[str, str]]:
    with open_copies(there, context.settings.backups.copy_to, identity) as remote:
        found = fetch.fetch_backups(there, remote, is_all=is_all)
        return {one.id for one in found}, remote.failed


def spoil(context: BackupContext, name: str) -> None:
    path = Path(context.settings.backups.copy_to) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_newest_of_each_kind_is_fetched_and_all_on_request(
    context: BackupContext, there: BackupContext, key: tuple[str, str]
) -> None:
    for hour in (2, 3):
        copies.copy_backup(context, make(context, "dump", hour))
        copies.copy_backup(context, make(context, "full", hour))
    newest = {"dump_20261124T033000", "full_20261124T033000"}
    assert brought(context, there, key[0]) == (newest, {})
    every = {one.id for one in records.read(context.folder).good}
    assert brought(context, there, key[0], is_all=True) == (every, {})


def test_next_newest_is_fetched_if_the_newest_is_damaged(
    context: BackupContext, there: BackupContext, key: tuple[str, str]
) -> None:
    for hour in (2, 3):
        copies.copy_backup(context, make(context, "dump", hour))
    archive_segment(context)
    copies.copy_backup(context, make(context, "full"))
    copies.copy_wal(context)
    spoil(context, "backups/dump_20261124T033000.age")
    found, failed = brought(context, there, key[0])
    assert found == {"dump_20261124T023000", "full_20261124T023000"}
    assert failed.keys() == {"backups/dump_20261124T033000.age"}
    assert len(archive.archived_files(barman.folder(there.home, there.settings))) == 1
    assert (there.folder / "latest_backup.sql").resolve().stem == "dump_20261124T023000"


def test_nothing_is_fetched_without_space_for_everything_needed(
    context: BackupContext,
    there: BackupContext,
    key: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copies.copy_backup(context, make(context, "dump"))
    usage = shutil.disk_usage(context.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=200_500_000))
    with pytest.raises(OperatorError, match="Fetching needs about"):
        brought(context, there, key[0])
    assert not records.read(there.folder).good


def test_proof_results_of_another_machine_do_not_count_here(
    context: BackupContext, there: BackupContext, key: tuple[str, str]
) -> None:
    good = ProofResult(datetime.now(UTC), True, "", 1.0)
    record = msgspec.structs.replace(make(context, "dump"), verified=good, drilled=good)
    copies.copy_backup(context, record)
    brought(context, there, key[0])
    (back,) = records.read(there.folder).good
    assert back.verified is None
    assert back.drilled is None


@pytest.mark.parametrize("is_known_bad", [True, False])
def test_damaged_backup_is_replaced_by_its_copy(
    context: BackupContext, key: tuple[str, str], *, is_known_bad: bool
) -> None:
    """An identical local backup keeps its proof results."""
    record = copies.copy_backup(context, make(context, "dump"))
    path = context.folder / record.path
    whole = path.read_bytes()
    bad = ProofResult(datetime.now(UTC), False, "changed", 1.0)
    if is_known_bad:
        records.write(context.folder, msgspec.structs.replace(record, verified=bad))
    else:
        path.write_bytes(b"something else")
    brought(context, context, key[0])
    (back,) = records.read(context.folder).good
    assert path.read_bytes() == whole
    assert back.verified is None
    good = msgspec.structs.replace(back, verified=ProofResult(datetime.now(UTC), True, "", 1.0))
    records.write(context.folder, good)
    brought(context, context, key[0])
    assert list(records.read(context.folder).good) == [good]


def test_damaged_wal_segment_is_replaced_by_its_copy(
    context: BackupContext, key: tuple[str, str]
) -> None:
    path = archive_segment(context)
    folder = barman.folder(context.home, context.settings)
    ledger.add(folder, {path.name: records.digest(path)})
    copies.copy_backup(context, make(context, "full"))
    copies.copy_wal(context)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    fetched(context, context.settings.backups.copy_to, key[0])
    assert path.read_bytes() == whole


def test_backup_is_not_fetched_beside_the_wal_of_another_server(
    context: BackupContext, there: BackupContext, key: tuple[str, str]
) -> None:
    copies.copy_backup(context, make(context, "full"))
    kept = archive_segment(there, content=segment(OTHER_SYSTEM))
    found, failed = brought(context, there, key[0])
    assert not found
    (why,) = failed.values()
    assert "from another server" in why
    assert kept.read_bytes() == segment(OTHER_SYSTEM)


FORGED: dict[str, Callable[[Record], Record]] = {
    "path up": lambda one: msgspec.structs.replace(one, path="../../cron.sql"),
    "path elsewhere": lambda one: msgspec.structs.replace(one, path="/etc/cron.d/x"),
    "path of another": lambda one: msgspec.structs.replace(one, path="records/x.json"),
    "another id": lambda one: msgspec.structs.replace(one, id="../../x", path="../../x.sql"),
    "segment": lambda one: msgspec.structs.replace(one, begin_wal="../../../../x"),
    "folder": lambda one: msgspec.structs.replace(
        one, kind="full", path="physical/chitlaq/base/../../../../x/data"
    ),
}


@pytest.mark.parametrize("how", FORGED)
def test_record_pointing_outside_the_folder_is_rejected(
    context: BackupContext, there: BackupContext, key: tuple[str, str], tmp_path: Path, how: str
) -> None:
    """Anyone with the public key and write access could have put anything there."""
    record = copies.copy_backup(context, make(context, "dump"))
    make_whole = copies.copy_backup(context, make(context, "dump", 1))
    forged = msgspec.json.encode(FORGED[how](record))
    name = f"records/{record.id}.age"
    obstore.put(
        object_store.open_store(context.settings.backups),
        name,
        encryption.encrypt(forged, [key[1]]),
    )
    before = {path for path in tmp_path.rglob("*") if there.home.root not in path.parents}
    found, failed = brought(context, there, key[0])
    assert found == {make_whole.id}
    assert failed.keys() == {name}
    after = {path for path in tmp_path.rglob("*") if there.home.root not in path.parents}
    assert after - before <= {there.home.root}


def test_archive_that_would_extract_outside_its_folder_is_refused(
    context: BackupContext, there: BackupContext, key: tuple[str, str], tmp_path: Path
) -> None:
    record = make(context, "full")
    data = context.folder / record.path
    (data / "away").symlink_to(tmp_path)
    copies.copy_backup(context, record)
    found, failed = brought(context, there, key[0])
    assert not found
    assert failed.keys() == {f"backups/{record.id}.age"}
    assert not (there.folder / record.path).exists()


_WORK = """
import sys
from pathlib import Path
from chitlaq.backups.catalog import records
from chitlaq.backups.offsite import copies, fetch
from chitlaq.backups.offsite.remote_copies import open_copies
from tests.backups.machines import machine
what, root, url, recipient, identity = sys.argv[1:]
context = machine(Path(root), CHITLAQ_BACKUPS_RECIPIENTS=recipient, CHITLAQ_BACKUPS_COPY_TO=url)
if what == "copy":
    for record in records.read(context.folder).good:
        copies.copy_backup(context, record)
    copies.copy_wal(context)
else:
    with open_copies(context, url, identity) as remote:
        fetch.fetch_backups(context, remote)
        sys.exit(3 if remote.failed else 0)
"""


def start(
    what: str, one: BackupContext, url: str, key: tuple[str, str], limit: str = ""
) -> list[str]:
    work = [sys.executable, "-c", _WORK, what, str(one.home.root), url, key[1], key[0]]
    return ["bash", "-c", f'{limit} exec "$@"', "bash", *work]


def killed_when(words: list[str], condition: Callable[[], object]) -> None:
    """Run a program and kill it as soon as a condition holds."""
    process = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        while not condition():
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.0005)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def large(context: BackupContext) -> list[Record]:
    """Backups that take a while to copy, and some WAL."""
    made = [make(context, "full"), make(context, "dump")]
    for number in range(7, 12):
        archive_segment(context, f"0000000100000000{number:08X}", segment(content=b"\x07"))
    big = context.folder / made[1].path
    big.write_bytes(os.urandom(60_000_000))
    made[1] = msgspec.structs.replace(made[1], sha256=records.digest(big))
    records.write(context.folder, made[1])
    return made


@pytest.mark.parametrize("at", ["on its way", "there"])
def test_killed_copy_is_repeated_cleanly(
    context: BackupContext, there: BackupContext, key: tuple[str, str], at: str
) -> None:
    made = large(context)
    target = Path(context.settings.backups.copy_to)
    condition = {
        "on its way": lambda: list(context.folder.glob(".copying-*/copy.age")),
        "there": lambda: list(target.glob("log/*/*.age")),
    }[at]
    killed_when(start("copy", context, str(target), key), condition)
    done = daily.take_backups(context, [], lambda _: None)
    assert all(one.is_good for one in done), done
    assert not list(context.folder.glob(".copying-*"))
    assert {one.id for one in fetched(there, str(target), key[0])} == {one.id for one in made}
    assert len(archive.archived_files(barman.folder(there.home, there.settings))) == 5


@pytest.mark.parametrize("at", ["on its way", "log"])
def test_killed_fetch_is_repeated_cleanly(
    context: BackupContext, there: BackupContext, key: tuple[str, str], at: str
) -> None:
    made = large(context)
    assert all(one.is_good for one in daily.take_backups(context, [], lambda _: None))
    condition = {
        "on its way": lambda: list(there.folder.glob(".copying-*/plain*")),
        "log": lambda: list(there.folder.glob("physical/*/wals/*/*")),
    }[at]
    killed_when(start("fetch", there, context.settings.backups.copy_to, key), condition)
    brought_ = fetched(there, context.settings.backups.copy_to, key[0])
    assert {one.id for one in brought_} == {one.id for one in made}
    base = barman.folder(there.home, there.settings)
    assert len(archive.archived_files(base)) == 5
    assert ledger.read(base) == {
        path.name: records.digest(path) for path in archive.archived_files(base)
    }
    daily.remove_drafts(there)
    assert not list(there.folder.glob(".copying-*"))


@pytest.mark.parametrize("what", ["copy", "fetch"])
def test_full_disk_leaves_no_partial_file_that_looks_complete(
    context: BackupContext, there: BackupContext, key: tuple[str, str], what: str
) -> None:
    """Writing fails midway: files may not exceed 20 MB."""
    made = large(context)
    target = context.settings.backups.copy_to
    if what == "fetch":
        assert all(one.is_good for one in daily.take_backups(context, [], lambda _: None))
    one = context if what == "copy" else there
    done = subprocess.run(
        start(what, one, target, key, "ulimit -f 20000;"),
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in {1, 3}, done.stderr
    assert not list(one.folder.glob(".copying-*"))
    if what == "copy":
        assert made[1].id in {record.id for record in status.read(context).uncopied}
        assert all(one.is_good for one in daily.take_backups(context, [], lambda _: None))
    else:
        assert made[1].id not in {record.id for record in records.read(there.folder).good}
    assert {one.id for one in fetched(there, target, key[0])} == {one.id for one in made}
