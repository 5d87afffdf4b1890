"""Copies elsewhere: in a folder and in an S3, encrypted, read back, brought home whole or not at all."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import msgspec
import obstore
import pytest
import zstandard
from moto.server import ThreadedMotoServer

from chitlaq.backups import daily, elsewhere, keys, log, records, status
from chitlaq.backups.place import Place
from chitlaq.backups.records import Kind, Record
from chitlaq.core import settings as configuration
from chitlaq.core.errors import OperatorError
from chitlaq.core.home import Home
from chitlaq.stack import barman
from tests.conftest import free_ports

BUCKET = "vault"
SEGMENT = "000000010000000000000007"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A server that speaks S3, with an empty bucket."""
    (port,) = free_ports(1)
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    try:
        boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
        ).create_bucket(Bucket=BUCKET)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()


@pytest.fixture(scope="module")
def key() -> tuple[str, str]:
    return keys.new()


@pytest.fixture(params=["folder", "s3"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The settings that name a place of copies, new for each test."""
    if request.param == "folder":
        return {"CHITLAQ_BACKUPS_COPY_TO": str(tmp_path / "elsewhere")}
    return {
        "CHITLAQ_BACKUPS_COPY_TO": f"s3://{BUCKET}/{tmp_path.name}",
        "CHITLAQ_BACKUPS_S3_ENDPOINT": request.getfixturevalue("s3"),
        "CHITLAQ_BACKUPS_S3_REGION": "us-east-1",
        "CHITLAQ_BACKUPS_S3_ACCESS_KEY_ID": "a",
        "CHITLAQ_BACKUPS_S3_SECRET_ACCESS_KEY": "b",
    }


def machine(root: Path, **settings: str) -> Place:
    home = Home(root)
    folder = {"CHITLAQ_BACKUPS_FOLDER": str(root / "backups"), "CHITLAQ_HOME": str(root)}
    return Place(home, configuration.load(home, {**folder, **settings}))


@pytest.fixture
def here(tmp_path: Path, where: dict[str, str], key: tuple[str, str]) -> Place:
    return machine(tmp_path / "one", CHITLAQ_BACKUPS_RECIPIENTS=key[1], **where)


def make(here: Place, kind: Kind) -> Record:
    """A backup with any content."""
    moment = datetime(2026, 11, 24, 2, 30, tzinfo=UTC)
    name = f"{kind}_20261124T023000"
    path = f"physical/chitlaq/base/{name}/data" if kind == "full" else f"{name}.sql"
    target = here.folder / path
    content = random.Random(name).randbytes(300_000)
    if kind == "full":
        (target / "base" / "1").mkdir(parents=True)
        (target / "pg_wal").mkdir()
        (target / "base" / "1" / "16384").write_bytes(content)
        file = target / "backup_manifest"
        file.write_text("{}")
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        file = target
    record = Record(name, kind, moment, 1.0, path, 300_000, records.digest(file))
    records.write(here.folder, record)
    return record


def archive_segment(here: Place) -> Path:
    folder = barman.folder(here.home, here.settings)
    path = folder / "wals" / SEGMENT[:16] / SEGMENT
    path.parent.mkdir(parents=True)
    path.write_bytes(zstandard.compress(b"\1" * log.SEGMENT_BYTES))
    return path


def test_what_is_copied_comes_back_as_it_was_on_another_machine(
    here: Place, where: dict[str, str], key: tuple[str, str], tmp_path: Path
) -> None:
    kinds: tuple[Kind, ...] = ("full", "dump")
    made = [make(here, kind) for kind in kinds]
    segment = archive_segment(here)
    assert {one.id for one in status.look(here).uncopied} == {one.id for one in made}
    for record in made:
        copied = elsewhere.copy(here, record).copied
        assert copied is not None
        assert copied.where == here.settings.backups.copy_to
    assert elsewhere.copy_log(here) == 1
    assert elsewhere.copy_log(here) == 0
    assert not status.look(here).uncopied

    there = machine(tmp_path / "two", **where)
    fetched = elsewhere.fetch(there, here.settings.backups.copy_to, key[0])
    assert {one.id for one in fetched} == {one.id for one in made}
    for record in made:
        paths = [path for path in (here.folder / record.path).rglob("*") if path.is_file()]
        for path in paths or [here.folder / record.path]:
            assert (there.folder / path.relative_to(here.folder)).read_bytes() == path.read_bytes()
    assert (there.folder / "physical/chitlaq/base" / made[0].id / "data" / "pg_wal").is_dir()
    (back,) = log.archived(barman.folder(there.home, there.settings))
    assert back.read_bytes() == segment.read_bytes()
    assert log.ledger(barman.folder(there.home, there.settings)) == {SEGMENT: records.digest(back)}
    # Again: what is there stays.
    assert len(elsewhere.fetch(there, here.settings.backups.copy_to, key[0])) == 2


def test_copy_shows_nobody_what_is_in_it(
    here: Place, where: dict[str, str], tmp_path: Path
) -> None:
    record = make(here, "dump")
    elsewhere.copy(here, record)
    there = machine(tmp_path / "two", **where)
    for private in (keys.new()[0], "AGE-SECRET-KEY-1NONSENSE"):
        with pytest.raises(OperatorError, match="key"):
            elsewhere.fetch(there, here.settings.backups.copy_to, private)
    assert not records.read(there.folder).good
    assert not (there.folder / record.path).exists()


def test_copy_that_is_deleted_is_no_longer_there(
    here: Place, where: dict[str, str], key: tuple[str, str], tmp_path: Path
) -> None:
    record = elsewhere.copy(here, make(here, "dump"))
    elsewhere.forget(here, record)
    elsewhere.forget(here, record)
    with pytest.raises(OperatorError, match="holds no copies"):
        elsewhere.fetch(machine(tmp_path / "two", **where), here.settings.backups.copy_to, key[0])


def test_copies_of_the_log_go_when_no_backup_needs_them(here: Place) -> None:
    folder = archive_segment(here).parent
    for number in range(4, 10):
        (folder / f"0000000100000000{number:08X}").write_bytes(zstandard.compress(b"log"))
    (folder.parent / "00000002.history").write_text("1\t0/5000028\tno reason\n")
    elsewhere.copy_log(here)
    assert elsewhere.trim_log(here) == 0
    full = msgspec.structs.replace(make(here, "full"), begin_wal=SEGMENT)
    records.write(here.folder, full)
    assert elsewhere.trim_log(here) == 3
    left = elsewhere._names(elsewhere.store(here.settings.backups), "log/")
    assert [name.rpartition("/")[2][-7:-4] for name in left] == ["007", "008", "009", "ory"]


def test_nothing_is_copied_unencrypted(here: Place) -> None:
    record = make(here, "dump")
    settings = msgspec.structs.replace(
        here.settings, backups=msgspec.structs.replace(here.settings.backups, recipients=())
    )
    with pytest.raises(OperatorError, match="only encrypted"):
        elsewhere.copy(Place(here.home, settings), record)
    assert status.look(here).uncopied


@pytest.mark.parametrize(
    ("recipient", "complaint"),
    [("age1nonsense", "no public age key"), (keys.new()[0], "private one: take it away")],
    ids=["nonsense", "private"],
)
def test_key_that_is_none_is_refused_with_what_it_is(recipient: str, complaint: str) -> None:
    with pytest.raises(OperatorError, match=complaint):
        keys.recipients([recipient])


def test_place_that_does_not_answer_is_told_and_nothing_is_called_copied(
    tmp_path: Path, key: tuple[str, str]
) -> None:
    (port,) = free_ports(1)
    here = machine(
        tmp_path / "one",
        CHITLAQ_BACKUPS_RECIPIENTS=key[1],
        CHITLAQ_BACKUPS_COPY_TO=f"s3://{BUCKET}/x",
        CHITLAQ_BACKUPS_S3_ENDPOINT=f"http://127.0.0.1:{port}",
        CHITLAQ_BACKUPS_S3_REGION="us-east-1",
        CHITLAQ_BACKUPS_S3_ACCESS_KEY_ID="a",
        CHITLAQ_BACKUPS_S3_SECRET_ACCESS_KEY="b",
    )
    record = make(here, "dump")
    with pytest.raises(OperatorError, match="was not copied"):
        elsewhere.copy(here, record)
    (kept,) = records.read(here.folder).good
    assert kept.copied is None
    assert not list(here.folder.glob(".copying-*"))


def test_copy_that_did_not_arrive_whole_is_no_copy(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The place takes it, says nothing, and has something else."""
    record = make(here, "dump")
    put = obstore.put

    def lossy(store: Any, name: str, path: Path) -> Any:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        return put(store, name, bytes(content))

    monkeypatch.setattr(obstore, "put", lossy)
    with pytest.raises(OperatorError, match="is not there as it was written"):
        elsewhere.copy(here, record)
    assert status.look(here).uncopied


def test_what_a_kill_left_on_its_way_is_in_nobodys_way(
    here: Place, where: dict[str, str], key: tuple[str, str], tmp_path: Path
) -> None:
    record = elsewhere.copy(here, make(here, "full"))
    there = machine(tmp_path / "two", **where)
    half = (there.folder / record.path).with_name("data.draft")
    half.mkdir(parents=True)
    (half / "base").write_text("half a file where a folder will be")
    (there.folder / ".copying-killed").mkdir()
    assert len(elsewhere.fetch(there, here.settings.backups.copy_to, key[0])) == 1
    assert not half.exists()
    assert (there.folder / record.path / "base" / "1").is_dir()
    daily.tidy(there)
    assert not list(there.folder.glob(".copying-*"))


@pytest.mark.parametrize("url", ["", "relative/folder", "ftp://somewhere/x"])
def test_place_that_is_none_is_refused(tmp_path: Path, url: str) -> None:
    here = machine(tmp_path / "one", CHITLAQ_BACKUPS_COPY_TO=url)
    with pytest.raises(OperatorError, match="s3://bucket/prefix"):
        elsewhere.store(here.settings.backups)
