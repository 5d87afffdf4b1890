"""The command as an operator uses it: the runbook's commands, clear messages, meaningful exit codes."""

from __future__ import annotations

import json
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator

import httpx
import pytest

from chitlaq import inventory
from tests.conftest import Member, Stack, eventually, remove_home, start_stack

Join = Callable[[], Awaitable[Member]]


@pytest.fixture
def empty() -> Iterator[Stack]:
    """An installation that was never started."""
    stack = start_stack()
    yield stack
    remove_home(stack.home)


def test_ps_lists_every_component(stack: Stack) -> None:
    rows = stack.json("ps")
    assert [row["service"] for row in rows] == [
        "postgres", "redis", "migrate", "auth-service", "feed-service", "search-service", "websocket",
        "api-gateway", "ops-service", "nginx",
    ]  # fmt: skip
    for row in rows:
        assert set(row) >= {"service", "state", "pid", "restarts", "uptime", "port"}
    assert stack.command("ps").returncode == 0


def test_up_twice_is_harmless(stack: Stack) -> None:
    before = stack.ps()
    answer = stack.command("up", "--detach")
    assert answer.returncode == 0
    assert "already" in answer.stdout
    assert {name: row["pid"] for name, row in stack.ps().items()} == {
        name: row["pid"] for name, row in before.items()
    }


def test_exec_takes_the_runbooks_commands(stack: Stack) -> None:
    answer = stack.command("exec", "postgres", "psql", "-U", "postgres", "-c", "SELECT 1;")
    assert "(1 row)" in answer.stdout
    statement = "SELECT pg_size_pretty(pg_database_size('chitlaq'));"
    assert (
        stack.command("exec", "postgres", "psql", "-U", "postgres", "-c", statement).returncode == 0
    )
    slow = "SELECT query, mean_exec_time, calls FROM pg_stat_statements WHERE mean_exec_time > 1000"
    assert stack.command("exec", "postgres", "psql", "-U", "postgres", "-c", slow).returncode == 0
    answer = stack.command("exec", "postgres", "pg_isready", "-U", "postgres")
    assert "accepting connections" in answer.stdout
    wrong = stack.command("exec", "postgres", "psql", "-U", "postgres", "-c", "SELECT nonsense")
    assert wrong.returncode == 1
    assert stack.redis("ping") == "PONG"
    assert "used_memory_human" in stack.redis("info", "memory")
    assert "connected_clients" in stack.redis("info", "clients")
    assert stack.redis("rpush", "test:list", "one", "two") == "2"
    assert stack.redis("lrange", "test:list", "0", "-1") == "one\ntwo"
    stack.redis("del", "test:list")
    refused = stack.command("exec", "redis", "redis-cli", "nonsense")
    assert refused.returncode == 1
    assert refused.stdout.startswith("(error) ERR unknown command")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["restart", "nonsense"], "There is no component nonsense; there are postgres, redis"),
        (["logs", "nonsense"], "There is no component nonsense; there are postgres, redis"),
        (["logs", "--since", "yesterday"], "--since 'yesterday' is not a point in time."),
        (["logs", "--grep", "("], "is not a regular expression"),
        (["exec", "mysql", "mysql"], "There is no client for mysql; there are postgres and redis"),
        (["exec", "postgres", "nonsense"], "PostgreSQL has no program nonsense; it has"),
        (["exec", "redis", "redis-cli"], "Give a command"),
        (
            ["mail", "show", "--to", "nobody@example.edu"],
            "There is no mail to nobody@example.edu yet",
        ),
        (["serve", "nonsense"], "There is no service nonsense; there are api-gateway"),
        (["universities", "import", "/nonexistent.csv"], "/nonexistent.csv cannot be read"),
    ],
)
def test_mistake_is_one_clear_sentence(stack: Stack, words: list[str], sentence: str) -> None:
    answer = stack.command(*words)
    assert answer.returncode == 1
    assert sentence in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert "Traceback" not in answer.stderr


def test_unknown_arguments_exit_with_code_two(stack: Stack) -> None:
    assert stack.command("nonsense").returncode == 2
    assert stack.command("ps", "--nonsense").returncode == 2


