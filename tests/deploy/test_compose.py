"""deploy/compose.yaml as an operator runs it: up, the runbook's lines, a restart, lost volumes, a restore.

Attacks the promises that the runbook's lines for containers work as written, and that whatever is lost comes
back as the page on containers says. See `engine` for what takes the place of images that cannot be fetched.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator

import pytest

from chitlaq.ops.runbook import original
from tests.deploy.engine import Engine, engine

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

UP = "docker compose up --detach"
RESTORE = "docker compose run --rm --no-deps ops-service backup restore"
UP_SECONDS = 600
SECTION = "2. Service Status Verification"
LINES = original.for_containers()
ANSWERS = {
    "SELECT 1;": r"\(1 row\)",
    "pg_isready": "accepting connections",
    "redis-cli ping": "^PONG",
    "info memory": "used_memory_human",
    "docker compose ps": "feed-service",
    "docker stats": "postgres",
}


@pytest.fixture(scope="module")
def docker() -> Iterator[Engine]:
    with engine() as made:
        made.done(UP, seconds=UP_SECONDS)
        is_served(made)
        yield made


def until(condition: Callable[[], bool], seconds: float, say: Callable[[], str]) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, say()
        time.sleep(1)


def is_served(docker: Engine) -> None:
    """Wait until all components answer, as the stack itself says."""

    def states() -> str:
        # In place of `exec`: it has the components' health, also while a service is down.
        return docker.run("docker compose exec -T ops-service chitlaq ps --json").stdout

    def are_healthy() -> bool:
        try:
            found = json.loads(states())
        except ValueError:
            return False
        return bool(found) and all(one["state"] == "healthy" for one in found)

    until(
        are_healthy,
        UP_SECONDS,
        lambda: (
            states() + docker.run("docker ps -a; docker compose logs --tail=20").stdout[-20_000:]
        ),
    )


def sql(docker: Engine, text: str) -> str:
    line = f'docker compose exec -T postgres psql -U postgres -d chitlaq -Atc "{text}"'
    return docker.done(line).strip()


def test_service_status_of_the_runbook_pasted_line_by_line(docker: Engine) -> None:
    (section,) = [one for one in original.sections() if one.title == SECTION]
    assert len(section.commands) > 8
    for line in section.commands:
        said = docker.done(f"set -o pipefail; {line}")
        if "/health" in line:
            assert json.loads(said)["status"] == "healthy", line
        else:
            assert said.strip(), line


@pytest.mark.parametrize("line", LINES)
def test_line_of_the_runbook_works_as_written(docker: Engine, line: str) -> None:
    if "SERVICE_NAME" in line:
        pytest.skip("another test restarts a service")
    if "chitlaq_test" in line:
        docker.done("docker compose exec -T ops-service chitlaq backup run dump", seconds=600)
        drill = "chitlaq backup drill --database chitlaq_test"
        docker.done(f"docker compose exec -T ops-service {drill}", seconds=600)
    # What follows it, such as `grep`, finds nothing on a good day.
    said = docker.done(f"{line}\nexit ${{PIPESTATUS[0]}}")
    for words, answer in ANSWERS.items():
        if words in line:
            assert re.search(answer, said, re.M), said


def test_pages_and_dashboards_are_there(docker: Engine) -> None:
    assert "ChitLaq" in docker.done("curl -sf http://localhost:8080/about")
    assert "ChitLaq" in docker.done("curl -skf https://localhost:8443/about")
    assert docker.done("curl -sf -o /dev/null -w '%{http_code}' http://localhost:3000/") == "200"


def test_checks_read_containers(docker: Engine) -> None:
    """All that a container can see is judged; what only the engine sees names the engine's command."""
    answer = docker.run(
        "docker compose exec -T ops-service chitlaq ops morning --json", seconds=300
    )
    results = json.loads(answer.stdout)["results"]
    verdicts = {one["check"]: one for one in results}
    for check in (
        "database.ready",
        "redis.ready",
        "services.processes",
        "feed.health",
        "auth.health",
    ):
        assert verdicts[check]["verdict"] == "OK", verdicts[check]


def test_restarted_service_serves_again(docker: Engine) -> None:
    began = docker.done("docker inspect --format '{{.State.StartedAt}}' chitlaq_feed-service_1")
    docker.done("docker compose restart feed-service")
    is_served(docker)
    assert began != docker.done(
        "docker inspect --format '{{.State.StartedAt}}' chitlaq_feed-service_1"
    )


def test_killed_component_comes_back(docker: Engine) -> None:
    sql(docker, "CREATE TABLE public.kept (words text)")
    sql(docker, "INSERT INTO public.kept VALUES ('before')")
    for name in ("postgres", "redis", "nginx"):
        docker.done(f"docker kill chitlaq_{name}_1")
        # What a person kills stays down, for the engine as for docker.
        docker.done(f"docker start chitlaq_{name}_1")
    is_served(docker)
    assert sql(docker, "SELECT words FROM public.kept") == "before"


def test_volumes_that_hold_nothing_are_made_anew(docker: Engine) -> None:
    docker.done("docker compose down --timeout 30", seconds=300)
    for name in ("run", "nginx", "certificates", "monitoring-proxy", "grafana", "status-page"):
        docker.done(f"docker volume rm chitlaq_{name}")
    docker.done(UP, seconds=UP_SECONDS)
    is_served(docker)
    assert sql(docker, "SELECT words FROM public.kept") == "before"


def test_lost_database_is_restored(docker: Engine) -> None:
    """It is not made empty in its place, and what was written after the backup is in the WAL archive."""
    backup = "docker compose exec -T ops-service chitlaq backup"
    docker.done(f"{backup} run full", seconds=600)
    sql(docker, "UPDATE public.kept SET words = 'after'")
    refused = docker.run(f"{backup} restore --yes")
    assert refused.returncode == 1
    assert "`docker compose down`" in refused.stderr
    assert f"`{RESTORE}`" in refused.stderr
    # What is received is on the disk once its segment is whole.
    written = sql(docker, "SELECT pg_switch_wal()")
    received = f"SELECT bool_and(flush_lsn >= '{written}') FROM pg_stat_replication"
    until(lambda: sql(docker, received) == "t", 120, lambda: f"{written} does not arrive")
    docker.done("docker compose down --timeout 60", seconds=300)
    docker.done("docker volume rm chitlaq_home")
    # podman-compose waits on for what follows `prepare`.
    # One that has not begun has ended for `docker wait`, too.
    refused_by = "docker inspect --format '{{.State.ExitCode}}' chitlaq_prepare_1 | grep -qx 1"
    docker.run(f"{UP} & up=$!; until {refused_by}; do sleep 1; done; kill $up")
    assert docker.run("curl -sf http://localhost:3003/health").returncode != 0
    assert f"`{RESTORE}`" in docker.done("docker compose logs prepare 2>&1")
    docker.run("docker compose down --timeout 10", seconds=300)
    said = docker.done(f"{RESTORE.replace('run', 'run -T')} --yes", seconds=600)
    assert f"`{UP}`" in said
    docker.done(UP, seconds=UP_SECONDS)
    is_served(docker)
    assert sql(docker, "SELECT words FROM public.kept") == "after"


def test_down_leaves_volumes_alone(docker: Engine) -> None:
    docker.done("docker compose down --timeout 30", seconds=300)
    assert docker.done("docker ps --all --quiet") == ""
    kept = docker.done("docker volume ls --quiet").split()
    assert {"chitlaq_home", "chitlaq_backups", "chitlaq_media"} <= set(kept)
