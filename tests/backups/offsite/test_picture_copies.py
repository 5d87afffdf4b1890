"""Pictures are copied off-site one by one, and come back."""

from __future__ import annotations

from pathlib import Path

import obstore

from chitlaq.backups.context import BackupContext
from chitlaq.backups.offsite import copies, object_store, picture_copies
from chitlaq.backups.offsite.remote_copies import open_copies
from tests.backups.machines import machine, make

NAME = "pictures/ab/ab12-large.webp"


def test_pictures_are_copied_encrypted_and_brought_back(
    context: BackupContext, key: tuple[str, str], tmp_path: Path
) -> None:
    copies.copy_backup(context, make(context, "dump"))
    mirrored = context.folder / "media" / NAME
    removed = context.folder / "media-removed/2026-11-25/pictures/cd/cd34-small.avif"
    for path in (mirrored, removed):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"a picture: " + path.name.encode())
    assert picture_copies.copy(context).startswith("2 new")
    assert picture_copies.copy(context).startswith("0 new")
    target = object_store.open_store(context.settings.backups)
    sealed = bytes(obstore.get(target, f"media/{NAME}.age").bytes())
    assert b"a picture" not in sealed
    there = machine(tmp_path / "two")
    url, settings = context.settings.backups.copy_to, context.settings.backups
    if url.startswith("s3://"):
        there = machine(
            tmp_path / "two",
            CHITLAQ_BACKUPS_S3_ENDPOINT=settings.s3_endpoint,
            CHITLAQ_BACKUPS_S3_ACCESS_KEY_ID="a",
            CHITLAQ_BACKUPS_S3_SECRET_ACCESS_KEY="b",
        )
    with open_copies(there, url, key[0]) as remote:
        assert picture_copies.fetch(there, remote) == 2
        assert picture_copies.fetch(there, remote) == 0
    assert (there.folder / "media" / NAME).read_bytes() == mirrored.read_bytes()
    removed.unlink()
    assert "1 deleted" in picture_copies.copy(context)
    assert list(object_store.list_objects(target, "media/")) == [f"media/{NAME}.age"]
