"""How each component of the stack is started, probed and stopped."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chitlaq import inventory
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.servers import barman, certificates, nginx, observers, postgres, valkey
from chitlaq.stack.supervisor import probes
from chitlaq.stack.supervisor.probes import Probe

_PROGRAM = [sys.executable, "-m", "chitlaq"]


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """How one process is started, probed and stopped.

    Args:
        service: the component's name in the inventory.
        worker: which of the service's processes it is.
        command: program and arguments, or a function that returns them after the preparation.
        is_needed: the stack is not up without it. Optional components are prepared and started last.
        waits_for: components that must be ready before this one counts as ready.
        ready: whether it can serve.
        alive: whether it still answers; asked periodically.
        prepare: called before each start: folders, configuration.
        prepare_command: a command that is run before each start.
        fetch: called in the background now and then, for a better program for the next start.
        renew: renews what it has read at its start where that is due; called now and then while it is ready.
        read: returns what changes when it must read that anew.
        starts_at_once: starts together with what it waits for, to save time.
        once: it exits on its own and is then done.
        is_replaceable: a second process can take over before the first one stops.
        reloads: returns what changes once a reload of the process with this ID has taken effect.
        port: its TCP port, if it has one.
        optional_port: returns the second port that the process with this ID listens on.
        folder: its working directory; by default the supervisor's.
    """

    service: str
    command: list[str] | Callable[[], list[str]]
    worker: int = 0
    is_needed: bool = True
    waits_for: tuple[str, ...] = ()
    ready: Probe | None = None
    alive: Probe | None = None
    prepare: Callable[[], None] | None = None
    prepare_command: list[str] | None = None
    fetch: Callable[[], None] | None = None
    renew: Callable[[], None] | None = None
    read: Callable[[], str] | None = None
    starts_at_once: bool = False
    once: bool = False
    is_replaceable: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    reload_signal: signal.Signals | None = None
    reloads: Callable[[int], object] | None = None
    grace_seconds: float = 30.0
    port: int | None = None
    optional_port: Callable[[int], int | None] | None = None
    folder: Path | None = None

    @property
    def name(self) -> str:
        """Unique among all processes: ``feed-service``, and ``feed-service.1`` for a second worker."""
        return f"{self.service}.{self.worker}" if self.worker else self.service

    @property
    def is_ours(self) -> bool:
        """Whether it runs ChitLaq's own program, and so has a version."""
        return not callable(self.command) and self.command[: len(_PROGRAM)] == _PROGRAM


def declare(home: Home, settings: Settings, access_log: Path) -> list[ProcessSpec]:
    """Return the processes that these settings require, in display order.

    Args:
        access_log: where nginx's workers write what was asked.
    """
    return [
        *([_postgres(home, settings)] if settings.embeds("postgres") else []),
        *([_redis(home, settings)] if settings.embeds("redis") else []),
        _migrate(settings),
        *(
            _service(home, settings, name, worker)
            for name, row in inventory.COMPONENTS.items()
            if row.kind == "service" and settings.embeds(name)
            for worker in range(settings.workers_of(name))
        ),
        _nginx(home, settings, access_log),
        *([_archive(home, settings)] if barman.is_wanted(settings) else []),
        *([_monitoring_proxy(home, settings)] if settings.embeds("monitoring-proxy") else []),
        *_monitoring(home, settings),
    ]


def chitlaq(*words: str) -> list[str]:
    """Return the command line of this very installation."""
    return [*_PROGRAM, *words]


def _postgres(home: Home, settings: Settings) -> ProcessSpec:
    probe = probes.postgres(home.postgres_socket, settings.port_of("postgres"))
    return ProcessSpec(
        "postgres",
        postgres.command(home, settings),
        ready=probe,
        alive=probe,
        prepare=lambda: postgres.prepare(home, settings),
        stop_signal=signal.SIGINT,
        grace_seconds=60,
        port=settings.port_of("postgres"),
    )


def _redis(home: Home, settings: Settings) -> ProcessSpec:
    probe = probes.redis(home)
    return ProcessSpec(
        "redis",
        valkey.command(home, settings),
        ready=probe,
        alive=probe,
        prepare=lambda: valkey.prepare(home, settings),
        port=settings.port_of("redis"),
    )


def _migrate(settings: Settings) -> ProcessSpec:
    return ProcessSpec(
        "migrate",
        chitlaq("migrate", "--provision"),
        waits_for=() if settings.database_url else ("postgres",),
        once=True,
    )


