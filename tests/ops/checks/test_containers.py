"""Containers as Docker reports them.

No Docker daemon can run where the tests run: `docker` is a script that prints lines of the real one's
format (28.2), with all of its fields. The error of a stopped daemon comes from the real program,
if it is installed.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import pytest

from chitlaq import inventory
from chitlaq.core.installation.home import Home
from chitlaq.ops.checks.model import Table, Verdict
from chitlaq.ops.checks.runner import Result
from tests.conftest import Stack, free_ports
from tests.ops.checks.conftest import Programs, answering
from tests.ops.checks.prometheus_history import serving, up
from tests.ops.checks.run_check import run_check

OK, WARNING, CRITICAL, UNKNOWN, SKIPPED = (
    Verdict.OK, Verdict.WARNING, Verdict.CRITICAL, Verdict.UNKNOWN, Verdict.SKIPPED,
)  # fmt: skip


def container(name: str, state: str, status: str) -> str:
    return json.dumps(
        {
            "Command": '"docker-entrypoint.s…"', "CreatedAt": "2026-11-20 09:12:44 +0000 UTC",
            "ID": "3f4ab8a2d1c0", "Image": "postgres:18", "Labels": "", "LocalVolumes": "1",
            "Mounts": "chitlaq_data", "Names": name, "Networks": "chitlaq_default", "Platform": None,
            "Ports": "5432/tcp", "RunningFor": "4 days ago", "Size": "0B", "State": state,
            "Status": status,
        }
    )  # fmt: skip


FEED = container("feed-service-1", "running", "Up 4 days (healthy)")
ANY = container("other-1", "running", "Up 2 minutes")
MIGRATED = container("migrate-1", "exited", "Exited (0) 4 days ago")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.mark.parametrize(
    ("lines", "verdict", "said"),
    [
        ([], OK, "0 of 0 containers running, none unhealthy"),
        ([FEED, ANY, MIGRATED], OK, "2 of 3 containers running, none unhealthy"),
        (
            [FEED, container("search-1", "exited", "Exited (137) 2 hours ago")],
            WARNING,
            "search-1: Exited (137) 2 hours ago",
        ),
        ([FEED, container("auth-1", "paused", "Up 4 days (Paused)")], WARNING, "auth-1: Up 4 days"),
        ([container("auth-1", "dead", "Dead")], WARNING, "auth-1: Dead"),
        (
            [FEED, container("auth-1", "running", "Up 3 hours (unhealthy)")],
            CRITICAL,
            "auth-1: Up 3 hours (unhealthy)",
        ),
        (
            [container("ws-1", "restarting", "Restarting (1) 5 seconds ago"), FEED],
            CRITICAL,
            "ws-1: Restarting (1) 5 seconds ago",
        ),
        (["json"], UNKNOWN, "unexpected output"),
    ],
)
async def test_containers_are_judged_by_their_state(
    home: Home, programs: Programs, lines: list[str], verdict: Verdict, said: str
) -> None:
    text = "\n".join(lines)
    programs("docker", f"cat <<'END'\n{text}\nEND" if lines else "exit 0")
    found = await run_check(home, "services.containers")
    assert (found.verdict, said in found.summary) == (verdict, True), found.summary
    if verdict != UNKNOWN:
        (table,) = [one for one in found.evidence if isinstance(one, Table)]
        assert len(table.rows) == len(lines)


async def test_all_containers_are_listed_as_json(home: Home, programs: Programs) -> None:
    programs("docker", f'test "$*" = "ps -a --format {{{{json .}}}}" && echo \'{FEED}\'')
    assert (await run_check(home, "services.containers")).verdict == OK


async def test_what_only_the_engine_sees_says_so_and_where_it_is(home: Home) -> None:
    """In containers: what is UNKNOWN says what to do; a service's errors are those that it has counted."""
    used = home.containers
    used.parent.mkdir(parents=True)
    used.touch()
    for check, command in {
        "services.resources": "docker stats --no-stream",
        "database.log": "docker compose logs postgres",
        "redis.log": "docker compose logs redis",
        "nginx.errors": "docker compose logs nginx",
        "nginx.tls": "docker compose logs nginx",
    }.items():
        found = await run_check(home, check)
        assert (found.verdict, command in found.summary) == (UNKNOWN, True), found
    now = time.time()
    times = [now + second for second in range(-86_400, 600, 15)]
    pasts: dict[str, str | None] = {"nothing": None}
    for name, ends in {"lasting": now + 600, "over": now - 7200, "well": times[0]}.items():
        lines = [
            f'log_lines_total{{service="feed-service",level="error"}}'
            f" {0.01 * (min(at, ends) - times[0]):g} {at:.3f}"
            for at in times
        ]
        lines = ["# TYPE log_lines counter", *lines, *up("feed-service"), "# EOF"]
        pasts[name] = "\n".join(lines) + "\n"
    async with serving(pasts) as addresses:
        for name, verdict, said in (
            ("lasting", WARNING, r"86\d errors within 24 h, 36 of them within the last"),
            ("over", OK, "79[0-9] errors within 24 h, 0 of them within the last"),
            ("well", OK, "0 errors within 24 h.* `docker compose logs feed-service"),
            ("nothing", UNKNOWN, "Prometheus has no samples"),
        ):
            found = await run_check(home, "feed.log", PROMETHEUS_URL=addresses[name])
            assert (found.verdict, bool(re.match(said, found.summary))) == (verdict, True), found