def test_settings_are_shown_without_secrets(stack: Stack) -> None:
    answer = stack.command(
        "config", "show",
        env={"CHITLAQ_SMTP_PASSWORD": "planted", "DATABASE_URL": "postgresql://me:planted@db/chitlaq"},
    )  # fmt: skip
    assert "planted" not in answer.stdout
    assert "postgresql://me:********@db/chitlaq" in answer.stdout
    rows = {row["setting"]: row for row in stack.json("config", "show")["settings"]}
    assert rows["ports.edge"]["value"] == str(stack.ports["edge"])
    assert rows["ports.edge"]["variable"] == "CHITLAQ_PORTS_EDGE"


def test_configuration_of_the_observers_is_printed_as_they_are_run_here(stack: Stack) -> None:
    prometheus = json.loads(stack.command("config", "prometheus").stdout)
    asked = {
        job["job_name"]: job["static_configs"][0]["targets"] for job in prometheus["scrape_configs"]
    }
    for row in inventory.SERVICES:
        assert asked[row.job] == [f"127.0.0.1:{stack.ports[row.setting]}"]
    (alertmanager,) = prometheus["alerting"]["alertmanagers"]
    (target,) = alertmanager["static_configs"]
    assert target["targets"] == [f"127.0.0.1:{stack.ports['alertmanager']}"]
    routes = json.loads(stack.command("config", "alertmanager").stdout)
    receivers = {one["name"]: one for one in routes["receivers"]}
    (hook,) = receivers[routes["route"]["receiver"]]["webhook_configs"]
    assert f":{stack.ports['ops']}/" in hook["url"]


def test_secrets_are_for_their_owner_only(stack: Stack) -> None:
    secrets = list((stack.home / "secrets").iterdir())
    assert len(secrets) >= 9
    assert stat.S_IMODE((stack.home / "secrets").stat().st_mode) == 0o700
    for file in secrets:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE((stack.home / "run" / "supervisor.sock").stat().st_mode) == 0o600


def test_configuration_of_the_observers_proxy_is_printed(stack: Stack) -> None:
    text = stack.command(
        "config", "monitoring-proxy", env={"CHITLAQ_MONITORING_EMBEDDED": "true"}
    ).stdout
    for name in ("prometheus", "alertmanager", "node_exporter"):
        assert f"listen 127.0.0.1:{stack.ports[name]};" in text


def test_generated_nginx_configuration_is_plain_nginx(stack: Stack) -> None:
    text = stack.command("config", "nginx").stdout
    assert re.search(r'location ~ "\^/api\(\?:/feed/\S+\|/posts/\[\^/\]\+\|', text)
    assert '"/api/posts/{post_id}"' in text


async def test_logs_are_filtered_by_number_time_and_pattern(stack: Stack, join: Join) -> None:
    member = await join()
    for number in range(3):
        await member.write(f"something to log {number}")
    lines = stack.command("logs", "feed-service", "--tail", "3").stdout.splitlines()
    assert len(lines) == 3
    raw = stack.command("logs", "feed-service", "--tail", "3", "--json").stdout.splitlines()
    for line in raw:
        entry = json.loads(line)
        assert list(entry)[:5] == ["timestamp", "level", "service", "event", "request_id"]
    assert stack.command("logs", "--since", "2999-01-01").stdout == ""
    matching = stack.command("logs", "feed-service", "--grep", 'method=POST|"POST"').stdout
    assert matching
    everything = stack.command("logs", "--tail", "20").stdout.splitlines()
    assert len(everything) == 20
    assert all(" | " in line for line in everything)
    last = stack.command("logs", "nginx", "--tail", "1").stdout
    assert re.match(r'127\.0\.0\.1 - - \[.*\] "[A-Z]+ /\S* HTTP/1\.1" \d+ \d+ ', last)


def test_stats_measure_every_process(stack: Stack) -> None:
    services = ("auth-service", "feed-service", "search-service", "websocket", "api-gateway")
    # Earlier tests have used them: pictures and passwords leave their memory to later ones.
    for name in services:
        assert stack.command("restart", name).returncode == 0
    rows = {row["service"]: row for row in stack.json("stats")}
    for name in ("postgres", "redis", "feed-service", "nginx"):
        assert rows[name]["memory_bytes"] > 1_000_000
    assert rows["nginx"]["processes"] == 3
    for name in services:
        assert rows[name]["memory_bytes"] < 90_000_000, f"{name}: the aim of a process at rest"


