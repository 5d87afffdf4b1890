"""Metrics of components that export none: PostgreSQL, Valkey, nginx, queues, certificates, bans.

Sources are read at each scrape, independently: one that fails or is slow loses only its own metrics, and
``exporter_errors_total`` counts that. Nothing is guessed: what cannot be read is absent.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from time import monotonic, time

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

from chitlaq import inventory
from chitlaq.backups.catalog import status
from chitlaq.backups.context import BackupContext
from chitlaq.core.data.notify import NOTIFY
from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.data.valkey import Valkey
from chitlaq.core.data.valkey_connection import ValkeyReplyError
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import limits
from chitlaq.core.http.service import Context
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.monitoring.exporter import certificates, pictures, sentinels
from chitlaq.monitoring.exporter.disk_sync import DiskSync
from chitlaq.monitoring.exporter.exported_metrics import metric
from chitlaq.monitoring.exporter.fail2ban import Bans
from chitlaq.monitoring.exporter.mail_server import MailServer
from chitlaq.monitoring.exporter.member_probes import MemberProbes
from chitlaq.monitoring.exporter.receiving import Receiving
from chitlaq.monitoring.exporter.round_trips import CHAT, POST, RoundTrips
from chitlaq.monitoring.exporter.synthetic_requests import SyntheticRequests
from chitlaq.monitoring.locks.lock_waits import LockWaits
from chitlaq.stack.servers import barman
from chitlaq.stack.servers.postgres import RECEIVER
from chitlaq.stack.supervisor import control, probes, resource_usage

SOURCE_SECONDS = 2.0
MEASURE_SECONDS = 60.0
# Sources that are components, with a ``component_up`` of their own.
COMPONENTS = frozenset(row.name for row in inventory.SERVERS)

# Metrics of Valkey, and the fields of INFO that they are.
_OF_VALKEY: Mapping[str, str] = {
    "valkey_memory_bytes": "used_memory",
    "valkey_memory_max_bytes": "maxmemory",
    "valkey_clients": "connected_clients",
    "valkey_evictions": "evicted_keys",
    "valkey_hits": "keyspace_hits",
    "valkey_misses": "keyspace_misses",
    "valkey_commands": "total_commands_processed",
}

log = logs.get("exporter")

Source = Callable[[], Awaitable[list[Metric]]]


class Exporter:
    """Collects everything at each scrape.

    Args:
        context: the pools and settings.
        more: sources that are not known here, by name.
    """

    def __init__(self, context: Context, more: Mapping[str, Source]) -> None:
        database, settings = context.database, context.settings
        synthetic = SyntheticRequests()
        self.round_trips = RoundTrips(context.home, settings, CHAT, synthetic)
        self.post_round_trips = RoundTrips(context.home, settings, POST, synthetic)
        self._lock_waits = LockWaits()
        self._receiving = Receiving()
        self.probes = MemberProbes(settings, database, synthetic)
        self.mail_server = MailServer(settings)
        self.disk_sync = DiskSync(context.home.root)
        self._sources: Mapping[str, Source] = {
            "postgres": lambda: postgres(database, settings, self._receiving),
            "statements": lambda: statements(database),
            "lock_waits": self._lock_waits_metrics,
            "queues": lambda: queues(database),
            "redis": lambda: redis(context.valkey),
            "sentinels": lambda: sentinels.metrics(settings),
            "nginx": lambda: nginx(context.home, settings),
            "limits": limits_of_memory,
            "components": self._slow_metrics,
            "certificates": lambda: certificates.metrics(context.home, settings),
            "renewals": lambda: certificates.renewals(context.home, settings),
            "backups": lambda: backups(context.home, settings),
            "round_trips": self.round_trips.metrics,
            "post_round_trips": self.post_round_trips.metrics,
            "probes": self.probes.metrics,
            "synthetic_requests": synthetic.metrics,
            "mail_server": self.mail_server.metrics,
            "disk_sync": self.disk_sync.metrics,
            "fail2ban": Bans(settings.monitoring.fail2ban_database).metrics,
            "operations": lambda: operations(context.home),
            **more,
        }
        self._home = context.home
        self._settings = settings
        self._database = database
        self._pictures = settings.media_folder(context.home)
        self._components: list[Metric] = []
        self._counted: list[Metric] = []
        self._site: list[Metric] = []
        self._errors: Counter[str] = Counter()

    async def exposition(self) -> bytes:
        """Return the exposition of all sources that could be read."""
        found = await asyncio.gather(*(self._collect(name) for name in self._sources))
        errors = metric("exporter_errors", {name: self._errors[name] for name in self._sources})
        registry = CollectorRegistry()
        registry.register(_Collected([*chain.from_iterable(found), errors]))
        return generate_latest(registry)

    async def measure_forever(self) -> None:
        """Measure once a minute what takes too long for a scrape."""
        while True:
            try:
                self._components = await asyncio.to_thread(components, self._home)
            except (OperatorError, OSError) as error:
                self._components = []
                log.warning("components not measured", error=str(error))
            try:
                self._counted = [
                    *await active_members(self._database),
                    *await growing(self._database),
                    *await pictures.missing(self._database, self._pictures),
                ]
            except (PostgresUnavailableError, OSError) as error:
                self._counted = []
                log.warning("members and messages not counted", error=str(error))
            self._site = await certificates.of_site(self._settings)
            await asyncio.sleep(MEASURE_SECONDS)

    async def _slow_metrics(self) -> list[Metric]:
        return [*self._components, *self._counted, *self._site]

    async def _lock_waits_metrics(self) -> list[Metric]:
        rows = await self._database.rows("lock_waits")
        rows += await self._database.rows("table_locks")
        return [metric("postgresql_lock_wait_seconds", self._lock_waits.longest(rows, monotonic()))]

    async def _collect(self, name: str) -> list[Metric]:
        try:
            async with asyncio.timeout(SOURCE_SECONDS):
                return await self._sources[name]()
        except Exception as error:
            self._errors[name] += 1
            log.warning("source not read", source=name, error=str(error) or type(error).__name__)
            return [metric("component_up", {name: 0})] if name in COMPONENTS else []


def components(home: Home) -> list[Metric]:
    """The components' memory and versions, as the supervisor knows them."""
    versions = control.versions(home)
    return [
        metric("component_memory_bytes", resource_usage.memory(control.ask(home, control.Ps()))),
        metric(
            "component_version_differs",
            {name: name in versions.others for name in versions.services},
        ),
    ]


