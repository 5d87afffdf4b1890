"""What Prometheus sees of the lease."""

from __future__ import annotations

from prometheus_client.core import Metric

from chitlaq.core.data.postgres import Database
from chitlaq.monitoring.exporter.exported_metrics import metric
from chitlaq.ops.lease.lease import Lease


async def metrics(lease: Lease, database: Database) -> list[Metric]:
    """Return whether it is held here, for how long it is held, and how often it has changed hands.

    Raises:
        PostgresUnavailableError: PostgreSQL is unreachable.
    """
    row = await database.row("lease")
    if row is None:
        return []
    return [
        metric("operations_lease_here", lease.may_change),
        metric("operations_lease_left_seconds", row["seconds_left"]),
        metric("operations_lease_epoch", row["epoch"]),
    ]
