"""Off-site copies of members' pictures: one encrypted object for each file, since a file never changes."""

from __future__ import annotations

import re

from chitlaq.backups import pictures
from chitlaq.backups.context import BackupContext
from chitlaq.backups.offsite import copies, object_store
from chitlaq.backups.offsite.remote_copies import RemoteCopies
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files

PREFIX = "media/"
_OBJECT = re.compile(
    r"media/(?P<name>(?:pictures/[0-9a-f]{2}|originals)/[0-9a-z][0-9a-z.-]{0,80})\.age", re.ASCII
)


def copy(context: BackupContext) -> str:
    """Copy the backed-up pictures that are not off-site yet, and delete those that are backed up no longer.

    Raises:
        OperatorError: as `copies.copy_backup`.
    """
    if context.settings.media_folder(context.home) is None:
        return pictures.IN_A_BUCKET
    target = object_store.open_owned(context)
    there = object_store.list_objects(target, PREFIX)
    kept = {f"{PREFIX}{name}.age": path for name, path in pictures.kept(context).items()}
    new = kept.keys() - there.keys()
    with copies.draft_folder(context.folder, 0, "Copying pictures") as folder:
        draft = folder / "picture.age"
        for name in sorted(new):
            copies.encrypt(context, kept[name], draft)
            object_store.put(context, target, name, draft)
    gone = there.keys() - kept.keys()
    for name in sorted(gone):
        object_store.delete(target, name)
    return f"{len(new)} new files, read back; {len(gone)} deleted"


def fetch(context: BackupContext, remote: RemoteCopies) -> int:
    """Fetch the pictures that the backup folder does not have; return how many. A restore puts them back."""
    done = 0
    for name in remote.sizes:
        found = _OBJECT.fullmatch(name)
        if found is None:
            continue
        target = context.folder / pictures.COPY / found["name"]
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with files.draft(target, mode=0o600) as draft:
                object_store.fetch_decrypted(remote.source, name, remote.identity, draft)
        except (OperatorError, OSError) as error:
            remote.fail(name, error)
        else:
            done += 1
    return done
