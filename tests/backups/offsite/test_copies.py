"""Off-site copies in a folder and in S3: encrypted, read back, owned by one machine, pruned by the policy."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import obstore
import pytest

from chitlaq.backups import daily
from chitlaq.backups.catalog import records, status
from chitlaq.backups.catalog.records import BackupKind
from chitlaq.backups.context import BackupContext
from chitlaq.backups.offsite import copies, encryption, object_store
from chitlaq.backups.proof import verify
from chitlaq.backups.wal import archive, ledger
from chitlaq.core.errors import OperatorError
from chitlaq.stack.servers import barman
from tests.backups.machines import (
    BUCKET,
    OTHER_SYSTEM,
    SEGMENT,
    archive_segment,
    fetched,
    machine,
    made_at,
    make,
    segment,
)
from tests.conftest import free_ports


def test_copies_are_fetched_unchanged_on_another_machine(
    context: BackupContext, where: dict[str, str], key: tuple[str, str], tmp_path: Path
) -> None:
    kinds: tuple[BackupKind, ...] = ("full", "dump")
    made = [make(context, kind) for kind in kinds]
    archived = archive_segment(context)
    assert {one.id for one in status.read(context).uncopied} == {one.id for one in made}
    for record in made:
        copied = copies.copy_backup(context, record).copied
        assert copied is not None
        assert copied.where == context.settings.backups.copy_to
    assert copies.copy_wal(context) == 1
    assert copies.copy_wal(context) == 0
    assert not status.read(context).uncopied

    there = machine(tmp_path / "two", **where)
    brought = fetched(there, context.settings.backups.copy_to, key[0])
    assert {one.id for one in brought} == {one.id for one in made}
    for record in made:
        paths = [path for path in (context.folder / record.path).rglob("*") if path.is_file()]
        for path in paths or [context.folder / record.path]:
            assert (
                there.folder / path.relative_to(context.folder)
            ).read_bytes() == path.read_bytes()
    assert (there.folder / made[0].path / "pg_wal").is_dir()
    (back,) = archive.archived_files(barman.folder(there.home, there.settings))
    assert back.read_bytes() == archived.read_bytes()
    assert ledger.read(barman.folder(there.home, there.settings)) == {SEGMENT: records.digest(back)}
    # A second run copies nothing again.
    assert len(fetched(there, context.settings.backups.copy_to, key[0])) == 2


def test_copy_reveals_nothing_of_its_content(
    context: BackupContext, where: dict[str, str], tmp_path: Path
) -> None:
    record = make(context, "dump")
    copies.copy_backup(context, record)
    there = machine(tmp_path / "two", **where)
    for private in (encryption.generate_keys()[0], "AGE-SECRET-KEY-1NONSENSE"):
        with pytest.raises(OperatorError, match="key"):
            fetched(there, context.settings.backups.copy_to, private)
    assert not records.read(there.folder).good
    assert not (there.folder / record.path).exists()


def test_deleted_copy_is_gone(
    context: BackupContext, where: dict[str, str], key: tuple[str, str], tmp_path: Path
) -> None:
    record = copies.copy_backup(context, make(context, "dump"))
    copies.delete(context, record)
    copies.delete(context, record)
    with pytest.raises(OperatorError, match="holds no copies"):
        fetched(machine(tmp_path / "two", **where), context.settings.backups.copy_to, key[0])


def log_elsewhere(context: BackupContext) -> list[str]:
    """The last digits of the segments that are off-site."""
    names = object_store.list_objects(object_store.open_store(context.settings.backups), "log/")
    return sorted(name.removesuffix(".age")[-3:] for name in names)


def test_wal_copies_are_deleted_when_no_backup_needs_them(context: BackupContext) -> None:
    folder = barman.folder(context.home, context.settings)
    for number in range(4, 10):
        archive_segment(context, f"0000000100000000{number:08X}")
    (folder / "wals" / "00000002.history").write_text("1\t0/5000028\tno reason\n")
    copies.copy_wal(context)
    assert copies.trim_wal(context) == 0
    copies.copy_backup(context, make(context, "full"))
    assert copies.trim_wal(context) == 3
    assert log_elsewhere(context) == ["007", "008", "009", "ory"]
    assert copies.trim_wal(context) == 0
    assert copies.copy_wal(context) == 0


def test_wal_copies_are_kept_beside_an_unknown_base_backup(
    context: BackupContext,
) -> None:
    """An unknown backup may need any WAL: this machine may have replaced another."""
    archive_segment(context, "000000010000000000000004")
    copies.copy_wal(context)
    copies.copy_backup(context, make(context, "full"))
    target = object_store.open_store(context.settings.backups)
    obstore.put(target, "records/full_20261120T023000.age", b"sealed")
    assert copies.trim_wal(context) == 0
    object_store.delete(target, "records/full_20261120T023000.age")
    assert copies.trim_wal(context) == 1


def test_wal_of_another_server_with_the_same_names_is_copied_too(
    context: BackupContext, where: dict[str, str], key: tuple[str, str], tmp_path: Path
) -> None:
    """A dump was restored: the new server numbers its segments from the start."""
    archive_segment(context)
    assert copies.copy_wal(context) == 1
    shutil.rmtree(barman.folder(context.home, context.settings))
    archive_segment(context, content=segment(OTHER_SYSTEM))
    assert copies.copy_wal(context) == 1
    copies.copy_backup(context, make(context, "full", system=OTHER_SYSTEM))
    there = machine(tmp_path / "two", **where)
    fetched(there, context.settings.backups.copy_to, key[0])
    (back,) = archive.archived_files(barman.folder(there.home, there.settings))
    assert archive.segment_system_identifier(back) == OTHER_SYSTEM


def test_wal_of_another_server_is_never_used_for_a_backup(context: BackupContext) -> None:
    path = archive_segment(context, content=segment(OTHER_SYSTEM))
    ledger.add(barman.folder(context.home, context.settings), {path.name: records.digest(path)})
    theirs, ours = make(context, "full", 2, system=OTHER_SYSTEM), make(context, "full", 3)
    assert verify.verify_wal(context, theirs, verify.AlreadyVerified()) == 1
    with pytest.raises(OperatorError, match="is from another server"):
        verify.verify_wal(context, ours, verify.AlreadyVerified())


def content_of(context: BackupContext) -> dict[str, bytes]:
    target = object_store.open_store(context.settings.backups)
    return {
        name: bytes(obstore.get(target, name).bytes())
        for name in object_store.list_objects(target, "")
    }


def test_disaster_rehearsal_changes_nothing_off_site(
    context: BackupContext, where: dict[str, str], key: tuple[str, str], tmp_path: Path
) -> None:
    archive_segment(context)
    for kind in ("full", "dump"):
        copies.copy_backup(context, make(context, kind))
    copies.copy_wal(context)
    before = content_of(context)
    there = machine(tmp_path / "two", CHITLAQ_BACKUPS_RECIPIENTS=key[1], **where)
    dump = fetched(there, context.settings.backups.copy_to, key[0])[-1]
    archive_segment(there, "000000020000000000000008")
    rule = daily.retention_policy(there)
    for work in (
        lambda: copies.copy_backup(there, make(there, "dump", 4)),
        lambda: copies.copy_wal(there),
        lambda: copies.delete(there, dump),
        lambda: copies.prune(there, rule, made_at(2) + timedelta(days=400)),
        lambda: copies.trim_wal(there),
    ):
        with pytest.raises(OperatorError, match=r"of another machine.*chitlaq backup take-over"):
            work()
    assert content_of(context) == before
    assert "another machine" in status.read(there).refusal
    # Production is unaffected.
    archive_segment(context, "000000010000000000000008")
    assert copies.copy_wal(context) == 1
    assert not status.read(context).refusal


def test_after_take_over_the_new_machine_copies_and_the_old_one_is_refused(
    context: BackupContext, where: dict[str, str], key: tuple[str, str], tmp_path: Path
) -> None:
    archive_segment(context)
    copies.copy_backup(context, make(context, "full"))
    copies.copy_wal(context)
    there = machine(tmp_path / "two", CHITLAQ_BACKUPS_RECIPIENTS=key[1], **where)
    fetched(there, context.settings.backups.copy_to, key[0])
    copies.take_over(there)
    # What was fetched from there is not copied again.
    assert copies.copy_wal(there) == 0
    assert not status.read(there).uncopied
    archive_segment(there, "000000020000000000000008")
    assert copies.copy_wal(there) == 1
    with pytest.raises(OperatorError, match="another machine"):
        copies.copy_wal(context)


def test_foreign_wal_file_at_the_location_is_reported(
    context: BackupContext, where: dict[str, str], key: tuple[str, str], tmp_path: Path
) -> None:
    """Two machines branched off the same timeline: neither mistakes the other's files for its own."""
    archive_segment(context)
    copies.copy_backup(context, make(context, "full"))
    copies.copy_wal(context)
    there = machine(tmp_path / "two", CHITLAQ_BACKUPS_RECIPIENTS=key[1], **where)
    fetched(there, context.settings.backups.copy_to, key[0])
    copies.take_over(there)
    for one in (there, context):
        folder = barman.folder(one.home, one.settings)
        (folder / "wals" / "00000002.history").write_text(f"1\t0/8000000\t{one.home.root}\n")
        archive_segment(one, "000000020000000000000008")
    assert copies.copy_wal(there) == 2
    object_store.take_over(context)
    (context.home.backup / "log-copied").unlink()
    with pytest.raises(
        OperatorError, match="2 WAL files at the off-site location were not copied from here"
    ):
        copies.copy_wal(context)
    assert status.read(context).wal_copied_at is None
    copies.take_over(context)
    assert copies.copy_wal(context) == 2
    third = machine(tmp_path / "three", **where)
    fetched(third, context.settings.backups.copy_to, key[0])
    history = barman.folder(third.home, third.settings) / "wals" / "00000002.history"
    assert str(context.home.root) in history.read_text()


