"""Output of the stack's real programs when they cannot start."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from chitlaq.core.installation import secrets, settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.install import users
from chitlaq.stack.servers import barman, nginx, postgres, valkey
from tests.conftest import Stack
from tests.observers import tool

Command = tuple[Sequence[str], pwd.struct_passwd | None]


def of(program: str, stack: Stack) -> list[str]:
    """Start a program so that it fails, and return the lines that it wrote.

    Args:
        program: one of `PROGRAMS`.
        stack: a running one, whose home has the copied programs.
    """
    with (
        tempfile.TemporaryDirectory(prefix="chitlaq-") as name,
        socket.create_server(("127.0.0.1", 0)) as taken,
    ):
        folder = Path(name)
        folder.chmod(0o755)
        command, user = PROGRAMS[program](folder, taken.getsockname()[1], stack)
        done = subprocess.run(
            command,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            env={**os.environ, "LC_ALL": "C.UTF-8", "CHITLAQ_HOME": name},
            timeout=60,
        )
    assert done.returncode != 0, done.stdout
    return done.stdout.splitlines()


def _postgres(folder: Path, _port: int, stack: Stack) -> Command:
    data, user = folder / "data", users.service_user()
    data.mkdir(mode=0o700)
    (data / "PG_VERSION").write_text("18\n")
    (data / "postgresql.conf").write_text("nonsense = on\n")
    if user is not None:
        for path in (data, *data.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
    return [str(postgres.programs(Settings()) / "postgres"), "-D", str(data)], user


def _redis(folder: Path, port: int, _stack: Stack) -> Command:
    home = Home(folder)
    secrets.ensure(home)
    valkey.prepare(home, settings_loading.load(home, {"CHITLAQ_PORTS_REDIS": str(port)}))
    return valkey.command(home, Settings()), None


def _older_redis(_folder: Path, port: int, _stack: Stack) -> Command:
    return [str(valkey.program(Settings()).path), "--port", str(port), "--bind", "127.0.0.1"], None


def _nginx(folder: Path, _port: int, _stack: Stack) -> Command:
    return [str(nginx.wheel()), "-p", str(folder), "-c", f"{folder}/none"], None


def _archive(folder: Path, _port: int, _stack: Stack) -> Command:
    home = Home(folder)
    secrets.ensure(home)
    settings = settings_loading.load(home, {"CHITLAQ_BACKUPS_FOLDER": str(folder / "backups")})
    barman.prepare(home, settings)
    return barman.command(home, "receive-wal", barman.SERVER), None


def _migrate(_folder: Path, _port: int, _stack: Stack) -> Command:
    return [sys.executable, "-m", "chitlaq", "migrate"], None


def _prometheus(folder: Path, _port: int, _stack: Stack) -> Command:
    words = [f"--config.file={folder}/none", f"--storage.tsdb.path={folder}/data"]
    return [tool("prometheus"), *words, "--log.format=json"], None


def _alertmanager(folder: Path, _port: int, _stack: Stack) -> Command:
    words = [f"--config.file={folder}/none", f"--storage.path={folder}/data"]
    return [tool("alertmanager"), *words, "--cluster.listen-address=", "--log.format=json"], None


def _node_exporter(_folder: Path, port: int, _stack: Stack) -> Command:
    address = f"--web.listen-address=127.0.0.1:{port}"
    return [tool("node-exporter"), address, "--log.format=json"], None


def _unknown_flag(_folder: Path, _port: int, _stack: Stack) -> Command:
    return [tool("node-exporter"), "--nonsense"], None


PROGRAMS: dict[str, Callable[[Path, int, Stack], Command]] = {
    "postgres": _postgres,
    "redis": _redis,
    "redis without our configuration": _older_redis,
    "nginx": _nginx,
    "wal-archive": _archive,
    "migrate": _migrate,
    "prometheus": _prometheus,
    "alertmanager": _alertmanager,
    "node-exporter": _node_exporter,
    "node-exporter with an unknown flag": _unknown_flag,
}
