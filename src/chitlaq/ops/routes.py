"""ops-service, for operators and their tools: its slices, and what runs in its process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from chitlaq import inventory
from chitlaq.core import daemon_threads, tasks
from chitlaq.core.data.batching import Batcher
from chitlaq.core.http.service import Context, Service
from chitlaq.core.installation.secrets import Secrets
from chitlaq.monitoring.exporter import log_errors
from chitlaq.monitoring.exporter.exporter import Exporter
from chitlaq.ops.console import pages
from chitlaq.ops.console.console import Console
from chitlaq.ops.database import postgres_import
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.escalation import clock, daily_list, metrics
from chitlaq.ops.escalation.engine import Engine
from chitlaq.ops.history import alert_history
from chitlaq.ops.incidents import impact, keeping, system_changes
from chitlaq.ops.lease.lease import Lease
from chitlaq.ops.lease.metrics import metrics as lease_metrics
from chitlaq.ops.lease.told import Told
from chitlaq.ops.oncall import zone
from chitlaq.ops.schedule.backup_scheduler import BackupScheduler
from chitlaq.ops.schedule.scheduler import Scheduler
from chitlaq.ops.statuspage import keeper, silencing
from chitlaq.ops.statuspage.copies import Copier
from chitlaq.ops.statuspage.keeper import Keeper
from chitlaq.ops.statuspage.shared_subscribers import SharedSubscribers
from chitlaq.ops.statuspage.subscriptions import Subscriptions
from chitlaq.ops.watchdog import heartbeat_sender, probing
from chitlaq.ops.watchdog.alert_path import AlertPath


@asynccontextmanager
async def run(context: Context) -> AsyncIterator[dict[str, Any]]:
    # What a screen looks at may hang.
    daemon_threads.use()
    zone.use(context.home, context.settings)
    with OpsDatabase(context.home, is_keeper=True) as operations:
        lease = Lease(context.home, context.settings, context.database)
        scheduler = Scheduler(
            context.home, context.settings.operations, operations, context.database, lease=lease
        )
        backup_scheduler = BackupScheduler(context.home, context.settings, lease=lease)
        escalation = partial(metrics.metrics, context.home, context.settings, operations, lease)
        exporter = Exporter(
            context,
            {"escalation": escalation, "lease": partial(lease_metrics, lease, context.database)},
        )
        alert_path = AlertPath()
        alerts_arrived, incidents_changed = asyncio.Event(), asyncio.Event()
        engine = Engine(context.home, context.settings, operations, incidents_changed, lease=lease)
        secrets = Secrets(context.home.secrets)
        subscriptions = Subscriptions(operations, context.database, context.settings, secrets)
        subscribers = SharedSubscribers(operations, context.database, secrets)
        told = Told(operations, context.database, lease, subscribers)
        async with tasks.running(
            partial(postgres_import.move, context.home, context.database, operations),
            partial(zone.use_forever, context.home, context.settings),
            lease.hold_forever,
            told.share_forever,
            scheduler.run_forever,
            engine.run_forever,
            partial(daily_list.send_forever, context.home, context.settings, operations, lease),
            partial(
                probing.watch_forever,
                probing.probes_of(context),
                operations,
                alert_path,
                alerts_arrived,
            ),
            partial(heartbeat_sender.send_forever, operations, context.settings, alert_path, lease),
            backup_scheduler.run_forever,
            exporter.measure_forever,
            exporter.round_trips.measure_forever,
            exporter.post_round_trips.measure_forever,
            exporter.probes.measure_forever,
            exporter.mail_server.measure_forever,
            exporter.disk_sync.measure_forever,
            partial(log_errors.count_forever, context.home, context.settings),
            partial(alert_history.compare_forever, operations, context.home, context.settings),
            partial(keeping.keep_forever, operations, clock.now, alerts_arrived, incidents_changed),
            partial(system_changes.watch_forever, operations, context.home),
            partial(impact.store_forever, operations, context.home, context.settings),
            Keeper(context.home, context.settings, operations, lease=lease).run_forever,
            Copier(context.settings, operations, lease).copy_forever,
            partial(keeper.send_forever, operations, subscriptions, lambda: told.may_tell),
            partial(silencing.silence_forever, operations, context.home, context.settings),
        ):
            console = Console(context.home, context.settings, operations)
            yield {
                "extra_metrics": exporter.exposition,
                "operations": operations,
                "reports": Batcher(partial(alert_history.store_together, operations)),
                "alerts_arrived": alerts_arrived,
                "incidents_changed": incidents_changed,
                "alert_path": alert_path,
                "console": console,
                "nothing_here": pages.nothing_here,
                "lease": lease,
            }
            await console.runs.close()


SERVICE = Service(
    inventory.COMPONENTS["ops-service"],
    slices=(
        "history",
        "oncall",
        "statuspage",
        "console.access",
        "console.now",
        "console.acting",
        "console.incidents",
        "console.oncall",
        "console.statuspage",
        "console.screens",
        "console.dashboards",
        "console.system",
        "console.logs",
    ),
    run=run,
    query_packages=[
        "chitlaq.ops.database",
        "chitlaq.ops.lease",
        "chitlaq.monitoring.expected",
        "chitlaq.monitoring.exporter",
        "chitlaq.monitoring.locks",
    ],
)
