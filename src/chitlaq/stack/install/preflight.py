"""Checks before the stack starts; each failure is one sentence that says what to do."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from chitlaq import inventory
from chitlaq.core.data import valkey as core_valkey
from chitlaq.core.errors import MissingProgramError, OperatorError
from chitlaq.core.host import endpoints, landlock
from chitlaq.core.http import edge
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import OPERATOR, OPERATOR_PASSWORD
from chitlaq.core.installation.settings import Settings
from chitlaq.core.installation.settings_loading import variable_of
from chitlaq.stack.install import server_programs as server_origins
from chitlaq.stack.install import users
from chitlaq.stack.install.server_programs import ServerProgram
from chitlaq.stack.servers import barman, nginx, postgres, valkey
from chitlaq.stack.servers import observers as monitoring
from chitlaq.stack.supervisor.control import Status

MIN_FREE_BYTES = 500_000_000
# Where Grafana's packages keep provisioning files.
GRAFANA_PROVISIONING = Path("/etc/grafana/provisioning")


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; ``detail`` says what was found, or what to do."""

    name: str
    state: Literal["ok", "warning", "problem", "unknown"]
    detail: str


def examine(home: Home, settings: Settings, *, is_running: bool = False) -> list[Finding]:
    """Run every check; continue after a problem.

    Args:
        home: the installation.
        settings: its settings.
        is_running: the stack is up and uses its own ports.
    """
    findings = []
    for name, check in _CHECKS.items():
        if name == "ports" and is_running:
            continue
        try:
            findings.append(Finding(name, "ok", check(home, settings)))
        except OperatorError as problem:
            findings.append(Finding(name, "problem", str(problem)))
    return [*findings, _confinement(), *_tablespaces(home, settings)]


def _confinement() -> Finding:
    """Whether the kernel can confine the servers of restore drills."""
    if landlock.version():
        return Finding("landlock", "ok", "the kernel confines the servers of restore drills")
    return Finding(
        "landlock",
        "unknown",
        "this kernel does not confine the servers of restore drills, which then rely on their own"
        " configuration: Linux 5.19 or newer with Landlock does",
    )


def _tablespaces(home: Home, settings: Settings) -> list[Finding]:
    """Look for tablespaces, without PostgreSQL's help: they keep base backups from being taken."""
    if not barman.is_wanted(settings):
        return []
    with suppress(OSError):  # another user's
        if any(path.is_symlink() for path in (home.postgres_data / "pg_tblspc").iterdir()):
            said = (
                "PostgreSQL has a tablespace outside its data directory, so no base backup can be taken:"
                " `chitlaq backup run full` says how to drop it"
            )
            return [Finding("tablespaces", "warning", said)]
    return []


def limits(settings: Settings, statuses: Sequence[Status] = ()) -> list[Finding]:
    """Check that the limits by address let a whole campus in.

    Args:
        settings: the installation's.
        statuses: of the running stack, whose nginx may open other numbers of files than this process.
    """
    pid = next((one.pid for one in statuses if one.service == "nginx" and one.pid), 0)
    with suppress(OSError):  # it ended, or belongs to somebody else
        is_of_site = bool(settings.site.certificate)
        capacity = edge.capacity(settings.limits, pid, is_of_site=is_of_site)
        return [_connections(capacity, settings), _proxy(settings)]
    return [_proxy(settings)]


def _connections(capacity: edge.Capacity, settings: Settings) -> Finding:
    wanted = settings.limits.address_connections
    said = (
        f"nginx accepts {capacity.connections:,} at once, {capacity.per_address:,} from one address"
    )
    if capacity.per_address == wanted:
        return Finding("connections", "ok", said)
    said += f" and not limits.address_connections ({wanted:,})"
    if capacity.files < edge.MOST_FILES:
        said += (
            f": raise the limit of open files (`ulimit -Hn`, LimitNOFILE= of systemd) to {edge.MOST_FILES:,},"
            " since all members of a campus may have one address"
        )
    return Finding("connections", "warning", said)


def _proxy(settings: Settings) -> Finding:
    trusted = ", ".join(settings.trusted_proxies)
    if trusted or not settings.public_url.startswith("https:"):
        said = f"trusted_proxies: {trusted}" if trusted else "none, by public_url"
        return Finding("TLS proxy", "ok", said)
    return Finding(
        "TLS proxy",
        "warning",
        f"public_url is {settings.public_url}, and nginx speaks HTTP: list the proxy in front of it in"
        " trusted_proxies, or all members count as one address",
    )


