"""Whether members' pictures are there: nginx sends them from their folder, and counts none that it lacks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from prometheus_client.core import Metric

from chitlaq.core.data.postgres import Database
from chitlaq.monitoring.exporter.exported_metrics import metric

LOOKED_FOR = 20
"""Pictures, chosen by chance."""


async def missing(database: Database, folder: Path | None) -> list[Metric]:
    """Return the share of files that the folder lacks; nothing without pictures, or with a bucket.

    Raises:
        PostgresUnavailableError: PostgreSQL is unreachable.
        OSError: the folder cannot be read.
    """
    if folder is None:
        return []
    rows = await database.rows("files_of_pictures", LOOKED_FOR)
    if not rows:
        return []
    lost = await asyncio.to_thread(_lost, folder, [row["object"] for row in rows])
    return [metric("media_files_missing", lost / len(rows))]


def _lost(folder: Path, names: Sequence[str]) -> int:
    return sum(not (folder / name).exists() for name in names)
