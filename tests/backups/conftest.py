"""Off-site locations: a folder, and an S3 server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from chitlaq.backups.context import BackupContext
from chitlaq.backups.offsite import encryption
from tests.backups.machines import BUCKET, machine
from tests.conftest import free_ports


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """An S3 server with an empty bucket."""
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
    return encryption.generate_keys()


@pytest.fixture(params=["folder", "s3"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Settings for an off-site location that is new for each test."""
    if request.param == "folder":
        return {"CHITLAQ_BACKUPS_COPY_TO": str(tmp_path / "elsewhere")}
    return {
        "CHITLAQ_BACKUPS_COPY_TO": f"s3://{BUCKET}/{tmp_path.name}",
        "CHITLAQ_BACKUPS_S3_ENDPOINT": request.getfixturevalue("s3"),
        "CHITLAQ_BACKUPS_S3_REGION": "us-east-1",
        "CHITLAQ_BACKUPS_S3_ACCESS_KEY_ID": "a",
        "CHITLAQ_BACKUPS_S3_SECRET_ACCESS_KEY": "b",
    }


@pytest.fixture
def context(tmp_path: Path, where: dict[str, str], key: tuple[str, str]) -> BackupContext:
    return machine(tmp_path / "one", CHITLAQ_BACKUPS_RECIPIENTS=key[1], **where)