async def test_imported_university_may_register(stack: Stack, client: httpx.AsyncClient) -> None:
    file = stack.home / "universities.csv"
    file.write_text("name,domain\nNorth Fjord University,Fjord.Example\n", encoding="utf-8-sig")
    answer = stack.command("universities", "import", str(file))
    assert answer.returncode == 0, answer.stderr
    body = {"email": "liv@fjord.example", "password": "four odd words here", "username": "liv_fjord",
            "display_name": "Liv"}  # fmt: skip
    answer_ = await client.post("/api/auth/register", json=body)
    assert answer_.status_code == 201, answer_.text
    assert answer_.json()["user"]["university"] == "North Fjord University"
    names = [row["name"] for row in stack.json("universities", "list")]
    assert "North Fjord University" in names
    file.write_text("name,domain\nGood,good.example\nBad,not a domain\n")
    answer = stack.command("universities", "import", str(file))
    assert answer.returncode == 1
    assert "Line 3" in answer.stderr
    file.unlink()
    assert "Good" not in [row["name"] for row in stack.json("universities", "list")]


async def test_slow_reload_of_nginx_applies_new_settings(
    stack: Stack, client: httpx.AsyncClient
) -> None:
    assert stack.command("restart", "nginx").returncode == 0
    assert (await client.get("/health")).status_code == 200


# --- before anything is started


def test_commands_say_when_nothing_runs(empty: Stack) -> None:
    answer = empty.command("ps")
    assert answer.returncode == 1
    assert "not running here: start it with `chitlaq up`" in answer.stderr
    assert empty.command("ps", "--json").stdout.strip() == "[]"
    assert empty.command("ps", "--json").returncode == 3
    assert empty.command("down").returncode == 0
    assert "is the stack up?" in empty.command("mail", "list").stderr or (
        "`chitlaq up` makes all secrets" in empty.command("mail", "list").stderr
    )


def test_taken_port_is_named_before_anything_starts(empty: Stack) -> None:
    with socket.create_server(("127.0.0.1", empty.ports["search"])):
        answer = empty.command("up", "--detach")
        doctor = empty.command("doctor")
    assert answer.returncode == 1
    assert (
        f"Port {empty.ports['search']}, which search-service needs, is in use by" in answer.stderr
    )
    assert "CHITLAQ_PORTS_SEARCH" in answer.stderr
    assert not (empty.home / "postgres").exists()
    assert doctor.returncode == 1
    assert "CHITLAQ_PORTS_SEARCH" in re.sub(r"\s+", "", doctor.stdout)


def test_data_of_another_version_is_not_touched(empty: Stack) -> None:
    (empty.home / "postgres").mkdir()
    (empty.home / "postgres" / "PG_VERSION").write_text("16\n")
    answer = empty.command("up", "--detach")
    assert answer.returncode == 1
    assert "was written by PostgreSQL 16, and this ChitLaq brings 18" in answer.stderr


def test_unwritable_home_is_named(empty: Stack) -> None:
    (empty.home / "file").touch()
    answer = empty.command("up", env={"CHITLAQ_HOME": str(empty.home / "file" / "home")})
    assert answer.returncode == 1
    assert "cannot be written" in answer.stderr
    assert "CHITLAQ_HOME" in answer.stderr


def test_home_with_a_long_path_is_named(empty: Stack) -> None:
    answer = empty.command("up", env={"CHITLAQ_HOME": "/tmp/" + "x" * 100})
    assert answer.returncode == 1
    assert "choose a shorter path" in answer.stderr


def test_address_of_another_machine_is_not_said_to_be_in_use(empty: Stack) -> None:
    for host in ("192.0.2.77", "2001:db8::7"):
        answer = empty.command("up", env={"CHITLAQ_HOST": host})
        assert answer.returncode == 1
        assert f"Nothing can listen on {host} here" in answer.stderr
        assert "CHITLAQ_HOST" in answer.stderr


