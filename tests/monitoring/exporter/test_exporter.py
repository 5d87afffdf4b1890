"""ops-service's figures match the components; what cannot be read is absent, not invented."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from chitlaq.cli.metrics import declared_metrics
from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.installation.settings_loading import load
from chitlaq.logs import rotation
from chitlaq.logs.access import PROBE_AGENT
from chitlaq.logs.follow import Follower
from chitlaq.monitoring.exporter import certificates, exporter, log_errors
from chitlaq.monitoring.exporter.fail2ban import Bans
from chitlaq.monitoring.exporter.member_probes import PATHS, MemberProbes
from chitlaq.monitoring.exporter.receiving import Receiving
from chitlaq.monitoring.exporter.round_trips import CHAT, POST, RoundTrips
from chitlaq.monitoring.exporter.synthetic_requests import SERVICES, SyntheticRequests
from chitlaq.stack.servers.postgres import programs
from tests.certificates import chained, self_signed
from tests.conftest import PASSWORD, Member, Stack, eventually, free_ports
from tests.ops.checks.conftest import answering

Join = Callable[[], Awaitable[Member]]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(stack: Stack) -> Samples:
    async with httpx.AsyncClient(timeout=10) as client:
        answer = await client.get(f"http://127.0.0.1:{stack.ports['ops']}/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


async def test_sessions_and_locks_are_counted(stack: Stack) -> None:
    before = value(
        await scrape(stack), "postgresql_connections_active", state="idle_in_transaction"
    )
    assert before is not None
    connections = [await asyncpg.connect(stack.dsn()) for _ in range(3)]
    try:
        for connection in connections:
            await connection.execute("BEGIN")
            await connection.execute("LOCK TABLE feed.blocks IN ROW EXCLUSIVE MODE")
        samples = await scrape(stack)
        now = value(samples, "postgresql_connections_active", state="idle_in_transaction")
        assert now == before + 3
        assert (value(samples, "postgresql_locks_count", mode="RowExclusiveLock") or 0) >= 3
        assert (value(samples, "postgresql_oldest_transaction_seconds") or 0) > 0
        assert value(samples, "postgresql_connections_max") == 120
    finally:
        for connection in connections:
            await connection.close()


async def test_accounts_and_waiting_deliveries_are_counted(stack: Stack, join: Join) -> None:
    before = await scrape(stack)
    member = await join()
    post = await member.write("to be delivered")
    await stack.sql(
        "INSERT INTO jobs.jobs (kind, payload, request_id, due_at) VALUES"
        " ('deliver_post', jsonb_build_object('post_id', $1::text), 'test', now() + interval '1 hour')",
        post["id"],
    )
    try:
        after = await scrape(stack)
    finally:
        await stack.sql("DELETE FROM jobs.jobs WHERE request_id = 'test'")
    verified = value(before, "accounts", state="verified")
    assert verified is not None
    assert value(after, "accounts", state="verified") == verified + 1
    assert (value(after, "feed_deliveries_waiting") or 0) >= 1
    assert (value(after, "jobs_waiting", kind="deliver_post") or 0) >= 1


async def test_member_is_active_once_on_however_many_devices(stack: Stack, join: Join) -> None:
    queries = postgres.load_queries("chitlaq.monitoring.exporter", "test")
    database = Database(stack.dsn("chitlaq_ops"), "test", queries)

    async def active() -> dict[str, float]:
        (family,) = await exporter.active_members(database)
        return {sample.labels["window"]: sample.value for sample in family.samples}

    async def used(member: Member, days: int) -> None:
        await stack.sql(
            "UPDATE auth.sessions SET last_used_at = now() - make_interval(days => $2)"
            " WHERE account_id = $1::text::uuid",
            member.id,
            days,
        )

    try:
        before = await active()
        ada, bob, eve, old = [await join() for _ in range(4)]
        again = {"login": ada.username, "password": PASSWORD}
        assert (await ada.client.post("/api/auth/login", json=again)).status_code == 200
        for member, days in ((bob, 3), (eve, 20), (old, 40)):
            await used(member, days)
        after = await active()
    finally:
        await database.close()
    assert {window: after[window] - before[window] for window in after} == {
        "1d": 1, "7d": 2, "30d": 3
    }  # fmt: skip


async def test_database_with_another_clock_is_noticed(stack: Stack) -> None:
    await stack.sql("CREATE SCHEMA skewed")
    await stack.sql(
        "CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql"
        " AS $$SELECT pg_catalog.clock_timestamp() + interval '1 hour'$$"
    )
    await stack.sql("GRANT USAGE ON SCHEMA skewed TO chitlaq_ops")
    queries = postgres.load_queries("chitlaq.monitoring.exporter", "test")
    dsn = f"{stack.dsn('chitlaq_ops')}?search_path=skewed,pg_catalog"
    database = Database(dsn, "test", queries)
    try:
        metrics = {
            metric.name: metric
            for metric in await exporter.postgres(database, Settings(), Receiving())
        }
        (sample,) = metrics["clock_difference_seconds"].samples
        assert sample.labels == {"component": "postgres"}
        assert round(sample.value / 60) == 60
    finally:
        await database.close()
        await stack.sql("DROP SCHEMA skewed CASCADE")
    same = value(await scrape(stack), "clock_difference_seconds", component="postgres")
    assert same is not None
    assert round(same / 60) == 0


async def test_replication_slot_outlives_its_reader(stack: Stack) -> None:
    await stack.sql("SELECT pg_create_physical_replication_slot('left_alone', true)")
    try:
        samples = await scrape(stack)
        assert value(samples, "postgresql_replication_slot_active", slot="left_alone") == 0
        retained = value(samples, "postgresql_replication_slot_retained_bytes", slot="left_alone")
        assert retained is not None
        await stack.sql("SELECT pg_logical_emit_message(false, 'test', repeat('x', 100000), true)")
        now = value(
            await scrape(stack), "postgresql_replication_slot_retained_bytes", slot="left_alone"
        )
        assert now is not None
        assert now >= retained + 100_000
    finally:
        await stack.sql("SELECT pg_drop_replication_slot('left_alone')")


@contextmanager
def receiver(stack: Stack, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A standby as PostgreSQL sees it: it receives WAL and reports its position."""
    folder.mkdir()
    process = subprocess.Popen(
        [
            programs(Settings()) / "pg_receivewal",
            f"--dbname={stack.dsn()}?application_name=twins",
            f"--directory={folder}",
            "--status-interval=1",
            "--no-loop",
        ]
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_slowest_of_standbys_with_one_name_counts(stack: Stack, tmp_path: Path) -> None:
    lags = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), write_lsn) AS lag FROM pg_stat_replication"
    twins = f"{lags} WHERE application_name = 'twins'"

    async def lag() -> float | None:
        return value(await scrape(stack), "postgresql_replication_lag_bytes", application="twins")

    with (
        # It has confirmed nothing, so its lag is unknown.
        psycopg.connect(stack.dsn(), replication="true", application_name="mute", autocommit=True),
        receiver(stack, tmp_path / "a") as one,
        receiver(stack, tmp_path / "b") as other,
    ):

        async def both_follow() -> bool:
            found = [row["lag"] for row in await stack.sql(twins)]
            return len(found) == 2 and all(lag is not None and lag < 10_000 for lag in found)

        for stopped in (one, other):
            await eventually(both_follow)
            stopped.send_signal(signal.SIGSTOP)
            await stack.sql(
                "SELECT pg_logical_emit_message(false, 'test', repeat('x', 300000), true)"
            )

            async def one_follows() -> bool:
                found = sorted(row["lag"] for row in await stack.sql(twins))
                return bool(found[0] < 10_000 and found[1] > 300_000)

            await eventually(one_follows)
            assert (await lag() or 0) > 300_000
            stopped.send_signal(signal.SIGCONT)
        samples = await scrape(stack)
    assert value(samples, "postgresql_replication_lag_bytes", application="mute") is None