def _service(home: Home, settings: Settings, name: str, worker: int) -> ProcessSpec:
    socket = home.service_socket(name, worker)
    return ProcessSpec(
        name,
        chitlaq("serve", name, "--worker", str(worker)),
        worker=worker,
        waits_for=("migrate",),
        ready=probes.service(socket, "/ready"),
        alive=probes.service(socket, "/live"),
        # Except at the very first start, when its tables do not exist yet.
        starts_at_once=not settings.database_url and postgres.data_version(home) is not None,
        is_replaceable=True,
        port=settings.port_of(name),
        optional_port=partial(_optional_port, home, settings, name),
    )


def _optional_port(home: Home, settings: Settings, name: str, pid: int) -> int | None:
    with suppress(OSError):
        if home.optional_port(name).read_text() == str(pid):
            return settings.optional_port_of(name)
    return None


def _tls_port(settings: Settings, pid: int) -> int | None:
    port = settings.optional_port_of("nginx")
    return port if port is not None and nginx.listens(pid, port) else None


def _nginx(home: Home, settings: Settings, access_log: Path) -> ProcessSpec:
    probe = probes.edge(home.nginx_probe)
    return ProcessSpec(
        "nginx",
        partial(nginx.command, home, settings, home.nginx),
        waits_for=tuple(row.name for row in inventory.SERVICES if settings.embeds(row.name)),
        ready=probe,
        alive=probe,
        prepare=partial(nginx.prepare, home, settings),
        prepare_command=chitlaq("config", "nginx", "--write", "--access-log", str(access_log)),
        fetch=partial(nginx.fetch, home, settings),
        stop_signal=signal.SIGQUIT,
        reload_signal=signal.SIGHUP,
        reloads=nginx.newest_worker,
        renew=partial(certificates.renew, home, settings),
        read=partial(certificates.read_by_nginx, home, settings),
        grace_seconds=10,
        port=settings.port_of("nginx"),
        optional_port=partial(_tls_port, settings),
    )


def _archive(home: Home, settings: Settings) -> ProcessSpec:
    """Streams PostgreSQL's WAL into the backup folder."""
    probe = probes.receiver(home.postgres_data / "pg_wal", barman.streaming(home, settings))
    return ProcessSpec(
        inventory.ARCHIVE,
        barman.command(home, "receive-wal", barman.SERVER),
        is_needed=False,
        waits_for=("migrate",),
        ready=probe,
        alive=probe,
        prepare=lambda: barman.prepare(home, settings),
        stop_signal=signal.SIGINT,
    )


def _monitoring_proxy(home: Home, settings: Settings) -> ProcessSpec:
    """An nginx of its own: a flood of members' requests does not keep operators from reading."""
    ports = [settings.port_of(row.name) for row in inventory.OBSERVERS if settings.embeds(row.name)]
    probe = probes.nginx(ports)
    return ProcessSpec(
        "monitoring-proxy",
        partial(nginx.command, home, settings, home.monitoring_proxy),
        is_needed=False,
        waits_for=("nginx",),
        ready=probe,
        alive=probe,
        prepare_command=chitlaq("config", "monitoring-proxy", "--write"),
        stop_signal=signal.SIGQUIT,
        reload_signal=signal.SIGHUP,
        reloads=nginx.newest_worker,
        grace_seconds=10,
    )


def _monitoring(home: Home, settings: Settings) -> list[ProcessSpec]:
    """The observers, in start order; none if they are external."""
    commands = {
        # Serving its metrics takes a full collection, too much for a probe every two seconds.
        "node-exporter": (observers.node_exporter, "/", None),
        "alertmanager": (observers.alertmanager, "/-/ready", "alertmanager"),
        "prometheus": (observers.prometheus, "/-/ready", "prometheus"),
    }
    return [
        ProcessSpec(
            name,
            partial(command, home, settings),
            is_needed=False,
            waits_for=("nginx",),
            ready=(probe := probes.observer(home, settings, name, path)),
            alive=probe,
            prepare=partial(observers.prepare, home, name),
            prepare_command=(
                chitlaq("config", configuration, "--write") if configuration else None
            ),
            reload_signal=signal.SIGHUP if configuration else None,
            port=settings.port_of(name),
            folder=home.packages,
        )
        for name, (command, path, configuration) in commands.items()
        if settings.embeds(name)
    ]