def test_home_that_no_server_can_be_told_of_is_refused(empty: Stack) -> None:
    for path in ("/tmp/$HOME", "/tmp/a:b", "/tmp/a[1]", "/tmp/a\nb"):
        answer = empty.command("up", env={"CHITLAQ_HOME": path})
        assert answer.returncode == 1
        assert "choose another folder" in answer.stderr
        assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("CHITLAQ_PORTS_EDGE", "many", "ports.edge from the environment (CHITLAQ_PORTS_EDGE)"),
        ("CHITLAQ_PORTS_EDGE", "99999", "is invalid: Expected `int` <= 65535"),
        ("CHITLAQ_PORT_EDGE", "80", "Did you mean CHITLAQ_PORTS_EDGE?"),
        ("REDIS_URL", "mysql://x", "redis_url"),
        ("REDIS_URL", "redis://[::1", "redis_url"),
        ("DATABASE_URL", "postgresql://u:se/cret@h/d", "database_url"),
        ("DATABASE_URL", "postgresql://u:secret@a,b/d", "target_session_attrs=read-write"),
        ("DATABASE_URL", "postgresql://u:secret@a:1,b:x/d", "database_url"),
        ("PROMETHEUS_URL", "http://a,b", "prometheus_url"),
        ("PROMETHEUS_URL", "localhost:9090", "prometheus_url"),
        ("ALERTMANAGER_URL", "http://u:secret@h:port", "alertmanager_url"),
        ("CHITLAQ_BACKUPS_COPY_TO", "s3://key:secret@bucket/p", "backups.copy_to"),
        ("CHITLAQ_OPERATIONS_HEARTBEAT_URL", "ftp://h/secret", "operations.heartbeat_url"),
    ],
)
def test_invalid_setting_is_named(empty: Stack, variable: str, value: str, sentence: str) -> None:
    answer = empty.command("up", "--detach", env={variable: value})
    assert answer.returncode == 1
    assert sentence in answer.stderr
    assert "cret" not in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("REDIS_URL", "redis://:secret@h:1/0", "redis://:********@h:1/0"),
        ("REDIS_URL", "unix://u:se@cret@/a.sock", "unix://u:********@/a.sock"),
        ("REDIS_URL", "redis-cluster://:s@h?node=b:1", "redis-cluster://:********@h?node=b:1"),
        ("PROMETHEUS_URL", "http://user@h:1/p", "http://user@h:1/p"),
        (
            "DATABASE_URL",
            "postgresql:///d?host=/s&password=secret%2F&user=u",
            "postgresql:///d?host=/s&password=********&user=u",
        ),
    ],
)
def test_passwords_in_urls_are_hidden(
    empty: Stack, variable: str, value: str, expected: str
) -> None:
    answer = empty.command("config", "show", "--json", env={variable: value})
    values = {row["variable"]: row["value"] for row in json.loads(answer.stdout)["settings"]}
    assert values[variable] == expected


def test_backups_are_not_fetched_from_a_url_with_credentials(empty: Stack) -> None:
    answer = empty.command("backup", "fetch", "s3://key:planted@bucket", "--identity", "no.key")
    assert (answer.returncode, "a user or a password" in answer.stderr) == (1, True)
    assert "planted" not in answer.stdout + answer.stderr
    kept = [path for path in empty.home.rglob("*") if path.is_file()]
    assert not [path for path in kept if b"planted" in path.read_bytes()]


def test_settings_file_is_read_and_the_environment_wins(empty: Stack) -> None:
    (empty.home / "chitlaq.toml").write_text(
        'public_url = "https://one.example"\n[workers]\nfeed = 2\n'
    )
    rows = {row["setting"]: row["value"] for row in empty.json("config", "show")["settings"]}
    assert (rows["public_url"], rows["workers.feed"]) == ("https://one.example", "2")
    (empty.home / "chitlaq.toml").write_text("[ports]\nedgy = 1\n")
    answer = empty.command("config", "show")
    assert answer.returncode == 1
    assert "unknown setting ports.edgy. Did you mean ports.edge?" in answer.stderr
    (empty.home / "chitlaq.toml").write_text("= nonsense")
    assert "is not valid TOML" in empty.command("config", "show").stderr
    (empty.home / "chitlaq.toml").unlink()


async def test_attached_stack_ends_with_its_terminal() -> None:
    own = start_stack()
    process = subprocess.Popen(
        [sys.executable, "-m", "chitlaq", "up"],
        env=own.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        shown = ""
        while "Press Ctrl-C" not in shown:
            line = process.stdout.readline()
            assert line, shown
            shown += line
        assert f"http://localhost:{own.ports['edge']}/" in shown
        assert own.is_healthy()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
        assert own.command("ps").returncode == 1
        process.stdout.close()
    finally:
        process.kill()
        own.command("down")
        await eventually(lambda: not (own.home / "run" / "supervisor.sock").exists())
        remove_home(own.home)
