"""Prometheus, Alertmanager and node-exporter: their programs, their key and their command lines.

They come from ``PATH`` or from the distribution's packages. The distribution's own client fetches these
without root and verifies their signatures; they are unpacked under ``CHITLAQ_HOME`` and kept. Installing
them would start the distribution's services on the same ports.

They listen on an address of their own and answer only holders of the key (core/installation/observers.py);
others read through monitoring-proxy.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from chitlaq import inventory
from chitlaq.core.errors import MissingProgramError
from chitlaq.core.host import file_systems, files, programs
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.install import apt_unpack

HELP_SECONDS = 5
UDEV = Path("/run/udev/data")

QUERIES = "queries.active"
WEB = "web.yml"
"""How a server of Prometheus's family is told its TLS: JSON, which is valid YAML."""

PACKAGES = {
    "node-exporter": "prometheus-node-exporter",
    "prometheus": "prometheus",
    "alertmanager": "prometheus-alertmanager",
}
"""The Debian package of each component."""

PROGRAMS = {
    "node-exporter": ("node_exporter", "prometheus-node-exporter"),
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "alertmanager": ("alertmanager", "prometheus-alertmanager"),
    "amtool": ("amtool",),
}
"""The file names of each program: its own, and Debian's."""


def program(home: Home, name: str) -> Path:
    """Return a program, by its name in `PROGRAMS`.

    Raises:
        MissingProgramError: it is neither installed nor fetched.
    """
    for file in PROGRAMS[name]:
        if found := shutil.which(file):
            return Path(found)
        unpacked = home.packages / "usr" / "bin" / file
        # Without the marker the fetch was interrupted and the files may be incomplete.
        if (home.packages / apt_unpack.FETCHED).exists() and unpacked.is_file():
            return unpacked
    raise MissingProgramError(
        f"There is no {name} on this machine: put it on PATH, or run on Debian or Ubuntu,"
        f" where `chitlaq up` fetches the package {PACKAGES.get(name, 'prometheus')}."
    )


def prepare(home: Home, component: str) -> None:
    """Make sure that a component's program, data folder and key exist.

    Raises:
        MissingProgramError: it cannot be fetched; says why.
    """
    home.packages.mkdir(parents=True, exist_ok=True)
    try:
        program(home, component)
    except MissingProgramError:
        fetch(home)
        program(home, component)
    exporter = home.node_exporter
    for folder in (home.prometheus, home.alertmanager, exporter / "texts", exporter / "udev"):
        folder.mkdir(parents=True, exist_ok=True)
    if component == "prometheus":
        _keep_queries_in_memory(home)
    give_key(home, component)


def _keep_queries_in_memory(home: Home) -> None:
    """Lead the file of the queries under way to memory, since a full disk would kill Prometheus.

    It maps the file with holes (promql/query_logger.go): the first query in a page that has no block on the
    disk ends with SIGBUS. Without it Prometheus goes on, and tells that it stores nothing.
    """
    file, memory = home.prometheus / "data" / QUERIES, home.metrics("prometheus")
    for folder in (file.parent, memory):
        folder.mkdir(parents=True, exist_ok=True)
    if not (file.is_symlink() and file.readlink() == memory / QUERIES):
        file.unlink(missing_ok=True)
        file.symlink_to(memory / QUERIES)


def key_of(home: Home, component: str) -> Path:
    """A component's own copy of the key: it may run as a user who cannot read the secrets."""
    return home.root / component / "observers-key"


def give_key(home: Home, component: str) -> None:
    """Write the key where a component reads it; for a server also how it demands it."""
    key = key_of(home, component)
    key.parent.mkdir(parents=True, exist_ok=True)
    files.ensure(key, Secrets(home.secrets).observers_key, mode=0o600)
    demand = {
        "cert_file": key.name,
        "key_file": key.name,
        "client_auth_type": "RequireAndVerifyClientCert",
        "client_ca_file": key.name,
    }
    text = msgspec.json.encode({"tls_server_config": demand})
    files.ensure(key.parent / WEB, text)


def fetch(home: Home) -> None:
    """Fetch and unpack the packages of all observers, once.

    Raises:
        MissingProgramError: there is no package client, or it failed; with its message.
    """
    try:
        apt_unpack.unpack(home.packages, list(PACKAGES.values()), finish=_find_their_files)
    except MissingProgramError as error:
        raise MissingProgramError(f"{error} `chitlaq restart prometheus` tries again.") from None


def _find_their_files(folder: Path) -> None:
    """Make programs find their files in our unpacked tree, which is their working directory.

    Debian compiles in the absolute path of Alertmanager's templates, without which it does not
    start, and of Prometheus's pages. In our copy it becomes a relative path of the same length.
    """
    for file in ("prometheus", "prometheus-alertmanager"):
        binary = folder / "usr" / "bin" / file
        content = binary.read_bytes()
        binary.write_bytes(content.replace(b"/usr/share/prometheus/", b"usr/share/prometheus//"))


def prometheus(home: Home, settings: Settings) -> list[str]:
    return [
        str(program(home, "prometheus")),
        f"--config.file={home.prometheus / 'prometheus.yml'}",
        f"--storage.tsdb.path={home.prometheus / 'data'}",
        f"--storage.tsdb.retention.time={settings.monitoring.retention_days}d",
        *_listens(home, settings, "prometheus"),
        f"--web.external-url=http://localhost:{settings.port_of('prometheus')}/",
        # Resend firing alerts soon after Alertmanager was down; default: 1 min.
        "--rules.alert.resend-delay=15s",
        "--log.format=json",
    ]


def _listens(home: Home, settings: Settings, component: str) -> list[str]:
    return [
        f"--web.listen-address={inventory.OBSERVERS_ADDRESS}:{settings.port_of(component)}",
        f"--web.config.file={key_of(home, component).with_name(WEB)}",
    ]


def alertmanager(home: Home, settings: Settings) -> list[str]:
    return [
        str(program(home, "alertmanager")),
        f"--config.file={home.alertmanager / 'alertmanager.yml'}",
        f"--storage.path={home.alertmanager / 'data'}",
        *_listens(home, settings, "alertmanager"),
        f"--web.external-url=http://localhost:{settings.port_of('alertmanager')}/",
        "--cluster.listen-address=",
        "--log.format=json",
    ]


def node_exporter(home: Home, settings: Settings) -> list[str]:
    """Its command line; it also serves ``*.prom`` files of the textfile folder."""
    binary = program(home, "node-exporter")
    words = [
        str(binary),
        *_listens(home, settings, "node-exporter"),
        f"--collector.textfile.directory={home.node_exporter / 'texts'}",
        "--log.format=json",
    ]
    # Debian's build logs errors without systemd at each scrape, and without udev data at each start.
    # Other builds may lack these options.
    help_ = programs.run([binary, "--help"], timeout_seconds=HELP_SECONDS)
    known = help_.stdout + help_.stderr
    if "--collector.systemd" in known:
        words.append("--no-collector.systemd")
    # Debian's build leaves out /run, /mnt and /media, where disks are mounted, too.
    if "--collector.filesystem.mount-points-exclude" in known:
        words += [
            f"--collector.filesystem.mount-points-exclude=^{file_systems.UNCOUNTED_PLACES}",
            f"--collector.filesystem.fs-types-exclude=^({file_systems.UNCOUNTED_TYPES})$",
        ]
    if "--path.udev.data" in known and not UDEV.exists():
        words.append(f"--path.udev.data={home.node_exporter / 'udev'}")
    return words
