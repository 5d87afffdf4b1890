"""Services that are healthy, slow, degraded, down, hanging, or something else altogether."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.server import ServerConnection, serve

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import SecretUrl
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.checks.model import Table, Verdict
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import Result, judge
from chitlaq.ops.checks.sources.system import SystemView
from chitlaq.ops.database.database import OpsDatabase, statement
from tests.conftest import Stack, become_member, eventually, free_ports, start_stack, stop_stack
from tests.observers import tool
from tests.ops.checks.conftest import RunOnStack, answering, frozen, program, status_of, system_of
from tests.ops.checks.run_check import run_check

HEALTH = {
    "gateway.health": "GATEWAY",
    "gateway.api": "GATEWAY",
    "websocket.health": "WEBSOCKET",
    "feed.health": "FEED",
    "search.health": "SEARCH",
    "auth.health": "AUTH",
    "ops.health": "OPS",
}
ANSWERS = {"feed.home": "FEED", "search.users": "SEARCH", "auth.status": "AUTH"}
METRICS = {"gateway.metrics": "GATEWAY", "websocket.metrics": "WEBSOCKET"}
PORTS = HEALTH | ANSWERS | METRICS | {"websocket.ping": "WEBSOCKET"}
"""The setting of the port that each check asks."""

SOMEBODY = "someoneknown"
PATIENT = {"CHITLAQ_CHECKS_ANSWER_SECONDS": "60,90"}
IMPATIENT = {"CHITLAQ_CHECKS_ANSWER_SECONDS": "0,60"}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack with observers, whose programs are already fetched, and without restarts yet."""
    packages = Path(tool("prometheus")).parents[2]
    stack = start_stack(CHITLAQ_MONITORING_EMBEDDED="true", CHITLAQ_MONITORING_SCRAPE_SECONDS="5")
    if packages.name == "packages":
        (stack.home / "packages").symlink_to(packages)
    try:
        stack.up()
        # A new one would have time for much.
        os.utime(stack.home / "secrets" / "edge-key", (0, 0))
        yield stack
    finally:
        stop_stack(stack)


@pytest.fixture(scope="module", autouse=True)
async def posts(stack: Stack) -> list[str]:
    """The ids of the only posts, which the only member wrote; the newest first."""
    async with httpx.AsyncClient(base_url=stack.gateway, timeout=20) as client:
        member = await become_member(stack, client, SOMEBODY)
        written = [await member.write(f"Post {number}.") for number in range(2)]
    return [post["id"] for post in reversed(written)]


async def found(run_on_stack: RunOnStack, check: str, wanted: Verdict, **variables: str) -> Result:
    """The first outcome with this verdict: on a busy machine, a healthy service may be late before."""

    async def is_so() -> Result:
        result = await run_on_stack(check, **variables)
        assert result.verdict is wanted, result
        return result

    return await eventually(is_so)


async def all_found(stack: Stack, checks: Iterable[str], **variables: str) -> list[Result]:
    """The outcomes of several checks, run concurrently as in a routine."""
    system = system_of(stack, **variables)
    try:
        return await asyncio.gather(*(judge(CHECKS[check], system) for check in checks))
    finally:
        await system.close()


async def test_metrics_of_the_gateway_exist_before_the_first_request(
    run_on_stack: RunOnStack,
) -> None:
    assert (await run_on_stack("gateway.metrics")).verdict is Verdict.OK


async def test_hanging_component_is_critical_and_a_warning_once_it_is_back(
    stack: Stack, run_on_stack: RunOnStack
) -> None:
    async def is_found(verdict: Verdict, said: str) -> Result:
        async def is_so() -> Result | None:
            result = await run_on_stack("services.processes")
            assert (result.verdict, said in result.summary) == (verdict, True), result
            return result

        return await eventually(is_so)

    every = await is_found(Verdict.OK, "are up")
    assert every.values["restarts"].value == 0
    with frozen(stack, "alertmanager"):
        await is_found(Verdict.WARNING, "alertmanager is unresponsive")
        with frozen(stack, "auth-service") as pid:
            hanging = [
                asyncio.ensure_future(run_on_stack(check))
                for check in ("auth.health", "auth.status")
            ]
            await is_found(Verdict.CRITICAL, "auth-service is unresponsive")
            for result in await asyncio.gather(*hanging):
                assert result.verdict is Verdict.CRITICAL
                assert "no answer" in result.summary
            os.kill(pid, signal.SIGKILL)
    found = await is_found(Verdict.WARNING, "restarted within the last hour: auth-service")
    assert found.values["restarts"].value == 1