class _Collected:
    """Hands collected metrics to the client library's exposition."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return _merged(self._metrics)


def _merged(metrics: Iterable[Metric]) -> Iterable[Metric]:
    """Merge metrics of the same name, as the exposition format requires."""
    merged: dict[str, Metric] = {}
    for family in metrics:
        first = merged.setdefault(family.name, family)
        if first is not family:
            first.samples += family.samples
    return merged.values()


async def postgres(database: Database, settings: Settings, receiving: Receiving) -> list[Metric]:
    """Sessions, size, cache hits, locks, transactions, replication, archive; whether it takes writes.

    Raises:
        PostgresUnavailableError: PostgreSQL is unreachable.
    """
    async with database.session() as session:
        connections = await session.rows("connections")
        size = await session.row("databases")
        takes_writes = await session.value("takes_writes")
        asked_at = time()
        their_time = await session.value("clock")
        # The server read its clock halfway between question and answer.
        our_time = (asked_at + time()) / 2
        locks = await session.rows("locks")
        oldest = await session.value("oldest_transaction")
        used = await session.rows("transaction_ids")
        dead = await session.rows("dead_rows")
        standbys = await session.rows("replication")
        slots = await session.rows("replication_slots")
        archive = await session.row("archive")
    if size is None or archive is None:
        raise PostgresUnavailableError("the server has no statistics of this database")
    states = dict.fromkeys(("active", "idle", "idle in transaction", "other"), 0)
    for row in connections:
        state = row["state"] if row["state"] in states else "other"
        states[state] += row["connections"]
    reads = size["blks_hit"] + size["blks_read"]
    metrics = [
        metric("component_up", {"postgres": takes_writes}),
        metric("clock_difference_seconds", {"postgres": their_time - our_time}),
        metric(
            "postgresql_connections_active",
            {state.replace(" ", "_"): count for state, count in states.items()},
        ),
        metric("postgresql_connections_max", connections[0]["most"]),
        metric("postgresql_database_size_bytes", {size["datname"]: size["bytes"]}),
        metric("postgresql_locks_count", {row["mode"]: row["locks"] for row in locks}),
        metric(
            "postgresql_transactions",
            {"committed": size["xact_commit"], "rolled_back": size["xact_rollback"]},
        ),
        metric("postgresql_deadlocks", size["deadlocks"]),
        metric("postgresql_blocks_hit", size["blks_hit"]),
        metric("postgresql_blocks_read", size["blks_read"]),
        metric("postgresql_oldest_transaction_seconds", oldest),
        metric("postgresql_transaction_ids_ratio", {row["kind"]: row["used"] for row in used}),
        metric("postgresql_dead_rows", {row["name"]: row["rows"] for row in dead}),
        metric(
            "postgresql_replication_lag_bytes",
            {row["application_name"]: row["bytes"] for row in standbys if row["bytes"] is not None},
        ),
        metric(
            "postgresql_replication_slot_active", {row["slot_name"]: row["active"] for row in slots}
        ),
        metric(
            "postgresql_replication_slot_retained_bytes",
            {row["slot_name"]: row["bytes"] for row in slots if row["bytes"] is not None},
        ),
        metric("postgresql_archive_failures", archive["failed_count"]),
    ]
    if reads:
        metrics.append(metric("postgresql_cache_hit_ratio", size["blks_hit"] / reads))
    if archive["seconds"] is not None:
        metrics.append(metric("postgresql_archive_age_seconds", archive["seconds"]))
    if barman.is_wanted(settings):
        streaming = {row["application_name"]: row for row in standbys if row["is_streaming"]}
        receiver = streaming.get(RECEIVER)
        receives = receiver is not None and not receiving.is_still(
            receiver["position"], receiver["bytes"], monotonic()
        )
        metrics.append(metric("backup_log_receiving", receives))
    return metrics


async def statements(database: Database) -> list[Metric]:
    """Time and calls by role, where pg_stat_statements is loaded."""
    if not await database.value("has_statements"):
        return []
    rows = await database.rows("statements")
    return [
        metric("postgresql_statements_seconds", {row["role"]: row["seconds"] for row in rows}),
        metric("postgresql_statements_calls", {row["role"]: row["calls"] for row in rows}),
    ]


async def queues(database: Database) -> list[Metric]:
    """Backlogs, jobs and accounts."""
    waiting = await database.row("backlogs")
    jobs = await database.rows("jobs")
    accounts = await database.rows("accounts")
    if waiting is None:
        raise PostgresUnavailableError("the backlogs have no row")
    states = {"verified": 0, "unverified": 0}
    return [
        metric("feed_deliveries_waiting", waiting["deliveries"]),
        metric("feed_delivery_oldest_seconds", waiting["oldest_delivery"]),
        metric("feed_ranking_age_seconds", waiting["ranking_age"]),
        metric("mails_waiting", waiting["mails"]),
        metric("mail_oldest_seconds", waiting["oldest_mail"]),
        metric("digests_due", waiting["digests"]),
        metric("digest_oldest_seconds", waiting["oldest_digest"]),
        metric("announcements_under_way", waiting["announcements"]),
        metric("announcement_still_seconds", waiting["announcement_still"]),
        metric("jobs_waiting", {row["kind"]: row["waiting"] for row in jobs}),
        metric("jobs_dead", {row["kind"]: row["dead"] for row in jobs}),
        # An alert asks for these: without a job they are 0, and not missing.
        metric(
            "jobs_oldest_seconds",
            {NOTIFY.name: 0.0} | {row["kind"]: row["oldest_seconds"] for row in jobs},
        ),
        metric("accounts", states | {row["state"]: row["accounts"] for row in accounts}),
    ]


async def active_members(database: Database) -> list[Metric]:
    """Members who were active within a day, a week, a month.

    Raises:
        PostgresUnavailableError: PostgreSQL is unreachable.
    """
    row = await database.row("active_members")
    if row is None:
        raise PostgresUnavailableError("the active members have no row")
    return [metric("members_active", {"1d": row["day"], "7d": row["week"], "30d": row["month"]})]


async def growing(database: Database) -> list[Metric]:
    """The sizes of tables, and how many messages members have written.

    Raises:
        PostgresUnavailableError: PostgreSQL is unreachable.
    """
    sizes = await database.rows("table_sizes")
    return [
        metric("postgresql_table_size_bytes", {row["name"]: row["bytes"] for row in sizes}),
        metric("chat_messages", await database.value("messages")),
    ]


async def redis(client: Valkey) -> list[Metric]:
    """Memory, lookups, clients, whether it takes writes; of a cluster by node, all of which must answer."""
    answers: Mapping[str, bytes] = await client.each("INFO", "everything")
    nodes = {
        name if len(answers) > 1 else "": dict(
            line.split(":", 1)
            for line in info.decode().splitlines()
            if ":" in line and line[0] != "#"
        )
        for name, info in answers.items()
    }
    try:
        await client.require_writes()
        takes_writes = True
    except ValkeyReplyError as error:
        log.warning("redis takes no writes", error=str(error))
        takes_writes = False
    return [
        metric("component_up", {"redis": takes_writes}),
        *(
            metric(name, {node: float(values[field]) for node, values in nodes.items()})
            for name, field in _OF_VALKEY.items()
        ),
    ]


async def nginx(home: Home, settings: Settings) -> list[Metric]:
    """Whether nginx responds, and its client connections as the kernel counts them.

    It is asked as the supervisor asks: what a flood of clients cannot keep from us. Not every nginx has the
    status module.

    Raises:
        ValueError: it does not respond.
    """
    if not await probes.edge(home.nginx_probe)(0):
        raise ValueError("nginx does not respond")
    ports = {settings.port_of("nginx"), settings.port_of("api-gateway")}
    connections = await asyncio.to_thread(_established, ports)
    return [
        metric("component_up", {"nginx": 1}),
        metric("nginx_connections", {"active": connections}),
    ]


async def backups(home: Home, settings: Settings) -> list[Metric]:
    """The backups' records.

    Raises:
        OSError: the backup folder cannot be read.
    """
    found = await asyncio.to_thread(status.read, BackupContext(home, settings))
    newest = {one.name: one.newest for one in found.kinds if one.newest}
    verified = {one.name: one.last_verified for one in found.kinds}
    drilled = {one.name: one.last_drilled for one in found.kinds}
    drills = {name: record.drilled for name, record in drilled.items() if record and record.drilled}
    values: Mapping[str, Mapping[str, float]] = {
        "backup_wanted": {
            "physical": barman.is_wanted(settings),
            "dump": True,
            "configuration": True,
        },
        "backup_last_success_timestamp_seconds": {
            name: record.created_at.timestamp() for name, record in newest.items()
        },
        "backup_last_verified_timestamp_seconds": {
            name: record.verified.at.timestamp()
            for name, record in verified.items()
            if record and record.verified
        },
        "backup_last_drilled_timestamp_seconds": {
            name: drill.at.timestamp() for name, drill in drills.items()
        },
        "backup_size_bytes": {name: record.bytes for name, record in newest.items()},
        "backup_duration_seconds": {name: record.seconds for name, record in newest.items()},
        "backup_drill_seconds": {name: drill.seconds for name, drill in drills.items()},
        "backup_lost_seconds": {
            name: drill.lost_seconds
            for name, drill in drills.items()
            if drill.lost_seconds is not None
        },
        "backup_bad": {one.name: len(one.bad) + len(one.damaged) for one in found.kinds},
    }
    metrics = [metric(name, by_kind) for name, by_kind in values.items()]
    if settings.backups.copy_to:
        metrics.append(metric("backup_uncopied", len(found.uncopied)))
        if found.wal_copied_at is not None:
            metrics.append(
                metric("backup_log_copied_timestamp_seconds", found.wal_copied_at.timestamp())
            )
    return metrics


async def limits_of_memory() -> list[Metric]:
    """The memory that a control group leaves the services; node-exporter has the machine's."""
    found = await asyncio.to_thread(limits.memory)
    if not found.group:
        return []
    return [
        metric("memory_limit_bytes", found.total),
        metric("memory_limit_available_bytes", found.available),
    ]


async def operations(home: Home) -> list[Metric]:
    """Whether a damaged operations database was set aside."""
    found = await asyncio.to_thread(home.damaged_ops_databases)
    return [metric("operations_database_damaged", len(found))]


def _established(ports: set[int]) -> int:
    """Count the established connections to these ports (proc_pid_net(5))."""
    count = 0
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(FileNotFoundError), Path(table).open() as lines:
            next(lines)
            for line in lines:
                _, local, _, state = line.split(maxsplit=4)[:4]
                count += state == "01" and int(local.rpartition(":")[2], 16) in ports
    return count
