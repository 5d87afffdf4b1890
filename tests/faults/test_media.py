"""The bucket of pictures is away, its disk is full, the process that reads one is killed.

Attacks the promises that no accepted picture is lost, that nothing of a refused one stays, that its state is
what it says, and that nobody else waits for it.
"""

from __future__ import annotations

import asyncio
import io
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import boto3
import httpx
import psutil
import pytest
from moto.server import ThreadedMotoServer
from PIL import Image

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Media, Settings
from chitlaq.services.feed.media.store import MediaStore, StoreUnavailableError
from tests.conftest import (
    Member,
    Stack,
    become_member,
    eventually,
    free_ports,
    start_stack,
    stop_stack,
)
from tests.disks import small_disk
from tests.services.feed.pictures import encoded, picture, seen, upload, uploaded

Join = Callable[..., Awaitable[Member]]


class Bucket:
    """An S3 server that can go away and come back; what it has stays."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self.client = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
        )
        self.come_back()
        self.client.create_bucket(Bucket="pictures")

    def go_away(self) -> None:
        self._server.stop()

    def come_back(self) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", self._port, verbose=False)
        self._server.start()

    def names(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket="pictures").get("Contents", [])
        return [one["Key"] for one in found]


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    (port,) = free_ports(1)
    bucket = Bucket(port)
    yield bucket
    bucket.go_away()


@pytest.fixture(scope="module")
def bucketed(bucket: Bucket) -> Iterator[Stack]:
    stack = start_stack(
        CHITLAQ_MEDIA_URL="s3://pictures/of-members",
        CHITLAQ_MEDIA_S3_ENDPOINT=bucket.url,
        CHITLAQ_MEDIA_S3_ACCESS_KEY_ID="a",
        CHITLAQ_MEDIA_S3_SECRET_ACCESS_KEY="b",
    )
    try:
        stack.up()
        yield stack
    finally:
        stop_stack(stack)


async def test_bucket_that_is_away_loses_nothing(bucketed: Stack, bucket: Bucket) -> None:
    async with httpx.AsyncClient(base_url=bucketed.gateway, timeout=60) as client:
        ada = await become_member(bucketed, client, "ada_of_bucket")
        made = await uploaded(ada, encoded(picture(600, 400)))
        answer = await seen(client, made["url"], ada)
        assert Image.open(io.BytesIO(answer.content)).size == (600, 400)
        assert answer.headers["cache-control"] == "private, no-cache"
        waiting = (await upload(ada, encoded(picture(2500, 1500)))).json()
        await asyncio.to_thread(bucket.go_away)
        refused = await upload(ada, encoded(picture(seed=3)))
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert (await seen(client, made["url"], ada)).status_code == 503
        assert (await ada.get(f"/api/media/{waiting['id']}")).json()["state"] == "processing"
        rows = await bucketed.sql("SELECT state FROM feed.media WHERE state = 'uploading'")
        assert rows == []
        await asyncio.to_thread(bucket.come_back)

        async def is_ready() -> bool:
            state = (await ada.get(f"/api/media/{waiting['id']}")).json()["state"]
            return bool(state == "ready")

        await eventually(is_ready, 120)
        assert (await seen(client, waiting["url"], ada)).status_code == 200
        await eventually(lambda: not [one for one in bucket.names() if "originals" in one])
        assert len(bucket.names()) == 12


def renderers(stack: Stack) -> list[psutil.Process]:
    """The processes that render pictures of this installation now."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or [""]
        parent = process.parent() if "chitlaq.services.feed.media.confined" in words else None
        is_ours = parent and parent.environ().get("CHITLAQ_HOME") == str(stack.home)
        if is_ours and '"outputs":[{' in words[-1]:
            found.append(process)
    return found


async def test_process_that_is_killed_is_tried_again(stack: Stack, join: Join) -> None:
    ada = await join()
    made = (await upload(ada, encoded(picture(3000, 3000)))).json()

    def killed() -> bool:
        running = renderers(stack)
        for process in running:
            process.kill()
        return bool(running)

    await eventually(killed)

    async def is_ready() -> bool:
        state = (await ada.get(f"/api/media/{made['id']}")).json()["state"]
        assert state != "failed"
        return bool(state == "ready")

    await eventually(is_ready)
    assert list((stack.home / "uploads").iterdir()) == []


async def test_others_are_answered_while_a_picture_is_rendered(stack: Stack, join: Join) -> None:
    ada, ben = await join(), await join()
    made = (await upload(ada, encoded(picture(4000, 4000)))).json()
    await eventually(lambda: bool(renderers(stack)))
    answered = 0
    while renderers(stack):
        assert (await ben.get("/api/feed/home")).status_code == 200
        answered += 1
    assert answered > 2
    assert (await ada.get(f"/api/media/{made['id']}")).json()["state"] != "failed"


async def test_full_disk_refuses_the_picture_and_keeps_nothing_of_it(
    stack: Stack, tmp_path: Path
) -> None:
    with small_disk(2, tmp_path) as disk:
        store = MediaStore(Home(tmp_path), Settings(media=Media(url=str(disk))))
        await store.put("pictures/small", io.BytesIO(b"x" * 1000))
        with pytest.raises(StoreUnavailableError, match="No space left"):
            await store.put("pictures/large", io.BytesIO(b"x" * 4_000_000))
        assert [one.name for one in (disk / "pictures").iterdir()] == ["small"]
        await store.put("pictures/other", io.BytesIO(b"x" * 1_000_000))


async def test_upload_to_a_full_disk_is_refused(stack: Stack, join: Join, tmp_path: Path) -> None:
    ada = await join()
    uploads = stack.home / "uploads"
    await upload(ada, encoded(picture()))
    with small_disk(1, tmp_path) as disk:
        shutil.chown(disk, stack.home.stat().st_uid, stack.home.stat().st_gid)
        uploads.rmdir()
        uploads.symlink_to(disk)
        try:
            answer = await upload(ada, encoded(picture(900, 900), "PNG") + bytes(2_000_000))
            assert answer.status_code == 503
            assert "nothing was stored" in answer.json()["detail"]
        finally:
            uploads.unlink()
    assert (await upload(ada, encoded(picture()))).status_code == 201