def test_machine_name_is_unique_and_stable(context: BackupContext, tmp_path: Path) -> None:
    assert object_store.machine_id(context.home) == object_store.machine_id(context.home)
    assert object_store.machine_id(context.home) != object_store.machine_id(
        machine(tmp_path / "two").home
    )


def test_nothing_is_copied_unencrypted(context: BackupContext) -> None:
    record = make(context, "dump")
    settings = msgspec.structs.replace(
        context.settings, backups=msgspec.structs.replace(context.settings.backups, recipients=())
    )
    with pytest.raises(OperatorError, match="always encrypted"):
        copies.copy_backup(BackupContext(context.home, settings), record)
    assert status.read(context).uncopied


@pytest.mark.parametrize(
    ("recipient", "complaint"),
    [
        ("age1nonsense", "not a public age key"),
        (encryption.generate_keys()[0], "private key: remove it"),
    ],
    ids=["nonsense", "private"],
)
def test_invalid_key_is_refused_and_named(recipient: str, complaint: str) -> None:
    with pytest.raises(OperatorError, match=complaint):
        encryption.parse_recipients([recipient])


def test_unreachable_location_is_reported_and_nothing_counts_as_copied(
    tmp_path: Path, key: tuple[str, str]
) -> None:
    (port,) = free_ports(1)
    context = machine(
        tmp_path / "one",
        CHITLAQ_BACKUPS_RECIPIENTS=key[1],
        CHITLAQ_BACKUPS_COPY_TO=f"s3://{BUCKET}/x",
        CHITLAQ_BACKUPS_S3_ENDPOINT=f"http://127.0.0.1:{port}",
        CHITLAQ_BACKUPS_S3_REGION="us-east-1",
        CHITLAQ_BACKUPS_S3_ACCESS_KEY_ID="a",
        CHITLAQ_BACKUPS_S3_SECRET_ACCESS_KEY="b",
    )
    record = make(context, "dump")
    with pytest.raises(OperatorError, match="does not answer"):
        copies.copy_backup(context, record)
    (kept,) = records.read(context.folder).good
    assert kept.copied is None
    assert not list(context.folder.glob(".copying-*"))