async def test_errors_of_components_without_metrics_are_counted(stack: Stack) -> None:
    async def errors() -> float | None:
        return value(await scrape(stack), "log_lines_total", service="postgres", level="error")

    before = await errors()
    assert before is not None, "what has not happened yet is 0"
    for _ in range(7):
        with pytest.raises(asyncpg.DivisionByZeroError):
            await stack.sql("SELECT 1 / 0")

    async def are_counted() -> bool:
        return (await errors() or 0) >= before + 7

    await eventually(are_counted)


def test_each_error_is_counted_once_through_rotations(tmp_path: Path) -> None:
    path = tmp_path / "postgres.log"
    error = b"2026-11-23 14:24:53.351 UTC [7] a@b c ERROR:  division by zero\n"
    plain = b"2026-11-23 14:24:53.351 UTC [7] a@b c LOG:  checkpoint starting: time\n"
    path.write_bytes(9 * error)
    log = Follower(path, is_from_end=True)
    assert log_errors.new_errors(log) == 0, "what was there before is not new"

    def write(data: bytes) -> None:
        with path.open("ab") as file:
            file.write(data)

    write(plain + 2 * error + error[:20])
    assert log_errors.new_errors(log) == 2
    write(error[20:])
    assert log_errors.new_errors(log) == 1
    write(3 * error)
    rotation.rotate(path, 4)
    assert log_errors.new_errors(log) == 3, "the new file need not be there yet"
    write(4 * error)
    assert log_errors.new_errors(log) == 4
    assert log_errors.new_errors(log) == 0
    later = Follower(tmp_path / "nginx.log", is_from_end=True)
    assert log_errors.new_errors(later) == 0
    (tmp_path / "nginx.log").write_bytes(b"2026/11/23 14:24:53 [crit] 7#7: no room\n")
    assert log_errors.new_errors(later) == 1


