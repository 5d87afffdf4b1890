"""A copy of the page lives on another machine: in a folder, or in a bucket that serves it as it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.secret_values import Secret
from chitlaq.core.installation.settings import Backups, Settings, StatusPage
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.statuspage import copies, site, snapshot
from chitlaq.ops.statuspage.components import State
from chitlaq.ops.statuspage.copies import Copier
from tests.backups.conftest import s3
from tests.backups.machines import BUCKET

__all__ = ["s3"]


def copied_at(folder: Path) -> str:
    said: dict[str, Any] = json.loads((folder / "status.json").read_text())
    return str(said["page"]["updated_at"])


async def test_copy_is_written_when_something_changes_and_when_it_is_old(
    database: OpsDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    copier = Copier(Settings(statuspage=StatusPage(copy_to=str(copy))), database)
    await copier.turn()
    first = copied_at(copy)
    await copier.turn()
    assert copied_at(copy) == first, "nothing has changed"
    degraded = statement(
        "set_component", "chat", State.DEGRADED_PERFORMANCE, "ada", datetime.now(UTC)
    )
    await database.write(degraded)
    await copier.turn()
    second = copied_at(copy)
    assert second > first
    monkeypatch.setattr(site, "COPIED_MINUTES", 0)
    await copier.turn()
    assert copied_at(copy) > second


async def test_copy_that_failed_is_tried_again(database: OpsDatabase, tmp_path: Path) -> None:
    (tmp_path / "in-the-way").touch()
    page = StatusPage(copy_to=str(tmp_path / "in-the-way" / "copy"))
    copier = Copier(Settings(statuspage=page), database)
    for _ in range(2):
        with pytest.raises(OperatorError, match="No copy was written"):
            await copier.turn()
    (tmp_path / "in-the-way").unlink()
    await copier.turn()
    assert copied_at(tmp_path / "in-the-way" / "copy")


async def test_bucket_serves_the_copy_as_it_is(database: OpsDatabase, s3: str) -> None:
    settings = Settings(
        backups=Backups(s3_endpoint=s3, s3_access_key_id="a", s3_secret_access_key=Secret("b"))
    )
    found = site.copied(await snapshot.taken(database, settings), settings)
    copies.export(settings, f"s3://{BUCKET}/status", found)
    client = boto3.client(
        "s3",
        endpoint_url=s3,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    for name, body in found.items():
        served = client.get_object(Bucket=BUCKET, Key=f"status/{name}")
        assert served["Body"].read() == body
    assert client.head_object(Bucket=BUCKET, Key="status/index.html")["ContentType"] == "text/html"
    with pytest.raises(OperatorError, match="was not copied"):
        copies.export(settings, "s3://no-such-bucket/status", found)