@pytest.mark.parametrize(
    ("check", "elsewhere", "verdict"),
    [
        ("services.processes", "", Verdict.CRITICAL),
        # Something else may keep the services running.
        ("services.processes", "postgresql://owner:x@db/chitlaq", Verdict.UNKNOWN),
        ("services.resources", "", Verdict.UNKNOWN),
    ],
)
async def test_stopped_stack_is_reported_with_the_command_that_starts_it(
    check: str, elsewhere: str, verdict: Verdict, tmp_path: Path
) -> None:
    system = SystemView(Home(tmp_path), Settings(database_url=SecretUrl(elsewhere)))
    result = await judge(CHECKS[check], system)
    await system.close()
    assert result.verdict is verdict
    assert "start it with `chitlaq up`" in result.summary


@pytest.mark.parametrize(
    ("thresholds", "verdict"),
    [
        ("1e12,1e13", Verdict.OK),
        ("1,1e13", Verdict.WARNING),
        ("1,2", Verdict.CRITICAL),
    ],
)
async def test_memory_of_a_component_is_judged_by_its_thresholds(
    run_on_stack: RunOnStack, thresholds: str, verdict: Verdict
) -> None:
    result = await run_on_stack(
        "services.resources", CHITLAQ_CHECKS_COMPONENT_MEMORY_BYTES=thresholds
    )
    assert result.verdict is verdict
    assert result.values["largest"].value > 1e7


@pytest.mark.parametrize("check", HEALTH)
async def test_health_of_a_healthy_service_is_ok(run_on_stack: RunOnStack, check: str) -> None:
    result = await found(run_on_stack, check, Verdict.OK, **PATIENT)
    assert result.summary.startswith("healthy, up ")


@pytest.mark.parametrize("check", [*ANSWERS, *METRICS, "websocket.ping"])
async def test_expected_response_is_ok(run_on_stack: RunOnStack, check: str) -> None:
    await found(run_on_stack, check, Verdict.OK, **PATIENT)


@pytest.mark.parametrize("check", [*HEALTH, *ANSWERS, "websocket.ping"])
async def test_late_response_is_a_warning_and_then_critical(
    run_on_stack: RunOnStack, check: str
) -> None:
    await found(run_on_stack, check, Verdict.WARNING, **IMPATIENT)
    await found(run_on_stack, check, Verdict.CRITICAL, CHITLAQ_CHECKS_ANSWER_SECONDS="0,0")


@pytest.mark.parametrize("check", PORTS)
async def test_closed_port_is_critical(run_on_stack: RunOnStack, check: str, nobody: str) -> None:
    result = await run_on_stack(check, **{f"CHITLAQ_PORTS_{PORTS[check]}": nobody})
    assert result.verdict is Verdict.CRITICAL
    assert nobody in result.summary


async def test_gateway_behind_a_silent_nginx_is_not_blamed(
    run_on_stack: RunOnStack, nobody: str
) -> None:
    result = await run_on_stack("gateway.health", CHITLAQ_PORTS_GATEWAY=nobody)
    assert result.verdict is Verdict.CRITICAL
    assert result.summary.startswith("nginx does not answer, though api-gateway behind it does")
    assert "chitlaq restart nginx" in result.remedy


@pytest.mark.parametrize(
    ("check", "body"),
    [
        *((check, b"<h1>It works!</h1>") for check in HEALTH),
        *(("auth.health", body) for body in (b"{}", b"[]", b'{"status": "healthy"}', b"\xff")),
    ],
)
async def test_other_server_on_a_services_port_is_unknown(
    run_on_stack: RunOnStack, check: str, body: bytes
) -> None:
    with answering(body) as port:
        result = await run_on_stack(check, **{f"CHITLAQ_PORTS_{HEALTH[check]}": port})
    assert result.verdict is Verdict.UNKNOWN
    assert "the answer is not " in result.summary


