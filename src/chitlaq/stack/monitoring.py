"""Prometheus, Alertmanager and node-exporter: their programs, and the words they are started with.

They come from ``PATH``, or from the distribution's packages: these are fetched with its own client,
which needs no root for that and checks their signatures, and unpacked under ``CHITLAQ_HOME``. Installing
them would start the distribution's own services on the same ports. What was fetched once is kept.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from chitlaq.core.errors import MissingProgramError
from chitlaq.core.home import Home
from chitlaq.core.settings import Settings
from chitlaq.stack import users

FETCH_SECONDS = 60
FETCHED = "fetched"

PACKAGES = {
    "node-exporter": "prometheus-node-exporter",
    "prometheus": "prometheus",
    "alertmanager": "prometheus-alertmanager",
}
"""The package of each component, by Debian's names."""

PROGRAMS = {
    "node-exporter": ("node_exporter", "prometheus-node-exporter"),
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "alertmanager": ("alertmanager", "prometheus-alertmanager"),
    "amtool": ("amtool",),
}
"""Where each program is looked for: by its own name, and by Debian's."""


def program(home: Home, name: str) -> Path:
    """Return a program, by its name in `PROGRAMS`.

    Raises:
        MissingProgramError: it is not on this machine, and was not fetched.
    """
    for file in PROGRAMS[name]:
        if found := shutil.which(file):
            return Path(found)
        unpacked = home.packages / "usr" / "bin" / file
        # Without the mark a fetch was cut short, and what lies there may be half.
        if (home.packages / FETCHED).exists() and unpacked.is_file():
            return unpacked
    raise MissingProgramError(
        f"There is no {name} on this machine: put it on PATH, or run on Debian or Ubuntu,"
        f" where `chitlaq up` fetches the package {PACKAGES.get(name, 'prometheus')} by itself."
    )


def prepare(home: Home, component: str) -> None:
    """Make sure that a component's program is there, and the folder that it writes to.

    Raises:
        MissingProgramError: it is not there and cannot be fetched, with the reason.
    """
    home.packages.mkdir(parents=True, exist_ok=True)
    try:
        program(home, component)
    except MissingProgramError:
        fetch(home)
        program(home, component)
    for folder in (home.prometheus, home.alertmanager):
        folder.mkdir(parents=True, exist_ok=True)
        _own(folder, users.service_user())


def fetch(home: Home) -> None:
    """Fetch and unpack the packages of all components, once; others wait meanwhile.

    Raises:
        MissingProgramError: there is no package client, or it failed; with what it said.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise MissingProgramError(
            "There is no package client (apt-get) here: install Prometheus, Alertmanager and"
            " node-exporter, so that they are on PATH."
        )
    home.packages.mkdir(parents=True, exist_ok=True)
    with (home.packages / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (home.packages / FETCHED).exists():
            return
        _fetch(home.packages)


def _fetch(folder: Path) -> None:
    """Download and unpack into a folder, with lists and caches of our own below it."""
    apt = folder / "apt"
    shutil.rmtree(apt, ignore_errors=True)
    for part in ("state/lists/partial", "cache/archives/partial", "packages"):
        (apt / part).mkdir(parents=True)
    (apt / "state" / "status").touch()
    options = [
        *("-o", f"Dir::State={apt / 'state'}", "-o", f"Dir::Cache={apt / 'cache'}"),
        # A machine without a network is to be told so soon.
        *("-o", "Acquire::http::Timeout=10", "-o", "Acquire::https::Timeout=10"),
        *("-o", "Acquire::Retries=1"),
        # As root it would change to a user who may not write here.
        *("-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1", "-q"),
    ]
    _run(["apt-get", *options, "update"], apt)
    _run(["apt-get", *options, "download", *PACKAGES.values()], apt / "packages")
    archives = sorted((apt / "packages").glob("*.deb"))
    for archive in archives:
        _run(["dpkg", "-x", str(archive), str(folder)], apt)
    for file in ("prometheus", "prometheus-alertmanager"):
        _find_beside(folder / "usr" / "bin" / file)
    (folder / FETCHED).write_text("\n".join(archive.name for archive in archives) + "\n")
    shutil.rmtree(apt)


def _find_beside(binary: Path) -> None:
    """Let a program look for its own files in our unpacked tree, from which it is started.

    Debian builds the absolute path of Alertmanager's templates into it, without which it does not
    start, and of Prometheus's pages. In our copy that path becomes a relative one of the same length.
    """
    content = binary.read_bytes()
    binary.write_bytes(content.replace(b"/usr/share/prometheus/", b"usr/share/prometheus//"))


def _run(command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=FETCH_SECONDS,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise MissingProgramError(f"`{command[0]} {command[-1]}` did not end: {error}.") from None
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        reason = said[0] if said else (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise MissingProgramError(
            f"The packages could not be fetched: {reason}. Is there a network, and a mirror that has"
            " them? `chitlaq restart prometheus` tries again."
        )


def prometheus(home: Home, settings: Settings) -> list[str]:
    return [
        str(program(home, "prometheus")),
        f"--config.file={home.prometheus / 'prometheus.yml'}",
        f"--storage.tsdb.path={home.prometheus / 'data'}",
        f"--storage.tsdb.retention.time={settings.monitoring.retention_days}d",
        f"--web.listen-address=127.0.0.1:{settings.ports.prometheus}",
        f"--web.external-url=http://localhost:{settings.ports.prometheus}/",
        # An Alertmanager that was away hears of what fires soon after it is back; the default is 1 min.
        "--rules.alert.resend-delay=15s",
        "--log.format=json",
    ]


def alertmanager(home: Home, settings: Settings) -> list[str]:
    return [
        str(program(home, "alertmanager")),
        f"--config.file={home.alertmanager / 'alertmanager.yml'}",
        f"--storage.path={home.alertmanager / 'data'}",
        f"--web.listen-address=127.0.0.1:{settings.ports.alertmanager}",
        f"--web.external-url=http://localhost:{settings.ports.alertmanager}/",
        "--cluster.listen-address=",
        "--log.format=json",
    ]


def node_exporter(home: Home, settings: Settings) -> list[str]:
    return [
        str(program(home, "node-exporter")),
        f"--web.listen-address=127.0.0.1:{settings.ports.node_exporter}",
        "--log.format=json",
    ]


def _own(path: Path, user: pwd.struct_passwd | None) -> None:
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)
