"""Copies of the status page on another machine: in a folder, or an S3 bucket."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.lease.permission import ALONE, Permission
from chitlaq.ops.statuspage import site, snapshot
from chitlaq.ops.statuspage.snapshot import Snapshot
from chitlaq.web.console.status import pages

LOOK_SECONDS = 10.0

log = logs.get("statuspage")


class Copier:
    """Keeps a copy where the setting ``statuspage.copy_to`` says; whatever that takes delays nothing else."""

    def __init__(
        self, settings: Settings, database: OpsDatabase, lease: Permission = ALONE
    ) -> None:
        self._settings = settings
        self._lease = lease
        self._database = database
        self._digest = b""
        self._copied_at: datetime | None = None

    async def copy_forever(self) -> None:
        """Write a copy when something has changed, and now and then in any case."""
        while self._settings.statuspage.copy_to:
            try:
                if self._lease.may_alert:
                    await self.turn()
            except OperatorError as error:
                log.error("the status page was not copied", error=str(error))
            await asyncio.sleep(LOOK_SECONDS)

    async def turn(self) -> None:
        """Write a copy if it is due.

        Raises:
            OperatorError: it could not be written.
        """
        said = await snapshot.taken(self._database, self._settings)
        digest = _digest(said)
        if digest != self._digest or self._is_old(said.at):
            target, found = self._settings.statuspage.copy_to, site.copied(said, self._settings)
            await asyncio.to_thread(export, self._settings, target, found)
            self._digest, self._copied_at = digest, said.at

    def _is_old(self, now: datetime) -> bool:
        age = timedelta(minutes=site.COPIED_MINUTES)
        return self._copied_at is None or not timedelta() <= now - self._copied_at < age


def _digest(said: Snapshot) -> bytes:
    """Return what differs when something other than the time has changed."""
    lasting = (said.components, said.incidents, said.maintenances)
    return hashlib.sha256(msgspec.json.encode(lasting)).digest()


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