async def test_hanging_component_loses_only_its_own_metrics(stack: Stack) -> None:
    samples = await scrape(stack)
    for component in ("postgres", "redis", "nginx"):
        assert value(samples, "component_up", component=component) == 1
    errors = value(samples, "exporter_errors_total", source="redis")
    assert errors is not None
    pid = stack.ps()["redis"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        samples = await scrape(stack)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert value(samples, "component_up", component="redis") == 0
    assert value(samples, "component_up", component="postgres") == 1
    assert value(samples, "exporter_errors_total", source="redis") == errors + 1
    assert value(samples, "valkey_memory_bytes") is None, "what was not read is not there"

    async def is_back() -> bool:
        return value(await scrape(stack), "component_up", component="redis") == 1

    await eventually(is_back)


async def test_each_metric_is_exported_once_and_a_scrape_costs_little(
    stack: Stack,
) -> None:
    homes: dict[str, set[str]] = {}
    declared = {entry.name: entry for entry in declared_metrics()}
    async with httpx.AsyncClient(timeout=10) as client:
        for name in ("gateway", "websocket", "feed", "search", "auth", "ops"):
            url = f"http://127.0.0.1:{stack.ports[name]}/metrics"
            scraping, reading = [], []
            for _ in range(5):
                answer = await client.get(url)
                scraping.append(answer.elapsed.total_seconds())
                begun = time.perf_counter()
                families = list(text_string_to_metric_families(answer.text))
                reading.append(time.perf_counter() - begun)
            assert answer.status_code == 200
            for family in families:
                assert family.documentation, family.name
                full = f"{family.name}_total" if family.type == "counter" else family.name
                for sample in family.samples:
                    labels = sample.labels.keys() - {"le"}
                    assert labels == set(declared[full].labels), f"{full} is not as docs/metrics.md"
                homes.setdefault(family.name, set()).add(name)
            # Both grow with the samples and with the machine's load; merging the processes' files must not
            # cost more. `chitlaq bench` says how many milliseconds it takes.
            assert min(scraping) < 5 * min(reading), f"{name}: {scraping}, {reading}"
    assert homes["websocket_connections_active"] == {"websocket"}
    assert homes["auth_attempts"] == {"auth"}
    assert homes["event_loop_lag_seconds"] == {
        "gateway", "websocket", "feed", "search", "auth", "ops"
    }  # fmt: skip


async def test_first_burst_on_every_route_begins_at_zero(stack: Stack) -> None:
    """At the services and at the gateway: a series that starts at 400 has no increase."""
    async with httpx.AsyncClient(timeout=10) as client:

        async def begun(port: str) -> set[tuple[str, str, str]]:
            answer = await client.get(f"http://127.0.0.1:{stack.ports[port]}/metrics")
            return {
                (sample.labels["method"], sample.labels["route"], sample.labels["status"])
                for family in text_string_to_metric_families(answer.text)
                for sample in family.samples
                if sample.name == "http_requests_total"
            }

        # A template is the same in its declaration and in its metric.
        path = "/users/nobody/followers"
        assert (await client.get(f"{stack.gateway}/api{path}")).status_code == 404
        template = "/users/{username}/followers"
        at_gateway = await begun("gateway")
        ports = ("feed", "search", "auth", "websocket", "ops")
        at_services = set[tuple[str, str, str]]().union(*[await begun(port) for port in ports])
        document = (await client.get(f"{stack.gateway}/api/openapi.json")).json()
    declared = {
        (method.upper(), route)
        for route, methods in document["paths"].items()
        for method in methods
    }
    assert ("POST", "/api/posts") in declared
    # A socket has statuses of its own, which websocket counts.
    for method, route in declared - {("GET", "/ws")}:
        for status in ("401", "500", "503"):
            assert (method, route, status) in at_gateway
            assert (method, route.removeprefix("/api"), status) in at_services
    for status in ("200", "500", "503"):
        assert ("GET", "/health", status) in at_gateway
    for counted, prefix in ((at_gateway, "/api"), (at_services, "")):
        named = {route for _, route, _ in counted if route.endswith("/{username}/followers")}
        assert named == {prefix + template}


async def test_certificate_expiry_comes_from_files_and_endpoints(tmp_path: Path) -> None:
    long, long_key = self_signed(tmp_path / "40.pem", days=40)
    ended, _ = self_signed(tmp_path / "-2.pem", days=-2)
    broken = tmp_path / "broken.pem"
    broken.write_text("not a certificate")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(long, long_key)
    server = await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1", 0, ssl=context)
    endpoint = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    chain, chain_key = chained(tmp_path / "chain.pem", 60, 5)
    (tmp_path / "chain.pem").write_text("".join(chain))
    other = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    other.load_cert_chain(tmp_path / "chain.pem", chain_key)
    six = await asyncio.start_server(lambda _, w: w.close(), "::1", 0, ssl=other)
    endpoint6 = f"[::1]:{six.sockets[0].getsockname()[1]}"
    async with server, six:
        absent = tmp_path / "absent.pem"
        watched = [str(long), str(ended), str(broken), str(absent), endpoint, endpoint6]
        family, readable, right = await certificates.metrics_of(
            dict.fromkeys(watched, certificates.Watched())
        )
        wrong = await certificates.metrics_of({endpoint6: certificates.Watched("www.example.edu")})
    assert {s.labels["name"]: s.value for s in right.samples} == {
        str(long): 1, str(ended): 1, endpoint: 1, endpoint6: 1
    }  # fmt: skip
    assert [s.value for s in wrong[2].samples] == [0]
    assert {s.labels["name"]: s.value for s in readable.samples} == {
        str(long): 1, str(ended): 1, str(broken): 0, str(absent): 0, endpoint: 1, endpoint6: 1
    }, "one that was never read is told of, too"  # fmt: skip
    left = {(s.labels["source"], s.labels["name"]): s.value / 86_400 for s in family.samples}
    assert left.keys() == {
        ("file", str(long)),
        ("file", str(ended)),
        ("endpoint", endpoint),
        ("endpoint", endpoint6),
    }
    assert round(left["file", str(long)]) == 40
    assert round(left["file", str(ended)]) == -2
    assert round(left["endpoint", endpoint]) == 40
    assert round(left["endpoint", endpoint6]) == 5, "of its chain, the first ends"


def make_bans(path: Path) -> None:
    """fail2ban's database, with two bans in one of two jails."""
    with sqlite3.connect(path) as database:
        # As fail2ban 1.0 creates it (server/database.py).
        database.executescript(
            "CREATE TABLE jails(name TEXT NOT NULL UNIQUE, enabled INTEGER NOT NULL DEFAULT 1);"
            "CREATE TABLE bans(jail TEXT NOT NULL, ip TEXT, timeofban INTEGER NOT NULL,"
            " bantime INTEGER NOT NULL, bancount INTEGER NOT NULL default 1, data JSON);"
            "INSERT INTO jails VALUES ('sshd', 1), ('chitlaq', 1);"
            "INSERT INTO bans VALUES ('sshd', '192.0.2.1', 1, 600, 1, '{}'),"
            " ('sshd', '192.0.2.2', 2, 600, 1, '{}');"
        )


async def test_bans_come_from_fail2bans_own_database(tmp_path: Path) -> None:
    path = tmp_path / "fail2ban.sqlite3"
    bans = Bans(str(path))
    assert await bans.metrics() == [], "no fail2ban, no metric"
    make_bans(path)

    async def counted() -> dict[str, float]:
        (family,) = await bans.metrics()
        return {sample.labels["jail"]: sample.value for sample in family.samples}

    def change(statement: str) -> None:
        with sqlite3.connect(path) as database:
            database.execute(statement)

    assert await counted() == {"sshd": 2, "chitlaq": 0}
    insert = "INSERT INTO bans VALUES ('sshd', '192.0.2.{}', {}, 600, 1, '{{}}')"
    change("DELETE FROM bans WHERE timeofban = 1")
    assert await counted() == {"sshd": 2, "chitlaq": 0}, "fail2ban forgot one after its day"
    change(insert.format(3, 3))
    assert await counted() == {"sshd": 3, "chitlaq": 0}
    change("DELETE FROM bans")
    assert await counted() == {"sshd": 3, "chitlaq": 0}, "nobody was banned for a day"
    change(insert.format(4, 90_000))
    assert await counted() == {"sshd": 4, "chitlaq": 0}, "also where rows are numbered anew"
    change("DELETE FROM jails WHERE name = 'sshd'")
    assert await counted() == {"sshd": 4, "chitlaq": 0}, "nor when the jail goes"


async def test_largest_tables_are_measured(stack: Stack, join: Join) -> None:
    queries = postgres.load_queries("chitlaq.monitoring.exporter", "test")
    database = Database(stack.dsn("chitlaq_ops"), "test", queries)
    try:
        metrics = {metric.name: metric for metric in await exporter.growing(database)}
    finally:
        await database.close()
    sizes = {
        sample.labels["table"]: sample.value
        for sample in metrics["postgresql_table_size_bytes"].samples
    }
    (row,) = await stack.sql("SELECT pg_total_relation_size('websocket.messages') AS bytes")
    assert sizes["websocket.messages"] == pytest.approx(row["bytes"], rel=0.5)


async def test_round_trip_of_a_message_is_measured_and_its_failure_told(
    stack: Stack,
) -> None:
    home = Home(stack.home)

    async def measured(**variables: str) -> dict[str, float]:
        settings = load(home, stack.environment | variables)
        trips = RoundTrips(home, settings, CHAT, SyntheticRequests())
        arrived = await trips.measure()
        found = {metric.name: metric.samples[0].value for metric in await trips.metrics()}
        assert arrived == (found.get("chat_round_trip_ok") == 1)
        return found

    (closed,) = free_ports(1)
    well = await measured()
    assert well.pop("chat_round_trip_seconds") > 0
    assert well == {"chat_round_trip_ok": 1}
    assert await measured(CHITLAQ_PORTS_EDGE=str(closed)) == {"chat_round_trip_ok": 0}
    # Whoever cannot be signed in says nothing about messages.
    assert await measured(CHITLAQ_PORTS_AUTH=str(closed)) == {}


async def test_post_that_is_not_read_as_it_was_written_is_told(stack: Stack) -> None:
    home = Home(stack.home)

    async def measured(**variables: str) -> dict[str, float]:
        settings = load(home, stack.environment | variables)
        trips = RoundTrips(home, settings, POST, SyntheticRequests())
        await trips.measure()
        return {metric.name: metric.samples[0].value for metric in await trips.metrics()}

    well = await measured()
    assert well.pop("post_round_trip_seconds") > 0
    assert well == {"post_round_trip_ok": 1}
    (closed,) = free_ports(1)
    assert await measured(CHITLAQ_PORTS_EDGE=str(closed)) == {"post_round_trip_ok": 0}
    with answering(b'{"id": "1", "text": "somebody else\'s"}', status=201) as port:
        assert await measured(CHITLAQ_PORTS_EDGE=port) == {"post_round_trip_ok": 0}


@pytest.fixture
async def expecting(stack: Stack) -> AsyncIterator[Database]:
    """Where probes look up what has to be in the answers."""
    queries = postgres.load_queries("chitlaq.monitoring.expected", "test")
    database = Database(stack.dsn("chitlaq_ops"), "test", queries)
    yield database
    await database.close()


async def probed(stack: Stack, database: Database, **variables: str) -> dict[str, dict[str, float]]:
    home = Home(stack.home)
    settings = load(home, stack.environment | variables)
    probes = MemberProbes(settings, database, SyntheticRequests())
    await probes.measure()
    return {
        metric.name: {one.labels["service"]: one.value for one in metric.samples}
        for metric in await probes.metrics()
    }


async def test_probes_ask_as_members_do_and_are_not_counted_as_members(
    stack: Stack, expecting: Database, join: Join
) -> None:
    member = await join()
    await member.write("The latest.", visibility="public")
    well = await probed(stack, expecting)
    assert well["probe_ok"] == dict.fromkeys(PATHS, 1)
    assert well["probe_seconds"].keys() == PATHS.keys()
    (closed,) = free_ports(1)
    assert await probed(stack, expecting, CHITLAQ_PORTS_EDGE=str(closed)) == {
        "probe_ok": dict.fromkeys(PATHS, 0),
        "probe_seconds": {},
    }


@pytest.mark.parametrize(
    ("service", "answer"),
    [
        ("auth-service", b'{"authenticated":true}'),
        ("auth-service", b'{"items":[]}'),
        ("feed-service", b'{"items":[]}'),
        ("feed-service", b'{"items":[{"id":"00000000-0000-7000-8000-000000000000"}]}'),
        ("search-service", b'{"items":[]}'),
        (
            "search-service",
            b'{"items":[{"id":"00000000-0000-7000-8000-000000000000","username":"somebody.else"}]}',
        ),
    ],
    ids=["another's", "no status", "no post", "old posts", "nobody", "somebody else"],
)
async def test_probe_is_not_content_with_an_answer_that_lacks_what_has_to_be_in_it(
    stack: Stack, expecting: Database, join: Join, service: str, answer: bytes
) -> None:
    """An answer of the right form may be empty, old or another's."""
    member = await join()
    await member.write("The latest.", visibility="public")

    with answering(answer) as port:
        found = await probed(stack, expecting, CHITLAQ_PORTS_EDGE=port)
    assert found["probe_ok"][service] == 0


async def test_probe_without_postgresql_does_not_know_what_has_to_be_there(stack: Stack) -> None:
    queries = postgres.load_queries("chitlaq.monitoring.expected", "test")
    (closed,) = free_ports(1)
    away = Database(f"postgresql://nobody@127.0.0.1:{closed}/chitlaq", "test", queries)
    try:
        assert (await probed(stack, away))["probe_ok"]["auth-service"] == 1
    finally:
        await away.close()


async def counted(requests: SyntheticRequests) -> dict[tuple[str, str], float]:
    """How many requests of our own there were, by service and result, without zeros."""
    (family,) = await requests.metrics()
    return {
        (one.labels["service"], one.labels["result"]): one.value
        for one in family.samples
        if one.value
    }


async def test_objectives_have_requests_while_members_sleep(
    stack: Stack, expecting: Database
) -> None:
    """What nobody can write fails in the objectives, too, although no member tries."""
    home = Home(stack.home)
    settings = load(home, stack.environment)
    requests = SyntheticRequests(settled_seconds=0)
    trips = [RoundTrips(home, settings, kind, requests) for kind in (CHAT, POST)]
    await MemberProbes(settings, expecting, requests).measure()
    for trip in trips:
        await trip.measure()
    well = await counted(requests)
    assert sum(well.values()) == 5
    assert {service for service, _ in well} == set(SERVICES)
    assert "failed" not in {result for _, result in well}

    locker = await asyncpg.connect(stack.dsn())
    try:
        await locker.execute("BEGIN; LOCK TABLE feed.posts IN SHARE MODE")
        assert not await trips[1].measure()
    finally:
        await locker.close()
    (closed,) = free_ports(1)
    away = load(home, stack.environment | {"CHITLAQ_PORTS_AUTH": str(closed)})
    assert not await RoundTrips(home, away, POST, requests).measure()
    assert await counted(requests) == well | {
        ("feed-service", "failed"): 1,
        ("auth-service", "failed"): 1,
    }


async def test_services_that_start_together_are_given_time_before_they_count() -> None:
    requests = SyntheticRequests()
    requests.count("feed-service", None)
    assert await counted(requests) == {}


async def test_only_this_machine_is_its_probe(stack: Stack, client: httpx.AsyncClient) -> None:
    """Whoever calls itself our probe elsewhere is counted; the probe itself is not."""
    auth = f"http://127.0.0.1:{stack.ports['auth']}/metrics"

    async def counted(url: str = "/metrics", route: str = "/api/auth/status") -> float:
        text = (await client.get(url)).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == "http_requests_total" and sample.labels["route"] == route
        )

    before = await counted()
    of_auth = await counted(auth, "/auth/status")
    for source in ("127.0.0.1", "127.0.0.7"):
        transport = httpx.AsyncHTTPTransport(local_address=source)
        async with httpx.AsyncClient(base_url=stack.edge, transport=transport) as asking:
            answer = await asking.get("/api/auth/status", headers={"User-Agent": PROBE_AGENT})
            assert answer.status_code == 200

    async def is_counted() -> bool:
        return await counted() > before

    await eventually(is_counted)
    assert await counted() == before + 1
    assert await counted(auth, "/auth/status") == of_auth + 1
