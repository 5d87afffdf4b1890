"""Records: what was written is read back, and changed records are not trusted."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import ProofResult, Record, TableFingerprint

MOMENT = datetime(2026, 11, 24, 2, 30, tzinfo=UTC)
RECORD = Record(
    id="chitlaq_20261124T023000",
    kind="dump",
    created_at=MOMENT,
    seconds=2.5,
    path="chitlaq_20261124T023000.sql",
    bytes=1234,
    sha256="ab" * 32,
    tables={"feed.posts": TableFingerprint(12, "-7", "2026-11-24 02:29:59+00")},
    verified=ProofResult(MOMENT, True, "as it was", 0.5),
    drilled=ProofResult(MOMENT, False, "feed.posts has 11 rows instead of 12", 4.0, 1.5),
)


@given(st.data())
def test_record_with_one_changed_byte_is_rejected(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("backups")
    records.write(folder, RECORD)
    assert list(records.read(folder).good) == [RECORD]
    path = folder / "records" / f"{RECORD.id}.json"
    content = bytearray(path.read_bytes())
    where = data.draw(st.integers(0, len(content) - 1))
    content[where] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bytes(content))
    found = records.read(folder)
    assert not found.good
    assert found.damaged == [RECORD.id]


@pytest.mark.parametrize("keep", [0, 1, 100])
def test_truncated_record_is_rejected(tmp_path_factory: pytest.TempPathFactory, keep: int) -> None:
    folder = tmp_path_factory.mktemp("backups")
    records.write(folder, RECORD)
    path = folder / "records" / f"{RECORD.id}.json"
    path.write_bytes(path.read_bytes()[:keep])
    assert records.read(folder).damaged == [RECORD.id]


def test_record_under_another_name_is_rejected(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("backups")
    records.write(folder, RECORD)
    path = folder / "records" / f"{RECORD.id}.json"
    path.rename(path.with_name("chitlaq_20261125T023000.json"))
    assert records.read(folder).damaged == ["chitlaq_20261125T023000"]


def test_only_the_last_verification_and_drill_prove_a_backup() -> None:
    assert not RECORD.is_proved
    assert RECORD.is_bad
    proved = msgspec.structs.replace(RECORD, drilled=RECORD.verified)
    assert proved.is_proved
    unseen = msgspec.structs.replace(RECORD, verified=None, drilled=None)
    assert not unseen.is_proved
    assert not unseen.is_bad
