"""The real observers: fetched, configured, reloaded; PromQL matches what was done."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio.client import connect

from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import ProofResult, Record
from chitlaq.core.installation.home import Home
from chitlaq.monitoring.alerts import databases, registry, sites, slos
from chitlaq.monitoring.dashboards import sites as sites_dashboard
from chitlaq.monitoring.dashboards.all_dashboards import DASHBOARDS
from chitlaq.ops.database.database import OpsDatabase, statement
from tests.certificates import self_signed
from tests.conftest import Stack, become_member, eventually, free_ports, start_stack, stop_stack
from tests.monitoring.dashboards.test_dashboards import metrics_of
from tests.monitoring.exporter.test_exporter import make_bans

OBSERVERS = ("node-exporter", "prometheus", "alertmanager")

RUNBOOK = (
    "postgresql_query_duration_seconds",
    "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[5m])))",
    "sum(rate(http_requests_total[5m]))",
    'sum(rate(http_requests_total{status=~"4.."}[5m]))',
    (
        "histogram_quantile(0.95, sum by (le)"
        ' (rate(http_request_duration_seconds_bucket{route="/api/feed/home"}[5m])))'
    ),
    "histogram_quantile(0.95, sum by (le) (rate(postgresql_query_duration_seconds_bucket[5m])))",
    "postgresql_connections_active",
    "postgresql_cache_hit_ratio",
    "postgresql_database_size_bytes",
    "postgresql_locks_count",
    "rate(postgresql_transactions_total[5m])",
    "websocket_connections_active",
    "node_cpu_seconds_total",
    "node_memory_MemAvailable_bytes",
    "node_filesystem_avail_bytes",
    "node_load1",
)
"""The runbook's own queries, corrected where its line never ran (design.md says which)."""


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with observers, whose packages it fetches itself, as at a first start.

    It has what an installation has after some days: backups, a certificate, bans, a standby's slot.
    """
    if shutil.which("apt-get") is None and shutil.which("prometheus") is None:
        pytest.skip("neither a package client nor Prometheus is on this machine")
    folder = tmp_path_factory.mktemp("watched")
    certificate, _ = self_signed(folder / "40.pem", days=40)
    make_bans(folder / "fail2ban.sqlite3")
    (nobody,) = free_ports(1)
    stack = start_stack(
        CHITLAQ_MONITORING_EMBEDDED="true",
        CHITLAQ_MONITORING_SCRAPE_SECONDS="2",
        CHITLAQ_MONITORING_CERTIFICATES=str(certificate),
        CHITLAQ_MONITORING_FAIL2BAN_DATABASE=str(folder / "fail2ban.sqlite3"),
        CHITLAQ_BACKUPS_COPY_TO=str(folder / "vault"),
        # Mails are counted, and stay in the mailbox, where their links can be read.
        CHITLAQ_SMTP_HOST="127.0.0.1",
        CHITLAQ_SMTP_PORT=str(nobody),
    )
    make_backups(stack, str(folder / "vault"))
    try:
        stack.up()
        asyncio.run(stack.sql("SELECT pg_create_physical_replication_slot('standby', true)"))
        yield stack
    finally:
        stop_stack(stack)


def make_backups(stack: Stack, vault: str) -> None:
    """A backup of each kind, verified, restored and copied."""
    now = datetime.now(UTC)
    looked = ProofResult(now, is_good=True, detail="as it was", seconds=2.0, lost_seconds=1.0)
    for kind in ("full", "dump", "configuration"):
        record = Record(
            f"{kind}_1",
            kind,
            now,
            3.0,
            f"{kind}/1",
            1000,
            "0" * 64,
            verified=looked,
            drilled=looked,
        )
        records.write(stack.home / "backups", record)
        (stack.home / "backups" / kind).mkdir()
        (stack.home / "backups" / record.path).write_bytes(bytes(record.bytes))
    (stack.home / "backup").mkdir()
    (stack.home / "backup" / "log-copied").write_text(vault)


async def query(stack: Stack, expression: str) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(timeout=10) as client:
        return await ask(client, stack, expression)


async def ask(client: httpx.AsyncClient, stack: Stack, expression: str) -> list[dict[str, Any]]:
    answer = await client.get(
        f"http://127.0.0.1:{stack.ports['prometheus']}/api/v1/query", params={"query": expression}
    )
    body = answer.json()
    assert body["status"] == "success", f"{expression}: {body}"
    return list(body["data"]["result"])


async def observers_are_healthy(stack: Stack) -> None:
    async def are_settled() -> bool:
        rows = await asyncio.to_thread(stack.ps)
        missing = [rows[name] for name in OBSERVERS if rows[name]["state"] == "missing"]
        if missing:
            pytest.skip(missing[0]["reason"])
        return all(rows[name]["state"] == "healthy" for name in OBSERVERS)

    await eventually(are_settled, seconds=90)


# First: beside it, the stack of the others would be scraped.
async def test_without_the_observers_everything_else_runs_and_reports_them_missing() -> None:
    own = start_stack(CHITLAQ_MONITORING_EMBEDDED="true", PATH="/nonexistent")
    try:
        await asyncio.to_thread(own.up)

        def all_missing() -> bool:
            rows = own.ps()
            return all(rows[name]["state"] == "missing" for name in OBSERVERS)

        await eventually(lambda: asyncio.to_thread(all_missing))
        await eventually(lambda: asyncio.to_thread(lambda: own.command("ps").returncode == 0))
        assert "no package client" in own.ps()["prometheus"]["reason"]
        doctor = {row["name"]: row for row in own.json("doctor")}
        for name in OBSERVERS:
            assert doctor[name]["state"] == "unknown"
            assert f"There is no {name} on this machine" in doctor[name]["detail"]
        assert httpx.get(f"{own.gateway}/health").status_code == 200
    finally:
        stop_stack(own)


async def test_every_target_is_scraped(monitored: Stack) -> None:
    await observers_are_healthy(monitored)

    async def all_up() -> bool:
        found = await query(monitored, "up")
        return len(found) == 9 and all(sample["value"][1] == "1" for sample in found)

    await eventually(all_up)


async def test_queries_of_the_runbook_return_samples(monitored: Stack) -> None:
    await observers_are_healthy(monitored)
    async with httpx.AsyncClient(base_url=monitored.gateway, timeout=10) as client:
        missing = set(RUNBOOK)

        async def none_missing() -> bool:
            assert (await client.get("/api/feed/home?page=1&limit=10")).status_code == 200
            assert (await client.get("/api/nothing/here")).status_code == 404
            for expression in sorted(missing):
                if await query(monitored, expression):
                    missing.remove(expression)
            assert not missing, "\n".join(sorted(missing))
            return True

        await eventually(none_missing)


SITE_METRICS = {
    metric
    for expr in (
        *(asked.expr for panel in sites_dashboard.SITE.panels for asked in panel.queries),
        *(alert.expr for alert in sites.ALERTS),
    )
    for metric in re.findall(r"(?:patroni|etcd|site|sentinel|standby)_\w+", expr)
}
WITHOUT_SAMPLES = {
    "postgresql_archive_age_seconds": "nothing is archived",
    "postgresql_replication_lag_bytes": "there is no standby",
    "backup_log_receiving": "tests keep no archive of the log",
    "heartbeat_sent_timestamp_seconds": "nobody expects a heartbeat",
    "oncall_people_on_call": "nobody is configured",
    "rate_limited_members": "no limit refused anybody",
    "chat_round_trip_ok": "measured where operations are scheduled; test_exporter.py measures once",
    "chat_round_trip_seconds": "the same",
    "media_files_missing": "there are no pictures",
    "mail_server_up": "no mail server is set; tests/disasters plant one",
    "post_round_trip_ok": "the same",
    "post_round_trip_seconds": "the same",
    "probe_ok": "the same",
    "probe_seconds": "the same",
    "ssl_certificate_renewal_failures": "the certificate is the local authority's",
    "memory_limit_bytes": "no control group limits this machine's services",
    "memory_limit_available_bytes": "the same",
    "service_memory_limit_bytes": "the same",
    "service_memory_available_bytes": "the same",
    **dict.fromkeys(
        SITE_METRICS, "only a site of several machines has it: test_failover.py asks one"
    ),
}
"""Metrics that a system under light load need not have, and why."""

NEVER_HAPPENED = {
    'status=~"5.."': "no request failed; the rule takes 0 for it",
    'job="patroni"': "only a site of several machines has it",
    'job="etcd"': "the same",
    'service="websocket",route!~': "it has no route for members before there are conversations",
}
"""Matchers that nothing need match, and why."""


def selectors_of(expr: str) -> set[str]:
    """The selectors of an expression; one for each value if a matcher names several."""
    found = set()
    for name, matchers in re.findall(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}", expr):
        named = re.search(r'(\w+)=~"(\w[\w-]*(?:\|\w[\w-]*)+)"', matchers)
        if named is None:
            found.add(f"{name}{{{matchers}}}")
            continue
        for value in named[2].split("|"):
            one = matchers.replace(named[0], f'{named[1]}="{value}"')
            found.add(f"{name}{{{one}}}")
    return found | metrics_of(re.sub(r"[a-zA-Z_:][\w:]*\{[^}]*\}", "0", expr))


def is_askable(expr: str) -> bool:
    return not (
        metrics_of(expr) & WITHOUT_SAMPLES.keys()
        or any(matcher in expr for matcher in NEVER_HAPPENED)
    )


def test_selectors_keep_their_matchers_and_name_each_value() -> None:
    expr = 'rate(a{x="1",y=~"b|c-d",z!~"e|f"}[5m]) / g > 0 and absent(h{i="j"})'
    assert selectors_of(expr) == {
        'a{x="1",y="b",z!~"e|f"}', 'a{x="1",y="c-d",z!~"e|f"}', "g", 'h{i="j"}'
    }  # fmt: skip


async def test_every_panel_has_samples_and_every_rule_its_series(monitored: Stack) -> None:
    """Those of which there need not be any are at least understood."""
    await observers_are_healthy(monitored)
    panels = {
        asked.expr.replace("$__rate_interval", "1m")
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        for asked in panel.queries
    }
    rules_ask = [alert.expr for alert in registry.alerts()]
    recorded = [*slos.recording_rules(), *databases.recording_rules()]
    rules_ask += [rule["expr"] for rule in recorded]
    selectors = {selector for expr in rules_ask for selector in selectors_of(expr)}
    missing = {expr for expr in panels | selectors if is_askable(expr)}
    assert len(missing) > 100
    async with (
        httpx.AsyncClient(base_url=monitored.gateway, timeout=10) as members,
        httpx.AsyncClient(timeout=10) as client,
        # Nobody reads what it gets, so it would not see answers to its pings either.
        connect(f"ws://127.0.0.1:{monitored.ports['gateway']}/ws", ping_interval=None) as socket,
    ):
        ada = await become_member(monitored, members, "ada")
        ben = await become_member(monitored, members, "ben")
        await ada.put(f"/api/users/{ben.username}/follow")
        talk = await ben.post("/api/conversations", {"kind": "direct", "members": [ada.username]})
        await socket.send(json.dumps({"type": "auth", "token": ada.token}))

        async def none_missing() -> bool:
            await socket.send(json.dumps({"type": "resume", "conversations": {}}))
            said = {"text": "hello", "client_id": str(uuid4())}
            await ben.post(f"/api/conversations/{talk.json()['id']}/messages", said)
            await ada.home()
            await ada.write("good morning")
            await members.get("/api/search/users?q=ada")
            await members.post("/api/auth/login", json={"login": "nobody", "password": "wrong"})
            for expr in sorted(missing):
                if await ask(client, monitored, expr):
                    missing.remove(expr)
            assert not missing, "\n".join(sorted(missing))
            return True

        await eventually(none_missing)
        for expr in panels:
            if not is_askable(expr):
                await ask(client, monitored, expr)


OF_THE_MACHINE = ("updates.", "system.", "security.ssh_", "security.fail2ban", "security.audit")
"""Checks of what need not be there to be seen where tests run: apt's lists, the system's own logs."""


async def test_every_query_of_the_routines_returns_samples(monitored: Stack) -> None:
    await observers_are_healthy(monitored)
    async with httpx.AsyncClient(base_url=monitored.gateway, timeout=10) as client:
        unseen: dict[str, str] = {}

        async def look(*words: str) -> None:
            """Run checks, and remember those that have not seen what they look at."""
            await client.get("/api/feed/home?page=1&limit=10")
            results = (await asyncio.to_thread(monitored.json, "ops", *words))["results"]
            assert not [one for one in results if "check itself failed" in one["summary"]]
            for one in results:
                unseen.pop(one["check"], None)
                if (
                    one["verdict"] == "UNKNOWN"
                    and "too few" not in one["summary"]
                    and not one["check"].startswith(OF_THE_MACHINE)
                ):
                    unseen[one["check"]] = one["summary"]

        async def none_unseen() -> bool:
            if unseen:
                await look("check", *unseen)
            assert not unseen, "\n".join(f"{check}: {said}" for check, said in unseen.items())
            return True

        for routine in ("midday", "evening", "monthly"):
            await look(routine)
        await eventually(none_unseen, seconds=90)


async def test_rules_are_evaluated_without_errors(monitored: Stack) -> None:
    await observers_are_healthy(monitored)

    async def all_evaluated() -> bool:
        async with httpx.AsyncClient(timeout=10) as client:
            url = f"http://127.0.0.1:{monitored.ports['prometheus']}/api/v1/rules"
            groups = (await client.get(url)).json()["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        of_alerts = {rule["name"] for rule in rules if rule["type"] == "alerting"}
        assert of_alerts == {alert.name for alert in registry.alerts()}
        assert len(rules) - len(of_alerts) >= len(slos.recording_rules())
        return {rule["health"] for rule in rules} == {"ok"}

    await eventually(all_evaluated)


async def test_counters_equal_what_was_done(monitored: Stack) -> None:
    await observers_are_healthy(monitored)
    expression = 'sum(http_requests_total{service="api-gateway",route="/api/search/users"})'
    # Other tests of this stack may have searched before.
    before = sum(float(sample["value"][1]) for sample in await query(monitored, expression))
    async with httpx.AsyncClient(base_url=monitored.gateway, timeout=10) as client:
        for _ in range(100):
            assert (await client.get("/api/search/users?q=ada")).status_code == 200

    async def counted() -> bool:
        found = await query(monitored, expression)
        return bool(found) and float(found[0]["value"][1]) == before + 100

    await eventually(counted)


async def test_prometheus_reports_the_open_sockets(monitored: Stack) -> None:
    await observers_are_healthy(monitored)

    async def open_now() -> float:
        found = await query(monitored, "sum(websocket_connections_active)")
        return float(found[0]["value"][1]) if found else -1

    async def are_open(count: int) -> bool:
        return await open_now() == count

    url = f"ws://127.0.0.1:{monitored.ports['gateway']}/ws"
    async with AsyncExitStack() as sockets:
        for _ in range(40):
            await sockets.enter_async_context(connect(url))
        await eventually(lambda: are_open(40))
    await eventually(lambda: are_open(0))


async def test_alert_unknown_to_alertmanager_is_ended(monitored: Stack) -> None:
    await observers_are_healthy(monitored)
    started = datetime.now(UTC) - timedelta(hours=1)
    with OpsDatabase(Home(monitored.home)) as history:
        await history.write(
            statement("keep_alert", "gone", "Gone", "P2", "{}", "It is so.", "Disk", started, None)
        )

    def is_over() -> bool:
        return any(one["name"] == "Gone" for one in monitored.json("alerts", "--resolved"))

    await eventually(lambda: asyncio.to_thread(is_over))


async def test_configuration_is_reloaded_without_a_restart(monitored: Stack) -> None:
    await observers_are_healthy(monitored)
    before = (await asyncio.to_thread(monitored.ps))["prometheus"]["pid"]
    path = monitored.home / "prometheus" / "prometheus.yml"
    path.write_text("broken by hand")
    answer = await asyncio.to_thread(monitored.command, "restart", "prometheus")
    assert answer.returncode == 0, answer.stderr
    assert (await asyncio.to_thread(monitored.ps))["prometheus"]["pid"] == before
    assert '"scrape_configs"' in path.read_text(), "it was written anew, and checked"
    assert await eventually(
        lambda: query(monitored, "prometheus_config_last_reload_successful == 1"), seconds=10
    )


async def test_alert_reaches_the_history_through_alertmanager(monitored: Stack) -> None:
    # The last one on this stack: Watchdog fires a minute after the start.
    await observers_are_healthy(monitored)

    async def watchdog_is_kept() -> bool:
        alerts = await asyncio.to_thread(monitored.json, "alerts")
        return any(alert["name"] == "Watchdog" and alert["ended_at"] is None for alert in alerts)

    await eventually(watchdog_is_kept, 180)