def observers(home: Home, settings: Settings) -> list[Finding]:
    """Check the observers, without which ChitLaq runs unobserved."""
    findings = []
    for name in (row.name for row in inventory.OBSERVERS):
        if not settings.embeds(name):
            findings.append(Finding(name, "ok", "external, by the settings"))
            continue
        try:
            findings.append(Finding(name, "ok", str(monitoring.program(home, name))))
        except MissingProgramError as missing:
            findings.append(Finding(name, "unknown", str(missing)))
    return [*findings, *_who_may_write(home, settings), _grafana()]


def _who_may_write(home: Home, settings: Settings) -> list[Finding]:
    """How an operator changes something in the observers, which anybody here may read."""
    if not settings.embeds("monitoring-proxy"):
        return []
    password = home.secrets / OPERATOR_PASSWORD
    said = (
        "anybody on this machine reads; `chitlaq ops do silence` silences alerts, and whatever else"
        f" writes needs the user {OPERATOR} with the password in {password}"
    )
    return [Finding("monitoring-proxy", "ok", said)]


def _grafana() -> Finding:
    """Look for a Grafana. ChitLaq does not run it, so its owner decides on provisioning."""
    found = shutil.which("grafana-server") or shutil.which("grafana")
    if found is None and not GRAFANA_PROVISIONING.is_dir():
        return Finding(
            "grafana",
            "ok",
            "not installed: the console has the dashboards; `chitlaq config grafana FOLDER` provisions one",
        )
    where = found or str(GRAFANA_PROVISIONING)
    if (GRAFANA_PROVISIONING / "dashboards" / "chitlaq").is_dir():
        return Finding("grafana", "ok", f"{where}, with our dashboards")
    folder = GRAFANA_PROVISIONING if GRAFANA_PROVISIONING.is_dir() else "FOLDER"
    return Finding(
        "grafana",
        "unknown",
        f"{where}, without our dashboards: `chitlaq config grafana {folder}` provisions them,"
        " then restart it",
    )


def require(home: Home, settings: Settings) -> None:
    """Raise the first problem, before anything is started.

    Raises:
        OperatorError: what is wrong and what to do.
    """
    for check in _CHECKS.values():
        check(home, settings)


def _programs(home: Home, settings: Settings) -> str:
    wanted = _servers(home, settings)
    for program in wanted:
        if not program.path.is_file():
            raise OperatorError(
                f"There is no {program.component} for this platform in its package ({program.path} is"
                " missing): use Linux on x86-64 or ARM64, set programs.nginx, programs.postgres or"
                " programs.valkey to one of your own, or DATABASE_URL and REDIS_URL to real servers."
            )
    return ", ".join(program.component for program in wanted)


def _servers(home: Home, settings: Settings) -> list[ServerProgram]:
    found = [nginx.program(home, settings)]
    if settings.embeds("postgres"):
        found.append(postgres.program(settings))
    if settings.embeds("redis"):
        found.append(valkey.program(settings))
    return found


def server_programs(
    home: Home, settings: Settings, statuses: Sequence[Status] = ()
) -> list[server_origins.Report]:
    """Say of each server's program what it is, whether it runs, and whether a newer one is known.

    Args:
        home: the installation.
        settings: its settings.
        statuses: of the running stack.

    Raises:
        OperatorError: the settings name a program that is not there, or of the wrong version.
    """
    found = _servers(home, settings)
    for row in inventory.OBSERVERS:
        if settings.embeds(row.name):
            with suppress(MissingProgramError):
                path = monitoring.program(home, row.name)
                source: server_origins.Source = (
                    "package" if path.is_relative_to(home.packages) else "PATH"
                )
                found.append(ServerProgram(row.name, path, source, monitoring.PACKAGES[row.name]))
    running = {status.service: status.pid for status in statuses if status.pid}
    reports = server_origins.reports(found)
    return [
        _judged(report, program, running.get(program.component))
        for report, program in zip(reports, found, strict=True)
    ]


def _judged(
    report: server_origins.Report, program: ServerProgram, pid: int | None
) -> server_origins.Report:
    """Add what an operator should do: restart what runs another program, or install a better nginx."""
    said = report.detail
    if program.component == "nginx" and (shortcoming := nginx.shortcoming(program)):
        said += f"; {shortcoming}"
    runs = str(program.path.resolve())
    with suppress(OSError):
        runs = str(Path(f"/proc/{pid}/exe").readlink()) if pid else runs
    if runs != str(program.path.resolve()):
        said += f"; still running: {runs}: `chitlaq restart {program.component}`"
    if said == report.detail:
        return report
    return replace(report, state="warning" if report.state == "ok" else report.state, detail=said)


