"""Reading what the observers know is open on this machine; changing it needs the password."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from chitlaq import inventory
from chitlaq.core.host import http_client
from chitlaq.core.installation import observers, secrets, settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import SecretUrl
from chitlaq.core.installation.settings import Ports, Settings
from chitlaq.monitoring import proxy
from chitlaq.ops.runbook import original
from chitlaq.stack.servers import nginx
from chitlaq.stack.supervisor import probes
from tests.conftest import Stack, eventually, free_ports
from tests.disks import fill, small_disk

RUNBOOK = sorted(
    command
    for section in original.sections()
    for command in section.commands
    if "localhost:9090" in command or "localhost:9093" in command
)
EVIL = "http://evil.example"
NAMES = [row.name for row in inventory.OBSERVERS]


@pytest.fixture
async def watched(observed: Stack) -> Stack:
    await eventually(lambda: asyncio.to_thread(observed.is_healthy))
    return observed


def address(stack: Stack, name: str, host: str = "localhost") -> str:
    return f"http://{host}:{stack.ports[inventory.COMPONENTS[name].setting]}"


def password(stack: Stack) -> tuple[str, str]:
    return "operator", (stack.home / "secrets" / "operator-password").read_text().strip()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")
async def test_runbook_reads_as_it_types_it(watched: Stack) -> None:
    assert len(RUNBOOK) > 25
    answered = 0
    for line in RUNBOOK:
        typed = line.partition(" | ")[0]
        for name, port in (("prometheus", 9090), ("alertmanager", 9093)):
            typed = typed.replace(
                f"localhost:{port}", address(watched, name).removeprefix("http://")
            )
        done = await asyncio.to_thread(
            subprocess.run, ["bash", "-c", typed], capture_output=True, text=True, timeout=30
        )
        # curl itself refuses the brackets of some lines: docs/runbook.md has them encoded.
        if done.returncode != 3:
            answered += 1
            assert '"status":"success"' in done.stdout, (line, done.stdout)
    assert answered > 10


async def test_tools_of_the_observers_read_without_a_password(
    watched: Stack, promtool: str, amtool: str
) -> None:
    for words in (
        [promtool, "query", "instant", address(watched, "prometheus"), "up"],
        [promtool, "query", "labels", address(watched, "prometheus"), "job"],
        [amtool, f"--alertmanager.url={address(watched, 'alertmanager')}", "alert", "query"],
        [amtool, f"--alertmanager.url={address(watched, 'alertmanager')}", "silence", "query"],
    ):
        done = await asyncio.to_thread(
            subprocess.run, words, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, (words, done.stderr)


WRITES = {
    "alertmanager": (
        "POST /api/v1/alerts", "POST /api/v2/alerts", "POST /api/v1/silences", "POST /api/v2/silences",
        "DELETE /api/v1/silence/{id}", "DELETE /api/v2/silence/{id}", "POST /-/reload",
        "GET /debug/pprof/profile",
    ),
    "prometheus": (
        "POST /-/reload", "PUT /-/reload", "POST /-/quit", "PUT /-/quit", "POST /api/v1/write",
        "POST /api/v1/otlp/v1/metrics", "POST /api/v1/admin/tsdb/snapshot",
        "PUT /api/v1/admin/tsdb/snapshot", "POST /api/v1/admin/tsdb/delete_series",
        "POST /api/v1/admin/tsdb/clean_tombstones", "DELETE /api/v1/series", "GET /debug/pprof/heap",
    ),
    "node-exporter": ("POST /metrics", "GET /debug/pprof/heap"),
}  # fmt: skip
"""What these programs let anybody do, whether or not it is switched on here."""

DISGUISES = (
    "POST /api/v2/alerts/", "POST //api/v2/silences", "POST /metrics/../api/v2/silences",
    "POST /%61pi/v2/silences", "POST /api/v2/silences?x=/api/v1/query", "GET /lib/../debug/pprof/heap",
    "GET /static/..%2fdebug/pprof/heap", "GET /api/v1/query/../../../debug/pprof/heap",
    "GET /metrics%00", "POST /api/v1/query/../write", "POST /api/v1/query%0d%0a", "query /api/v1/query",
    "POST /api/v1/alerts;/api/v1/query", "OPTIONS /api/v2/silences", "TRACE /metrics",
)  # fmt: skip


def unsafe() -> Iterator[tuple[str, str]]:
    for name in NAMES:
        for request in (*WRITES[name], *DISGUISES):
            yield name, request
        for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "FOO"):
            yield name, f"{method} /"


async def asked(stack: Stack, name: str, request: str, **headers: str) -> bytes:
    """The answer to a request as it is written here: no client tidies it up."""
    method, target = request.split(" ")
    target = target.replace("{id}", "00000000-0000-0000-0000-000000000000")
    port = stack.ports[inventory.COMPONENTS[name].setting]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        lines = [f"{method} {target} HTTP/1.1", f"Host: localhost:{port}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines += ["Content-Type: application/json", "Content-Length: 2", "", "[]"]
        writer.write("\r\n".join(lines).encode())
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


def status_of(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.1 ([0-9]{3}) ", answer)
    assert found, answer[:100]
    return int(found[1])


async def test_nothing_but_reading_is_answered_without_the_password(watched: Stack) -> None:
    refused = {400, 401, 405}  # nginx itself refuses what is not HTTP, and TRACE
    for name, request in unsafe():
        answer = await asked(watched, name, request)
        assert status_of(answer) in refused, (name, request, answer[:200])
        if status_of(answer) == 401:
            assert b"operator-password" in answer, "it says where the password is"
        wrong = await asked(watched, name, request, Authorization="Basic b3BlcmF0b3I6eA==")
        assert status_of(wrong) in refused, (name, request, wrong[:200])


async def test_password_opens_everything_that_the_server_offers(watched: Stack) -> None:
    alert = {"labels": {"alertname": "Forged", "severity": "P3"}}
    async with httpx.AsyncClient(base_url=address(watched, "alertmanager")) as client:
        assert (await client.post("/api/v2/alerts", json=[alert])).status_code == 401
        answer = await client.post("/api/v2/alerts", json=[alert], auth=password(watched))
        assert answer.status_code == 200, answer.text
        answer = await client.post("/-/reload", auth=password(watched))
        assert answer.status_code == 200, answer.text
        found = (await client.get("/api/v2/alerts", params={"filter": "alertname=Forged"})).json()
        assert [one["labels"] for one in found] == [alert["labels"]]


async def test_operator_silences_an_alert_and_everybody_sees_it(watched: Stack) -> None:
    words = ("ops", "do", "silence", "Watchdog for 5m", "--yes", "--why", "to see whether it works")
    done = await asyncio.to_thread(watched.command, *words)
    assert done.returncode == 0, done.stderr
    async with httpx.AsyncClient(base_url=address(watched, "alertmanager")) as anybody:
        (silence,) = (await anybody.get("/api/v2/silences")).json()
        assert silence["comment"] == "to see whether it works"
        assert (await anybody.delete(f"/api/v2/silence/{silence['id']}")).status_code == 401
    words = ("ops", "do", "unsilence", silence["id"], "--yes", "--why", "it does")
    done = await asyncio.to_thread(watched.command, *words)
    assert done.returncode == 0, done.stderr


async def test_servers_themselves_answer_only_holders_of_the_key(watched: Stack) -> None:
    stranger = ssl.create_default_context()
    stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
    home = Home(watched.home)
    settings = settings_loading.load(home, watched.environment)
    for name in NAMES:
        access = observers.access(home, settings, name)
        answer = await http_client.get(f"{access.url}/metrics", tls=access.tls, timeout_seconds=20)
        assert answer.status == 200
        with pytest.raises(http_client.NoAnswerError):
            await http_client.get(f"{access.url}/metrics", tls=stranger, timeout_seconds=20)
        plain = access.url.replace("https", "http")
        assert (await http_client.get(f"{plain}/metrics", timeout_seconds=20)).status == 400


def test_no_other_user_can_read_the_key_or_the_password(observed: Stack) -> None:
    hidden = [b"PRIVATE KEY", password(observed)[1].encode(), b"{SSHA}"]
    found = [
        path
        for folder in (*NAMES, "monitoring-proxy", "secrets")
        for path in (observed.home / folder).iterdir()
        if path.is_file() and any(secret in path.read_bytes() for secret in hidden)
    ]
    copies = [f"{folder}/observers-key" for folder in (*NAMES, "monitoring-proxy")]
    assert {str(path.relative_to(observed.home)) for path in found} >= {
        *copies, "monitoring-proxy/users", "secrets/observers.pem", "secrets/operator-password"
    }  # fmt: skip
    assert [path for path in found if path.stat().st_mode & 0o077] == []


async def test_alerts_are_read_while_no_nginx_runs(watched: Stack) -> None:
    pids = [(await asyncio.to_thread(watched.ps))["monitoring-proxy"]["pid"]]
    pids += map(int, Path(f"/proc/{pids[0]}/task/{pids[0]}/children").read_text().split())
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        run = await asyncio.to_thread(watched.json, "ops", "check", "alerts.active")
        assert run["results"][0]["verdict"] != "UNKNOWN", run
        with pytest.raises(httpx.TimeoutException):
            httpx.get(f"{address(watched, 'alertmanager')}/-/ready", timeout=0.2)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


# --- every port of the inventory: what can a web page do there?


@pytest.mark.parametrize("row", inventory.BY_PORT, ids=lambda row: row.name)
async def test_web_page_neither_changes_nor_reads_anything_on_a_port(
    watched: Stack, row: inventory.Component
) -> None:
    """A page may send simple requests anywhere, and reads what allows its origin or has its own name."""
    simple = {"Origin": EVIL, "Content-Type": "text/plain", "Sec-Fetch-Site": "cross-site"}
    async with httpx.AsyncClient(base_url=address(watched, row.name, "127.0.0.1")) as page:
        if row.name in {"postgres", "redis"}:
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await page.post("/", content="FLUSHALL\r\n", headers=simple)
            return
        # What members reach gives a page no more than anybody has, and any name may lead to it.
        is_open = row.name == "nginx" or row.is_gateway
        paths = {
            "/",
            "/auth/login",
            "/alerts",
            *(request.split(" ")[1] for request in sum(WRITES.values(), ())),
        }
        for path in paths - {"/debug/pprof/profile"}:
            sent = await page.post(path, content="[]", headers=simple)
            assert sent.status_code >= 400 if is_open else sent.status_code == 403, (
                path,
                sent.text,
            )
            assert "access-control-allow-origin" not in sent.headers
        read = await page.get("/metrics", headers={"Origin": EVIL})
        assert "access-control-allow-origin" not in read.headers
        for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", ""):
            rebound = await page.get("/metrics", headers={"Host": host})
            assert is_open or rebound.status_code in {400, 421}, (host, rebound.text)
        for host in ("localhost", "127.0.0.1", "[::1]", "LOCALHOST:1"):
            own = await page.get("/metrics", headers={"Host": host})
            assert own.status_code == (404 if row.name == "nginx" else 200), own.text


@pytest.mark.parametrize("name", NAMES)
async def test_answers_are_for_pages_of_the_same_origin_and_for_links(
    watched: Stack, name: str
) -> None:
    own = address(watched, name)
    async with httpx.AsyncClient(base_url=own) as page:
        for headers, status in (
            ({"Origin": own}, 200),
            ({"Origin": own, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}, 200),
            ({"Origin": EVIL}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": f"{own}.evil.example"}, 403),
            ({"Origin": address(watched, "nginx")}, 403),
            ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, 403),
            ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200),
            ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"}, 200),
        ):
            answer = await page.get("/metrics", headers=headers)
            assert answer.status_code == status, (headers, answer.text)
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert answer.headers["x-frame-options"] == "DENY"


# --- installations, old and elsewhere


def test_external_servers_get_no_key_of_ours(tmp_path: Path) -> None:
    settings = Settings(
        prometheus_url=SecretUrl("http://a:1/"), alertmanager_url=SecretUrl("https://u:p@b")
    )
    assert observers.access(Home(tmp_path), settings, "prometheus") == observers.Access(
        "http://a:1"
    )
    assert observers.access(Home(tmp_path), settings, "alertmanager").tls is None


def test_older_installation_gets_the_new_secrets_and_keeps_its_own(tmp_path: Path) -> None:
    home = Home(tmp_path)
    secrets.ensure(home)
    for name in (secrets.OBSERVERS_KEY, secrets.OPERATOR_PASSWORD):
        (home.secrets / name).unlink()
    before = {path.name: path.read_bytes() for path in home.secrets.iterdir()}
    secrets.ensure(home)
    after = {path.name: path.read_bytes() for path in home.secrets.iterdir()}
    assert after.items() >= before.items()
    assert after.keys() - before.keys() == {secrets.OBSERVERS_KEY, secrets.OPERATOR_PASSWORD}


def test_only_the_public_name_is_added_to_the_own_host_names() -> None:
    own = ("localhost", "127.0.0.1", "[::1]")
    for url, more in {
        "": (),
        "https://chat.Example.edu:8443/x": ("chat.example.edu",),
        "http://localhost:8080": (),
        "http://*.example.edu": (),
        "http://~evil": (),
    }.items():
        assert Settings(public_url=url).host_names == (*own, *more), url


async def test_proxy_starts_again_on_a_full_disk() -> None:
    settings = Settings(
        ports=Ports(
            **dict(zip([row.setting for row in inventory.OBSERVERS], free_ports(3), strict=True))
        )
    )
    answers = probes.nginx([settings.port_of(name) for name in NAMES])
    with small_disk(20) as disk:
        home = Home(disk)
        home.run.mkdir()
        secrets.ensure(home)

        @contextmanager
        def running() -> Iterator[None]:
            proxy.write(home, proxy.render(home, settings))
            command = nginx.command(home, settings, home.monitoring_proxy)
            process = subprocess.Popen(command, start_new_session=True)
            try:
                yield
            finally:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

        with running():
            await eventually(lambda: answers(0))
        fill(disk)
        with running():
            await eventually(lambda: answers(0))