async def test_health_of_another_service_is_not_accepted(
    stack: Stack, run_on_stack: RunOnStack
) -> None:
    feed, auth = str(stack.ports["feed"]), str(stack.ports["auth"])
    swapped = {"CHITLAQ_PORTS_FEED": auth, "CHITLAQ_PORTS_AUTH": feed}
    result = await found(run_on_stack, "feed.health", Verdict.UNKNOWN, **swapped)
    assert result.summary == "auth-service answers on the port of feed-service"


async def test_services_without_valkey_are_degraded_which_is_a_warning(stack: Stack) -> None:
    async def are_found() -> bool:
        for result in await all_found(stack, HEALTH, **PATIENT):
            assert result.verdict is Verdict.WARNING, result
            assert result.summary.startswith("degraded: "), result
            assert "redis" in result.summary
        return True

    with frozen(stack, "redis"):
        await eventually(are_found)


async def test_services_without_postgresql_are_unhealthy_which_is_critical(stack: Stack) -> None:
    async def are_found() -> bool:
        for result in await all_found(stack, HEALTH, **PATIENT):
            assert result.verdict is Verdict.CRITICAL, result
            assert result.summary.startswith("unhealthy: "), result
            assert "postgres" in result.summary
        return True

    with frozen(stack, "postgres"):
        await eventually(are_found)


@pytest.mark.parametrize(
    ("check", "status", "body"),
    [
        *((check, 200, b"{}") for check in ANSWERS),
        ("feed.home", 200, b"<h1>It works!</h1>"),
        ("feed.home", 200, b"[]"),
        ("feed.home", 503, b'{"items": []}'),
    ],
)
async def test_unexpected_response_is_critical(
    run_on_stack: RunOnStack, check: str, status: int, body: bytes
) -> None:
    with answering(body, status) as port:
        result = await run_on_stack(check, **{f"CHITLAQ_PORTS_{ANSWERS[check]}": port}, **PATIENT)
    assert result.verdict is Verdict.CRITICAL
    assert f"status {status}" in result.summary
    assert "unexpected content" in result.summary


@pytest.mark.parametrize("check", METRICS)
async def test_missing_metrics_are_critical_and_named(run_on_stack: RunOnStack, check: str) -> None:
    with answering(b"some_total 1\nhttp_requests_total 1\n") as port:
        result = await run_on_stack(check, **{f"CHITLAQ_PORTS_{METRICS[check]}": port})
    assert result.verdict is Verdict.CRITICAL
    assert result.summary.endswith(" missing")
    assert "http_requests_total" not in result.summary


@pytest.mark.parametrize("check", METRICS)
async def test_refused_metrics_are_critical(run_on_stack: RunOnStack, check: str) -> None:
    with answering(b"", 503) as port:
        result = await run_on_stack(check, **{f"CHITLAQ_PORTS_{METRICS[check]}": port})
    assert result.verdict is Verdict.CRITICAL


def page(*items: dict[str, str]) -> bytes:
    return json.dumps({"items": items}).encode()


async def test_answer_without_what_is_known_to_be_there_is_critical(
    run_on_stack: RunOnStack, posts: list[str]
) -> None:
    """For answers that are well-formed, and empty, old, or about somebody else."""

    def page(field: str, *values: str) -> bytes:
        return json.dumps({"items": [{field: value} for value in values]}).encode()

    stranger = "01000000-0000-7000-8000-000000000000"
    knows = json.dumps({"authenticated": True, "detail": "Signed in."}).encode()
    wrong = [
        ("feed.home", page("id"), "2 of the latest 2 public posts are missing, 0 are none"),
        ("feed.home", page("id", posts[1]), "1 of the latest 2 public posts are missing, 0 are"),
        (
            "feed.home",
            page("id", *posts, stranger),
            "0 of the latest 2 public posts are missing, 1",
        ),
        ("search.users", page("username"), f"{SOMEBODY} is not among the 0 members found"),
        ("search.users", page("username", "other"), f"{SOMEBODY} is not among the 1 members found"),
    ]
    for check, body, said in wrong:
        with answering(body) as port:
            result = await run_on_stack(
                check, **{f"CHITLAQ_PORTS_{ANSWERS[check]}": port}, **PATIENT
            )
        assert (result.verdict, said in result.summary) == (Verdict.CRITICAL, True), result
    with answering(knows) as port:
        result = await run_on_stack("auth.status", CHITLAQ_PORTS_AUTH=port, **PATIENT)
    # This one does not even sign the synthetic members in.
    assert result.verdict is Verdict.UNKNOWN, result
    signed_in = json.dumps({"conversation_id": stranger, "tokens": ["a token"]}).encode()
    forgets = json.dumps({"authenticated": False, "detail": "No access token was sent."}).encode()
    for body, said in ((knows, "Signed in."), (forgets, "No access token was sent.")):
        with answering(body, posted=signed_in) as port:
            result = await run_on_stack("auth.status", CHITLAQ_PORTS_AUTH=port, **PATIENT)
        wanted = f"it says of a token without a session: {said}"
        assert (result.verdict, wanted in result.summary) == (Verdict.CRITICAL, True), result