async def test_services_say_how_much_memory_they_have_in_their_containers(
    stack: Stack, home: Home
) -> None:
    """No container sees the others' processes, so each service tells its own."""
    used = home.containers
    used.parent.mkdir(parents=True)
    used.touch()

    async def found(**variables: str) -> Result:
        return await run_check(home, "services.resources", **stack.environment | variables)

    well = await found()
    assert well.verdict is OK, well
    assert well.values["largest"].value > 1e7
    (table,) = [one for one in well.evidence if isinstance(one, Table)]
    assert [row[0] for row in table.rows] == [row.name for row in inventory.SERVICES]
    assert "servers and CPU time no container sees" in well.summary
    large = await found(CHITLAQ_CHECKS_COMPONENT_MEMORY_BYTES="1,2")
    assert large.verdict is CRITICAL
    (nobody,) = free_ports(1)
    dead = await found(CHITLAQ_PORTS_SEARCH=str(nobody))
    assert dead.verdict is UNKNOWN
    of_search = 'service_memory_{}bytes{{service="search-service"}} {}\n'
    for available, verdict in ((5e7, OK), (1e6, CRITICAL), (0, CRITICAL)):
        told = {"": 9e7, "limit_": 1e8, "available_": available}
        text = "".join(of_search.format(what, number) for what, number in told.items())
        with answering(text.encode()) as port:
            near = await found(CHITLAQ_PORTS_SEARCH=port)
        assert (near.verdict, "search-service has the least" in near.summary) == (verdict, True), (
            near
        )
    with answering(b"# nothing") as port:
        silent = await found(CHITLAQ_PORTS_SEARCH=port)
    assert (silent.verdict, "does not say" in silent.summary) == (UNKNOWN, True)


@pytest.mark.parametrize(
    ("elsewhere", "verdict", "said"),
    [
        ("", SKIPPED, "no Docker daemon runs here"),
        # Then this machine may well run the services in containers.
        ("postgresql://owner:x@db/chitlaq", UNKNOWN, "Cannot connect to the Docker daemon"),
    ],
)
async def test_unreachable_docker_daemon_is_unknown_if_it_is_needed(
    home: Home, monkeypatch: pytest.MonkeyPatch, elsewhere: str, verdict: Verdict, said: str
) -> None:
    if shutil.which("docker") is None:
        pytest.skip("the package docker.io is not here")
    (nobody,) = free_ports(1)
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{nobody}")
    found = await run_check(home, "services.containers", DATABASE_URL=elsewhere)
    assert (found.verdict, said in found.summary) == (verdict, True), found.summary