def test_incomplete_copy_does_not_count(
    context: BackupContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The location accepts the data silently and stores something else."""
    record = make(context, "dump")
    put = obstore.put

    def lossy(store: Any, name: str, path: Path | bytes) -> Any:
        if isinstance(path, bytes):
            return put(store, name, path)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        return put(store, name, bytes(content))

    monkeypatch.setattr(obstore, "put", lossy)
    with pytest.raises(OperatorError, match="was read back with other content"):
        copies.copy_backup(context, record)
    assert status.read(context).uncopied


def test_incomplete_wal_copy_is_repeated(
    context: BackupContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even one left by a kill between writing and reading back: it is known to be ours."""
    archive_segment(context)
    copies.copy_backup(context, make(context, "full"))
    put = obstore.put
    with monkeypatch.context() as patched:
        patched.setattr(obstore, "put", lambda store, name, _: put(store, name, b"half"))
        patched.setattr(object_store, "_owner", lambda _: object_store.machine_id(context.home))
        with pytest.raises(OperatorError, match="was read back with other content"):
            copies.copy_wal(context)
    assert status.read(context).wal_copied_at is None
    assert copies.copy_wal(context) == 1
    assert copies.copy_wal(context) == 0


def test_wal_file_archived_since_it_was_listed_is_still_read(
    context: BackupContext,
) -> None:
    """WAL is archived while a backup is drilled."""
    path = archive_segment(context)
    folder = barman.folder(context.home, context.settings)
    for seen in (SEGMENT, f"{SEGMENT}.partial"):
        assert archive.content_digest(folder / "streaming" / seen) == archive.content_digest(path)
    with pytest.raises(FileNotFoundError):
        archive.content_digest(folder / "streaming" / "000000010000000000000008")


def test_leftovers_of_a_killed_copy_do_no_harm(
    context: BackupContext, where: dict[str, str], key: tuple[str, str], tmp_path: Path
) -> None:
    record = copies.copy_backup(context, make(context, "full"))
    there = machine(tmp_path / "two", **where)
    half = (there.folder / record.path).with_name("data.draft")
    half.mkdir(parents=True)
    (half / "base").write_text("half a file where a folder will be")
    (there.folder / ".copying-killed").mkdir()
    assert len(fetched(there, context.settings.backups.copy_to, key[0])) == 1
    assert not half.exists()
    assert (there.folder / record.path / "base" / "1").is_dir()
    daily.remove_drafts(there)
    assert not list(there.folder.glob(".copying-*"))


@pytest.mark.parametrize("url", ["", "relative/folder", "ftp://somewhere/x"])
def test_invalid_location_is_refused(tmp_path: Path, url: str) -> None:
    context = machine(tmp_path / "one", CHITLAQ_BACKUPS_COPY_TO=url)
    with pytest.raises(OperatorError, match="s3://bucket/prefix"):
        object_store.open_store(context.settings.backups)
