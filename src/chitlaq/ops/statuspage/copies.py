"""Copies of the status page on another machine: in a folder, or an S3 bucket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.statuspage import site
from chitlaq.web.console.status import pages


def export(settings: Settings, target: str, found: Mapping[str, bytes]) -> None:
    """Write files to a folder or to ``s3://bucket/prefix``.

    Args:
        settings: `backups.s3_…` are the S3's endpoint and key.

    Raises:
        OperatorError: it is neither, or cannot be written.
    """
    if not target.startswith("s3://"):
        path = Path(target).expanduser()
        if not path.is_absolute():
            raise OperatorError(
                f"{target!r} is no place for a copy: write /a/folder or s3://bucket."
            )
        try:
            site.put(path, found)
        except OSError as error:
            raise OperatorError(f"No copy was written to {path}: {error.strerror}.") from None
        return
    # Imported late: ops-service has no other use for it.
    import obstore
    from obstore.exceptions import BaseError

    from chitlaq.backups.offsite import object_store

    store = object_store.open_store(settings.backups, target)
    for name, body in found.items():
        kind = pages.MEDIA_TYPES[name.rpartition(".")[2]]
        try:
            # A browser takes the type from the bucket.
            obstore.put(
                store, name, body, attributes={"Content-Type": kind, "Cache-Control": "max-age=30"}
            )
        except (BaseError, OSError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise OperatorError(f"{name} was not copied to {target}: {reason}") from None
