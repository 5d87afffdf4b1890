"""PostgreSQL and Valkey, queried directly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from chitlaq.core.errors import NotApplicable, NotYet, UnknownResult
from chitlaq.core.formatting import count, duration, share, size
from chitlaq.ops.checks.model import CheckOutcome, Section, Table, Value, Verdict, check, outcome
from chitlaq.ops.checks.sources.datastores import NoConnectionLeft, psql
from chitlaq.ops.checks.sources.judged_by import DISK
from chitlaq.ops.checks.sources.system import SystemView

FEW_READS = 10_000
PATIENCE_SECONDS = 0.3
FEW_ROWS = 10_000
SHOWN_TABLES = 10
QUERY_WIDTH = 100


@check(
    "database.ready",
    "PostgreSQL",
    section=Section.HOST,
    looks_at="a connection, a statement, and whether it takes writes",
    commands=(
        "chitlaq exec postgres pg_isready -U postgres",
        psql("SELECT 1;"),
        psql("SHOW transaction_read_only;"),
    ),
    remedy="`chitlaq logs postgres --tail 50` shows why; `chitlaq ps` shows whether it is restarting. If it"
    " takes no writes: let `database_url` name the primary instead of its standby, or reset"
    " `default_transaction_read_only`.",
    is_timed=True,
    stands_on=(DISK,),
)
async def ready(system: SystemView) -> CheckOutcome:
    started = time.perf_counter()
    try:
        (row,) = await system.postgres.rows("server")
    except NoConnectionLeft as error:
        return outcome(str(error), least=Verdict.CRITICAL, because=(error.judged_by,))
    except UnknownResult as error:
        why = await system.why_nothing_runs()
        return outcome(str(error), least=Verdict.CRITICAL, because=why)
    seconds = time.perf_counter() - started
    said = f"PostgreSQL {row['version']}, up {duration(row['uptime'])}, answered in {duration(seconds)}"
    if row["is_read_only"]:
        reason = "it is a standby" if row["is_standby"] else "default_transaction_read_only is on"
        said = f"takes no writes: {reason}; {said}"
    return outcome(
        said,
        {
            "answer": Value(seconds, "seconds", *system.thresholds.answer_seconds),
            "uptime": Value(row["uptime"], "seconds"),
        },
        least=Verdict.CRITICAL if row["is_read_only"] else Verdict.OK,
    )


@check(
    "database.clock",
    "PostgreSQL's clock",
    section=Section.HOST,
    looks_at="clock_timestamp(), and this machine's clock before and after",
    commands=(psql("SELECT clock_timestamp();"), "date --iso-8601=ns"),
    remedy="Sessions and codes expire too early or too late. Let a time service keep both clocks:"
    " `chitlaq ops check host.clock`, and `timedatectl status` on PostgreSQL's machine.",
)
async def clock(system: SystemView) -> CheckOutcome:
    before = time.time()
    (row,) = await system.postgres.rows("clock")
    after = time.time()
    # The server read its clock between both: what is beyond them is certain.
    off = max(before - row["seconds"], row["seconds"] - after, 0.0)
    return outcome(
        f"at least {duration(off)} off this machine's clock" if off else "that of this machine",
        {"difference": Value(off, "seconds", *system.thresholds.clock_offset_seconds)},
    )


@check(
    "database.connections",
    "Connections to PostgreSQL",
    section=Section.HOST,
    looks_at="pg_stat_activity, relative to max_connections",
    commands=(psql("SELECT count(*) FROM pg_stat_activity;"),),
    remedy="See who holds them (--details). `database.activity` names those that are idle in a transaction,"
    " and how to end each.",
)
async def connections(system: SystemView) -> CheckOutcome:
    try:
        rows = await system.postgres.rows("sessions")
    except NoConnectionLeft as error:
        # This is the state that the check looks for, and it leaves no connection to look with.
        return outcome(str(error), least=Verdict.CRITICAL)
    used, most = sum(row["sessions"] for row in rows), rows[0]["most"]
    return outcome(
        f"{used} of {most} in use",
        {
            "used": Value(used / most, "ratio", *system.thresholds.connections_ratio),
            "connections": Value(used),
        },
        Table(
            "sessions",
            ["role", "application", "state", "sessions", "oldest"],
            [
                [r["role"], r["application"], r["state"], str(r["sessions"]), duration(r["oldest"])]
                for r in rows
            ],
        ),
    )


@check(
    "database.size",
    "Size of the database",
    section=Section.HOST,
    looks_at="pg_database_size and the largest tables",
    commands=(psql("SELECT pg_size_pretty(pg_database_size('chitlaq'));"),),
    remedy="Find what is large (--details); `capacity.database` forecasts when the disk is full.",
)
async def database_size(system: SystemView) -> CheckOutcome:
    rows = await system.postgres.rows("tables")
    if not rows:
        raise UnknownResult("this database has no tables: is it the right one, and is it migrated?")
    total = rows[0]["database_bytes"]
    return outcome(
        f"{size(total)} in total; largest table: {rows[0]['name']}",
        {"size": Value(total, "bytes", *system.thresholds.database_size_bytes)},
        Table(
            "largest tables",
            ["table", "size", "thereof indexes", "estimated rows"],
            [
                [r["name"], size(r["bytes"]), size(r["index_bytes"]), f"{r['rows']:,.0f}"]
                for r in rows
            ],
        ),
    )


@check(
    "database.slow_statements",
    "Slow statements",
    section=Section.HOST,
    looks_at="pg_stat_statements, by mean time",
    commands=(
        psql(
            "SELECT query, mean_exec_time, calls FROM pg_stat_statements"
            " WHERE mean_exec_time > 1000 ORDER BY mean_exec_time DESC LIMIT 10;"
        ),
    ),
    remedy="The leading comment names service and query. EXPLAIN (ANALYZE, BUFFERS) it, and check its index.",
)
async def slow_statements(system: SystemView) -> CheckOutcome:
    if not (await system.postgres.rows("has_statements"))[0]["is_there"]:
        raise NotApplicable(
            "pg_stat_statements is not loaded in this server (shared_preload_libraries)"
        )
    rows = await system.postgres.rows("statements_by_mean")
    slowest = max((row["mean_seconds"] for row in rows), default=0.0)
    return outcome(
        f"slowest mean time: {duration(slowest)}" if rows else "no statement recorded yet",
        {"slowest_mean": Value(slowest, "seconds", *system.thresholds.statement_seconds)},
        Table(
            "by mean time",
            ["mean", "calls", "total", "role", "statement"],
            [
                [
                    duration(r["mean_seconds"]),
                    f"{r['calls']:,}",
                    duration(r["total_seconds"]),
                    r["role"],
                    " ".join(r["query"].split())[:QUERY_WIDTH],
                ]
                for r in rows
            ],
        ),
    )


@check(
    "database.cache",
    "PostgreSQL cache hit ratio",
    section=Section.PERFORMANCE,
    looks_at="pg_stat_database: blocks found in shared_buffers, relative to all blocks read",
    commands=(psql("SELECT blks_hit, blks_read FROM pg_stat_database WHERE datname = 'chitlaq';"),),
    remedy="Raise shared_buffers (to a quarter of memory), or add an index: see `database.slow_statements`.",
)
async def cache(system: SystemView) -> CheckOutcome:
    (row,) = await system.postgres.rows("cache")
    reads = row["blks_hit"] + row["blks_read"]
    if reads < FEW_READS:
        raise NotYet(f"only {count(reads, 'block')} read since startup, too few to judge")
    ratio = row["blks_hit"] / reads
    return outcome(
        f"{share(ratio)} of {reads:,} blocks were found in memory",
        {"hit_ratio": Value(ratio, "ratio", *system.thresholds.cache_hit_ratio)},
    )


@check(
    "database.dead_rows",
    "Dead rows",
    section=Section.MAINTENANCE,
    looks_at="pg_stat_user_tables",
    commands=(
        psql(
            "SELECT relname, n_live_tup, n_dead_tup, last_autovacuum FROM pg_stat_user_tables"
            " ORDER BY n_dead_tup DESC LIMIT 10;"
        ),
    ),
    remedy="`chitlaq ops do vacuum TABLE`. If they remain, look for an old transaction: `database.activity`.",
)
async def dead_rows(system: SystemView) -> CheckOutcome:
    rows = await system.postgres.rows("dead_rows")
    large = [row for row in rows if row["live"] + row["dead"] >= FEW_ROWS]
    ratios = {row["name"]: row["dead"] / (row["live"] + row["dead"]) for row in large}
    name, most = max(ratios.items(), key=lambda pair: pair[1], default=("", 0.0))
    return outcome(
        f"{share(most)} of the rows of {name} are dead"
        if name
        else "no table is large enough to judge",
        {"most": Value(most, "ratio", *system.thresholds.dead_rows_ratio)},
        Table(
            "tables",
            ["table", "live", "dead", "last vacuum"],
            [
                [
                    r["name"],
                    f"{r['live']:,}",
                    f"{r['dead']:,}",
                    f"{r['vacuumed']:%Y-%m-%d %H:%M}" if r["vacuumed"] else "never",
                ]
                for r in rows[:SHOWN_TABLES]
            ],
        ),
    )


@check(
    "redis.ready",
    "Valkey",
    section=Section.HOST,
    looks_at="PING, and a script that is refused wherever a write is",
    commands=(
        "chitlaq exec redis redis-cli ping",
        "chitlaq exec redis redis-cli info replication memory persistence",
    ),
    remedy="`chitlaq logs redis --tail 50`. Without Valkey everything is slower, but no data is lost. If it"
    " refuses writes: `replicaof no one` makes a replica a server of its own, a higher `maxmemory` or"
    " the policy allkeys-lru frees a full memory, and space on its disk lets it save.",
    is_timed=True,
    stands_on=(DISK,),
)
async def redis_ready(system: SystemView) -> CheckOutcome:
    for patience in (True, True, False):
        started = time.perf_counter()
        try:
            await system.valkey.require_writes()
        except UnknownResult as error:
            # The client gives up after half a second, which a busy machine alone can use up.
            if not patience:
                why = await system.why_nothing_runs()
                return outcome(str(error), least=Verdict.CRITICAL, because=why)
            await asyncio.sleep(PATIENCE_SECONDS)
        else:
            break
    seconds = time.perf_counter() - started
    nodes = await system.valkey.info("server")
    versions = {
        facts.get("valkey_version") or facts.get("redis_version", "?") for facts in nodes.values()
    }
    said = f"version {' and '.join(sorted(versions))}, answered in {duration(seconds)}"
    return outcome(
        said if len(nodes) == 1 else f"{len(nodes)} nodes of a cluster: {said}",
        {"answer": Value(seconds, "seconds", *system.thresholds.answer_seconds)},
    )


@check(
    "redis.memory",
    "Valkey memory",
    section=Section.HOST,
    looks_at="INFO memory",
    commands=("chitlaq exec redis redis-cli info memory",),
    remedy="Valkey evicts the oldest keys on its own; a higher `maxmemory` keeps more timelines cached.",
)
async def redis_memory(system: SystemView) -> CheckOutcome:
    nodes = await system.valkey.info("memory")
    pairs = {
        node: (float(facts["used_memory"]), float(facts["maxmemory"]))
        for node, facts in nodes.items()
    }
    values = {"used": Value(sum(used for used, _ in pairs.values()), "bytes")}
    if ratios := [used / most for used, most in pairs.values() if most]:
        # A node evicts its own keys, however much is free on the others.
        values["used_ratio"] = Value(max(ratios), "ratio", *system.thresholds.valkey_memory_ratio)
    return outcome(
        _by_node(
            {
                node: f"{size(used)} of {size(most)}" if most else f"{size(used)}, without a limit"
                for node, (used, most) in pairs.items()
            }
        ),
        values,
    )


@check(
    "redis.clients",
    "Valkey clients",
    section=Section.HOST,
    looks_at="INFO clients, relative to maxclients",
    commands=("chitlaq exec redis redis-cli info clients",),
    remedy="`chitlaq exec redis redis-cli client list` lists them.",
)
async def redis_clients(system: SystemView) -> CheckOutcome:
    nodes = await system.valkey.info("clients")
    pairs = {
        node: (float(facts["connected_clients"]), float(facts.get("maxclients", 10_000)))
        for node, facts in nodes.items()
    }
    used = max(connected / most for connected, most in pairs.values())
    return outcome(
        _by_node(
            {
                node: f"{connected:.0f} of {most:.0f} connected"
                for node, (connected, most) in pairs.items()
            }
        ),
        {
            "used": Value(used, "ratio", *system.thresholds.connections_ratio),
            "connected": Value(sum(connected for connected, _ in pairs.values())),
            "blocked": Value(_total(nodes, "blocked_clients")),
        },
    )


@check(
    "redis.stats",
    "Valkey statistics",
    section=Section.HOST,
    looks_at="INFO stats",
    commands=("chitlaq exec redis redis-cli info stats",),
    remedy="For refused connections, raise maxclients. For evicted keys, raise maxmemory.",
)
async def redis_stats(system: SystemView) -> CheckOutcome:
    nodes = await system.valkey.info("stats")
    hits, misses = _total(nodes, "keyspace_hits"), _total(nodes, "keyspace_misses")
    commands = _total(nodes, "instantaneous_ops_per_sec")
    refused = _total(nodes, "rejected_connections")
    values = {
        "commands_per_second": Value(commands),
        "refused": Value(refused),
        "evicted": Value(_total(nodes, "evicted_keys")),
    }
    said = f"{commands:.0f} commands/s"
    if hits + misses:
        values["hit_ratio"] = Value(hits / (hits + misses), "ratio")
        said += f", {share(hits / (hits + misses))} of look-ups hit"
    if refused:
        said += f"; {count(refused, 'connection')} refused since startup"
    return outcome(said, values, least=Verdict.WARNING if refused else Verdict.OK)


def _by_node(said: Mapping[str, str]) -> str:
    """What is said of the server, or of each node of a cluster."""
    if len(said) == 1:
        return next(iter(said.values()))
    return "; ".join(f"{node}: {one}" for node, one in sorted(said.items()))


def _total(nodes: Mapping[str, Mapping[str, str]], field: str) -> float:
    return sum(float(facts.get(field, 0)) for facts in nodes.values())