def _urls(_home: Home, settings: Settings) -> str:
    if settings.redis_url:
        try:
            core_valkey.Valkey(settings.redis_url.reveal())
        except ValueError as error:
            raise OperatorError(
                f"The setting redis_url (REDIS_URL) is {error}: write redis://HOST:PORT/0, or"
                " redis-cluster://HOST:PORT for a cluster, or redis-sentinel://HOST:PORT?name=NAME."
            ) from None
    real = [
        name
        for name, url in (("PostgreSQL", settings.database_url), ("Valkey", settings.redis_url))
        if url
    ]
    return f"{' and '.join(real)} external" if real else "PostgreSQL and Valkey embedded"


def _home(home: Home, _settings: Settings) -> str:
    try:
        home.root.mkdir(parents=True, exist_ok=True)
        for folder in (home.run, home.logs, home.nginx):
            folder.mkdir(exist_ok=True)
        probe = home.root / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OperatorError(
            f"{home.root} cannot be written ({error.strerror}): give this user the folder, or set"
            " CHITLAQ_HOME to another."
        ) from None
    user = users.service_user()
    if user is not None and not users.can_reach(home.root, user):
        raise OperatorError(
            f"The user {user.pw_name}, under which ChitLaq runs, cannot enter {home.root}:"
            " allow it with `chmod a+x` on each folder above, or set CHITLAQ_HOME to another."
        )
    return str(home.root)


def _space(home: Home, _settings: Settings) -> str:
    free = shutil.disk_usage(home.root).free
    if free < MIN_FREE_BYTES:
        raise OperatorError(
            f"Only {free // 1_000_000} MB are free at {home.root}, and ChitLaq needs"
            f" {MIN_FREE_BYTES // 1_000_000} MB to start: free some space, or set CHITLAQ_HOME to"
            " another disk."
        )
    return f"{free / 1e9:.1f} GB free"


def _data(home: Home, settings: Settings) -> str:
    found = None if settings.database_url else postgres.data_version(home)
    if found is not None and found != postgres.MAJOR:
        raise OperatorError(
            f"{home.postgres_data} was written by PostgreSQL {found}, and this ChitLaq brings"
            f" {postgres.MAJOR}: move it away and restore a dump, or run pg_upgrade."
        )
    if not settings.database_url:
        postgres.refuse_without_data(home, settings)
    return "none yet" if found is None else f"PostgreSQL {found}"


def _ports(_home: Home, settings: Settings) -> str:
    for row in inventory.BY_PORT:
        if not settings.embeds(row.name):
            continue
        port = settings.port_of(row.name)
        hosts = [settings.address_of(row.name)]
        if settings.site.certificate and row in inventory.FORWARDED:
            hosts.append(settings.host)
        if row in inventory.OBSERVERS:
            hosts.append(inventory.OBSERVERS_ADDRESS)
        if any(_is_taken(host, port) for host in hosts):
            raise OperatorError(
                f"Port {port}, which {row.name} needs, is in use{_by_whom(port)}: stop that, or"
                f" choose another port with {variable_of(f'ports.{row.setting}')}."
            )
    return ", ".join(str(settings.port_of(row.name)) for row in inventory.BY_PORT)


def optional_ports(settings: Settings, statuses: Sequence[Status]) -> list[Finding]:
    """Say which component answers on its second port, or who has that: no fault, it does without."""
    findings = []
    for row in inventory.BY_PORT:
        port = settings.optional_port_of(row.name)
        if port is None:
            continue
        usual = f"{row.name} answers on port {settings.port_of(row.name)}"
        try:
            is_ours = any(status.optional_port == port for status in statuses)
            if is_ours or not _is_taken("127.0.0.1", port):
                said = f"{usual}, and here"
            else:
                said = f"in use{_by_whom(port)}: {usual} only"
            findings.append(Finding(f"port {port}", "ok", said))
        except OperatorError as problem:
            findings.append(Finding(f"port {port}", "warning", str(problem)))
    return findings


def _is_taken(host: str, port: int) -> bool:
    family = socket.AF_INET6 if endpoints.is_six(host) else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except PermissionError:
            raise OperatorError(
                f"This user may not listen on port {port}: choose one above 1023."
            ) from None
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise OperatorError(
                    f"Nothing can listen on {host} here ({error.strerror}): set"
                    f" {variable_of('host')} to an address of this machine, 0.0.0.0 or ::."
                ) from None
            return True
    return False


def _by_whom(port: int) -> str:
    """Name the process that listens on a port, if this user may see it."""
    import psutil

    try:
        for connection in psutil.net_connections("tcp"):
            is_listener = connection.status == psutil.CONN_LISTEN
            if is_listener and tuple(connection.laddr)[1:] == (port,) and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass
    return " by another program"


_CHECKS: dict[str, Callable[[Home, Settings], str]] = {
    "python": lambda _home, _settings: f"Python {sys.version.split()[0]}",
    "servers": _urls,
    "programs": _programs,
    "home": _home,
    "space": _space,
    "data": _data,
    "ports": _ports,
}