async def test_expected_answers_name_what_was_found(run_on_stack: RunOnStack) -> None:
    for check, said in {
        "feed.home": "with the latest public post",
        "search.users": f"found {SOMEBODY}",
        "auth.status": "knows the token, and that its session is over",
    }.items():
        assert (await found(run_on_stack, check, Verdict.OK, **PATIENT)).summary.endswith(said)


async def test_web_server_without_websockets_is_critical(run_on_stack: RunOnStack) -> None:
    with answering(b"<h1>It works!</h1>") as port:
        result = await run_on_stack("websocket.ping", CHITLAQ_PORTS_WEBSOCKET=port)
    assert result.verdict is Verdict.CRITICAL
    assert result.summary.startswith("no pong: ")


@pytest.mark.parametrize("answer", ['{"type": "gong"}', "[]", "Hello!"])
async def test_response_other_than_pong_is_critical(run_on_stack: RunOnStack, answer: str) -> None:
    async def greet(connection: ServerConnection) -> None:
        await connection.send(answer)
        await connection.wait_closed()

    async with serve(greet, "127.0.0.1", 0) as server:
        port = str(server.sockets[0].getsockname()[1])
        result = await run_on_stack("websocket.ping", CHITLAQ_PORTS_WEBSOCKET=port)
    assert result.verdict is Verdict.CRITICAL
    assert result.summary == f"no pong: the answer is {answer}"


async def test_silence_is_critical_within_the_checks_timeout(stack: Stack) -> None:
    with ExitStack() as sockets:
        ports = {
            f"CHITLAQ_PORTS_{setting}": str(
                sockets.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            )
            for setting in set(PORTS.values())
        }
        results = await all_found(stack, PORTS, **ports)
    for result in results:
        assert result.verdict is Verdict.CRITICAL, result
        assert "no answer" in result.summary


# --- scrape targets


async def test_scraped_targets_are_ok_and_a_hanging_one_is_a_warning(
    stack: Stack, run_on_stack: RunOnStack
) -> None:
    async def is_found(verdict: Verdict, said: str) -> bool:
        result = await run_on_stack("services.targets")
        assert (result.verdict, result.summary) == (verdict, said)
        return True

    await eventually(lambda: is_found(Verdict.OK, "all 9 are up"))
    with frozen(stack, "node-exporter"):
        await eventually(lambda: is_found(Verdict.WARNING, "down: node"))


@pytest.mark.parametrize("check", ["services.targets", "alerts.active"])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<h1>It works!</h1>"),
        (200, b'{"status": "success", "data": {"result": []}}'),
        (200, b'{"status": "success", "data": {"result": [1]}}'),
        (400, b'{"status": "error", "error": "it is tired"}'),
        (404, b""),
    ],
)
async def test_other_server_in_place_of_an_observer_is_unknown(
    run_on_stack: RunOnStack, check: str, status: int, body: bytes
) -> None:
    with answering(body, status) as port:
        url = f"http://127.0.0.1:{port}/"
        result = await run_on_stack(check, PROMETHEUS_URL=url, ALERTMANAGER_URL=url)
    assert result.verdict is Verdict.UNKNOWN
    assert "the check itself failed" not in result.summary


