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

from chitlaq.core.installation.home import Home
from chitlaq.ops.checks.model import Table, Verdict
from chitlaq.stack import containers as stack_containers
from tests.conftest import free_ports
from tests.ops.checks.conftest import Programs
from tests.ops.checks.prometheus_history import serving
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
    used = stack_containers.marker(home)
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
        pasts[name] = "\n".join(["# TYPE log_lines counter", *lines, "# EOF"]) + "\n"
    async with serving(pasts) as addresses:
        for name, verdict, said in (
            ("lasting", WARNING, r"86\d errors within 24 h, 36 of them within the last"),
            ("over", OK, "79[0-9] errors within 24 h, 0 of them within the last"),
            ("well", OK, "0 errors within 24 h.* `docker compose logs feed-service"),
            ("nothing", UNKNOWN, "Prometheus has no samples"),
        ):
            found = await run_check(home, "feed.log", PROMETHEUS_URL=addresses[name])
            assert (found.verdict, bool(re.match(said, found.summary))) == (verdict, True), found


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
