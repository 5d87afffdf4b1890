"""deploy/: every line of the runbook's `docker compose` finds its service, and each container is confined."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from cryptography import x509
from typer.testing import CliRunner

from chitlaq import inventory
from chitlaq.backups.context import BackupContext
from chitlaq.backups.restore import restore
from chitlaq.cli.app import app
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import unix_sockets
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.runbook import original
from chitlaq.stack import containers
from chitlaq.stack.servers import nginx, observers
from tests import acme_authority, commands
from tests.certificates import presented
from tests.conftest import eventually, free_ports

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()
HOME = "/var/lib/chitlaq"
LINES = sorted(
    {
        line
        for section in original.sections()
        for line in section.commands
        if line.startswith("docker compose")
    }
)


@pytest.mark.parametrize("line", LINES)
def test_line_of_the_runbook_finds_its_service(line: str) -> None:
    words = shlex.split(line.partition("|")[0])[2:]
    named = [word for word in words[1:2] if not word.startswith("-") and word != "SERVICE_NAME"]
    assert set(named) <= SERVICES.keys()


def test_containers_are_the_components_by_their_names() -> None:
    assert SERVICES.keys() - inventory.COMPONENTS.keys() == {"prepare", "grafana", "certificates"}
    assert inventory.COMPONENTS.keys() <= SERVICES.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_container_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["user"] == "10001:10001"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["mem_limit"]
    assert "privileged" not in service
    assert re.search(r":v?\d+\.\d+", service["image"]), "pin the image by its version"
    secret = re.compile("password|secret|key", re.IGNORECASE)
    values = service.get("environment", {})
    assert not [k for k in values if secret.search(k) and not k.endswith(("_FILE", "PGPASSFILE"))]


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_database_and_cache_have_no_network(name: str) -> None:
    assert SERVICES[name]["network_mode"] == "none"


def test_psql_waits_for_nobody() -> None:
    assert SERVICES["postgres"]["environment"]["PSQL_PAGER"] == ""


def test_every_volume_is_declared_and_belongs_to_the_user() -> None:
    places: dict[str, set[str]] = {}
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source, place, *_ = volume.split(":")
            if not source.startswith("/"):
                places.setdefault(source, set()).add(place)
    assert places.keys() == COMPOSE["volumes"].keys()
    assert all(len(found) == 1 for found in places.values()), "one place in all containers"
    made = set(re.split(r"[\s\\;]+", CONTAINERFILE))
    for place in {next(iter(found)) for found in places.values()} - {HOME, "/opt/backups/chitlaq"}:
        assert place.removeprefix(f"{HOME}/") in made, f"the image has no folder {place}"


def test_prepare_mounts_every_volume_first() -> None:
    mounted = {volume.split(":")[0] for volume in SERVICES["prepare"]["volumes"]}
    assert mounted == COMPOSE["volumes"].keys()


@pytest.mark.parametrize("name", ["prometheus", "alertmanager"])
def test_observer_runs_with_the_options_of_the_stack(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observers, "program", lambda *_: Path(name))
    _, *options = getattr(observers, name)(Home(Path(HOME)), Settings())
    assert SERVICES[name]["command"] == options


def test_image_runs_as_its_own_user_and_knows_its_health() -> None:
    last = CONTAINERFILE.rpartition("\nFROM ")[2]
    assert CONTAINERFILE.count("\nFROM ") == 2
    assert re.search(r"^USER chitlaq$", last, re.M)
    assert re.search(r"^HEALTHCHECK .*healthcheck", last, re.M)


def test_preparation_makes_what_the_servers_read_and_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.setenv("CHITLAQ_HOME", str(tmp_path))
    monkeypatch.setenv("CHITLAQ_BACKUPS_FOLDER", str(tmp_path / "backups"))
    monkeypatch.setenv("REDIS_URL", f"unix://{tmp_path}/run/redis.sock")
    for _ in range(2):
        answer = CliRunner().invoke(app, ["config", "containers"])
        assert answer.exit_code == 0, answer.output
    home = Home(tmp_path)
    for path in (
        home.postgres_data / "PG_VERSION",
        home.postgres_socket / "passwords",
        home.nginx / "nginx.conf",
        home.prometheus / "prometheus.yml",
        home.prometheus / "rules" / "alerts.yml",
        home.prometheus / "web.yml",
        home.alertmanager / "alertmanager.yml",
        home.monitoring_proxy / "nginx.conf",
        home.backup / "barman.conf",
        tmp_path / "grafana" / "operator-password",
        tmp_path / "grafana" / "provisioning" / "dashboards" / "chitlaq" / "chitlaq-overview.json",
    ):
        assert path.is_file(), path
    answer = CliRunner().invoke(app, ["ps"])
    assert answer.exit_code == 3
    assert "docker compose logs feed-service" in answer.output


async def test_certificate_comes_by_acme_and_nginx_reads_it(tmp_path: Path) -> None:
    """The command of nginx's container, beside the one which renews; neither sees the other's processes."""
    edge, gateway, tls = free_ports(3)
    home = Home(tmp_path / "h")
    home.root.mkdir()
    with acme_authority.running(tmp_path / "ca", edge) as authority:
        environment = os.environ | {
            "CHITLAQ_HOME": str(home.root),
            "DATABASE_URL": "postgresql://owner:secret@localhost/chitlaq",
            "REDIS_URL": "redis://localhost",
            "CHITLAQ_MONITORING_EMBEDDED": "false",
            "CHITLAQ_PUBLIC_URL": f"https://{acme_authority.NAME}",
            "CHITLAQ_ACME_DIRECTORY": authority.directory,
            "CHITLAQ_ACME_ROOT": str(authority.root),
            "CHITLAQ_PORTS_EDGE": str(edge),
            "CHITLAQ_PORTS_GATEWAY": str(gateway),
            "CHITLAQ_PORTS_EDGE_TLS": str(tls),
            "PATH": f"{nginx.wheel().parent}:{os.environ['PATH']}",
        }
        made = commands.run(("config", "containers"), environment)
        assert made.returncode == 0, made.stdout + made.stderr
        home.logs.mkdir(exist_ok=True)
        # Its workers are nobody's, where the test is root's.
        home.nginx_sockets.chmod(0o755)
        keep = ("certificates", "keep")
        assert SERVICES["certificates"]["command"] == [*keep]
        shell, dash, line = SERVICES["nginx"]["command"]
        line = line.replace("$$", "$").replace("sleep 10", "sleep 0.1")
        server = subprocess.Popen(
            [shell, dash, line], cwd=home.nginx, env=environment, start_new_session=True
        )
        keeping = None
        try:
            await eventually(lambda: unix_sockets.is_served(home.nginx_probe))
            # It serves before it writes this.
            await eventually((home.run / "nginx.pid").exists)
            (home.run / "nginx.pid").rename(home.run / "nginx.pid.hidden")
            settings = settings_loading.load(home, environment)
            assert nginx.tls_port(home, settings) == tls, "who has it is unseen, and is nginx"
            (home.run / "nginx.pid.hidden").rename(home.run / "nginx.pid")
            before = await presented(tls)
            keeping = subprocess.Popen(
                [sys.executable, "-m", "chitlaq", *keep],
                env=environment,
            )

            async def is_other() -> bool:
                return await presented(tls) != before

            await eventually(is_other)
            issued = x509.load_pem_x509_certificate(home.acme_certificate.read_bytes())
            assert await presented(tls) == issued
        finally:
            for process in (keeping, server):
                if process is not None:
                    process.terminate()
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)


def test_restore_leaves_a_database_alone_that_a_container_serves(tmp_path: Path) -> None:
    """Its process is in another container, so only its socket shows that it runs."""
    home, settings = Home(tmp_path), Settings()
    containers.mark(home)
    home.postgres_socket.mkdir()
    with socket.socket(socket.AF_UNIX) as serving:
        serving.bind(str(home.postgres_socket / f".s.PGSQL.{settings.port_of('postgres')}"))
        serving.listen()
        with pytest.raises(OperatorError, match="the engine must stop it"):
            restore.stop_stack(BackupContext(home, settings))
    assert not restore.stop_stack(BackupContext(home, settings)), "a killed one leaves its socket"


@pytest.mark.parametrize(("status", "is_ready"), [(b"200 OK", True), (b"503 No", False)])
def test_health_is_the_answer_of_ready(tmp_path: Path, status: bytes, is_ready: bool) -> None:
    class Answers(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            assert self.rfile.readline().startswith(b"GET /ready ")
            self.wfile.write(b"HTTP/1.1 " + status + b"\r\n\r\n")

    ask = runpy.run_path(str(DEPLOY / "healthcheck.py"))["answers"]
    path = tmp_path / "feed.sock"
    assert ask(path) is False
    with socketserver.UnixStreamServer(str(path), Answers) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert ask(path) is is_ready