@pytest.mark.parametrize("check", ["services.targets", "alerts.active"])
async def test_unreachable_or_unconfigured_observers_are_unknown(
    run_on_stack: RunOnStack, check: str, nobody: str
) -> None:
    url = f"http://127.0.0.1:{nobody}"
    away = await run_on_stack(check, PROMETHEUS_URL=url, ALERTMANAGER_URL=url)
    assert (away.verdict, nobody in away.summary) == (Verdict.UNKNOWN, True)
    none = await run_on_stack(check, CHITLAQ_MONITORING_EMBEDDED="false")
    assert (none.verdict, "there is no " in none.summary) == (Verdict.UNKNOWN, True)


# --- alerts


class Alertmanager:
    """A real Alertmanager without Prometheus: it has only the alerts that are pushed to it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._pushed: list[dict[str, object]] = []

    async def fire(self, name: str, severity: str) -> None:
        labels = {"alertname": name, "severity": severity}
        await self._push([{"labels": labels, "annotations": {"summary": f"{name} as it is"}}])
        self._pushed.append({"labels": labels})

    async def silence(self, name: str) -> None:
        now = datetime.now(UTC)
        silence = {
            "matchers": [{"name": "alertname", "value": name, "isRegex": False}],
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(hours=1)).isoformat(),
            "createdBy": "a test",
            "comment": "known",
        }
        async with httpx.AsyncClient(base_url=self.url) as client:
            (await client.post("/api/v2/silences", json=silence)).raise_for_status()

    async def clear(self) -> None:
        ended = datetime.now(UTC).isoformat()
        await self._push([one | {"endsAt": ended} for one in self._pushed])
        self._pushed.clear()

    async def _push(self, alerts: list[dict[str, object]]) -> None:
        async with httpx.AsyncClient(base_url=self.url) as client:
            (await client.post("/api/v2/alerts", json=alerts)).raise_for_status()


@pytest.fixture(scope="module")
async def running_alertmanager(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Alertmanager]:
    folder = tmp_path_factory.mktemp("alertmanager")
    configuration = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
    (folder / "alertmanager.yml").write_text(json.dumps(configuration))
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    with _alertmanager(folder, url):

        async def is_ready() -> bool:
            async with httpx.AsyncClient(base_url=url) as client:
                return (await client.get("/-/ready")).is_success

        await eventually(is_ready)
        yield Alertmanager(url)


@contextmanager
def _alertmanager(folder: Path, url: str) -> Iterator[None]:
    binary = Path(tool("alertmanager"))
    unpacked = binary.parents[2] / "usr"
    if unpacked.is_dir() and not (folder / "usr").exists():
        (folder / "usr").symlink_to(unpacked)  # its templates are found by a relative path
    with program(
        folder,
        str(binary),
        "--config.file=alertmanager.yml",
        "--storage.path=data",
        "--cluster.listen-address=",
        f"--web.listen-address={url.removeprefix('http://')}",
    ):
        yield


@pytest.fixture
async def alertmanager(running_alertmanager: Alertmanager) -> AsyncIterator[Alertmanager]:
    yield running_alertmanager
    await running_alertmanager.clear()


@pytest.mark.parametrize(
    ("severities", "verdict", "said"),
    [
        (["none"], Verdict.OK, "none, and the watchdog confirms delivery"),
        (["none", "P3"], Verdict.OK, "1 alert: Alert_P3"),
        (["none", "P2"], Verdict.WARNING, "1 alert: Alert_P2"),
        (["none", "P2", "P1"], Verdict.CRITICAL, "2 alerts: Alert_P1, Alert_P2"),
        (["none", "P0"], Verdict.CRITICAL, "1 alert: Alert_P0"),
        ([], Verdict.WARNING, "none; the watchdog does not fire, "),
        (["P0"], Verdict.CRITICAL, "1 alert: Alert_P0; the watchdog does not fire, "),
    ],
)
async def test_alerts_are_as_bad_as_the_worst_and_as_the_watchdogs_silence(
    run_on_stack: RunOnStack,
    alertmanager: Alertmanager,
    severities: list[str],
    verdict: Verdict,
    said: str,
) -> None:
    for severity in severities:
        name = "Watchdog" if severity == "none" else f"Alert_{severity}"
        await alertmanager.fire(name, severity)

    async def is_found() -> bool:
        result = await run_on_stack("alerts.active", ALERTMANAGER_URL=alertmanager.url)
        assert (result.verdict, result.summary.startswith(said)) == (verdict, True), result.summary
        return True

    await eventually(is_found)


async def test_silenced_alert_is_shown_but_not_counted(
    run_on_stack: RunOnStack, alertmanager: Alertmanager
) -> None:
    await alertmanager.fire("Watchdog", "none")
    await alertmanager.fire("KnownTrouble", "P1")
    await alertmanager.silence("KnownTrouble")

    async def is_silenced() -> bool:
        result = await run_on_stack("alerts.active", ALERTMANAGER_URL=alertmanager.url)
        assert result.verdict is Verdict.OK, result.summary
        assert result.values["suppressed"].value == 1
        assert "KnownTrouble" in str(result.evidence)
        return True

    await eventually(is_silenced)


async def test_flapping_alert_is_a_warning(stack: Stack, run_on_stack: RunOnStack) -> None:
    async def end(times: int) -> None:
        with OpsDatabase(Home(stack.home)) as history:
            for _ in range(times):
                now = datetime.now(UTC)
                started = now - timedelta(hours=1)
                await history.write(
                    statement("keep_alert", "f", "Flapping", "P2", "{}", "", "", started, now)
                )

    try:
        await end(4)
        seldom = await run_on_stack("alerts.resolved")
        assert (seldom.verdict, seldom.values["most_of_one"].value) == (Verdict.OK, 4)
        await end(1)
        often = await run_on_stack("alerts.resolved")
        assert often.verdict is Verdict.WARNING
        assert "Flapping flapped 5 times" in often.summary
    finally:
        with sqlite3.connect(Home(stack.home).ops_database) as opened:
            opened.execute("DELETE FROM alerts WHERE name = 'Flapping'")


async def test_day_is_told_by_what_members_felt(stack: Stack, run_on_stack: RunOnStack) -> None:
    """Severe alerts come before what only makes noise, and are OK again five minutes after their end."""

    def ended(name: str, severity: str, minutes_ago: float, times: int = 1) -> None:
        over = datetime.now(UTC) - timedelta(minutes=minutes_ago)
        with OpsDatabase(Home(stack.home)) as history:
            for number in range(times):
                begun = over - timedelta(minutes=9 - number)
                write = statement("keep_alert", name, name, severity, "{}", "", "", begun, over)
                asyncio.run(history.write(write))

    try:
        await asyncio.to_thread(ended, "NoisyHere", "P3", 5, 3)
        await asyncio.to_thread(ended, "DownHere", "P0", 6)
        calm = await run_on_stack("alerts.resolved")
        assert calm.verdict is Verdict.OK
        assert re.search(r"24 hours: P0 DownHere, 9 min, ended at \d\d:\d\d$", calm.summary)
        await asyncio.to_thread(ended, "DownAgain", "P1", 3, 2)
        fresh = await run_on_stack("alerts.resolved")
        assert fresh.verdict is Verdict.WARNING
        assert re.search(
            r"hours: P0 DownHere, .+, P1 DownAgain, 2 times up to 9 min", fresh.summary
        )
        (table,) = [one for one in fresh.evidence if isinstance(one, Table)]
        assert [row[2] for row in table.rows] == ["DownHere", "DownAgain", "NoisyHere"]
    finally:
        with sqlite3.connect(Home(stack.home).ops_database) as opened:
            opened.execute(
                "DELETE FROM alerts WHERE name IN ('NoisyHere', 'DownHere', 'DownAgain')"
            )


async def test_resolved_alerts_are_unknown_without_their_history(tmp_path: Path) -> None:
    (tmp_path / "ops").write_text("in the way")
    result = await run_check(Home(tmp_path), "alerts.resolved")
    assert result.verdict is Verdict.UNKNOWN
    assert str(tmp_path) in result.summary


def test_stack_is_left_unchanged_by_the_tests(stack: Stack) -> None:
    assert status_of(stack, "postgres").restarts == 0
    assert status_of(stack, "redis").restarts == 0
