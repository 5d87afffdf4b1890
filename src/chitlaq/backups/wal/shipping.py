"""Move received WAL into the archive and copy it off-site; ops-service runs this every few minutes."""

from __future__ import annotations

from chitlaq.backups.context import WAL_LOCK, BackupContext, exclusive_lock
from chitlaq.backups.offsite import copies
from chitlaq.backups.postgres import base_backup
from chitlaq.backups.wal import receiver


def ship(context: BackupContext, *, is_segment_switched: bool = False) -> tuple[int, int]:
    """Archive and copy complete segments; returns how many files were archived and copied.

    Args:
        is_segment_switched: first end the current segment, so that what it holds is shipped too.

    Raises:
        BusyError: another process is doing this already.
        OperatorError: PostgreSQL or Barman failed, or a file could not be copied.
    """
    if is_segment_switched:
        receiver.switch_segment(context)
    with exclusive_lock(context.home, "archive", WAL_LOCK):
        archived = base_backup.archive_wal(context)
        copied = copies.copy_wal(context) if context.settings.backups.copy_to else 0
    return archived, copied
