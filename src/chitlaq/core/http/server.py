"""Run one worker of one service: its sockets, its server, its graceful shutdown."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import FrameType

import uvicorn
from litestar.types import ASGIApp

from chitlaq import inventory
from chitlaq.core.host import files, http_client, unix_sockets
from chitlaq.core.http import upgrades
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs, multiprocess_metrics, tracing

BACKLOG = 1024
GRACE_SECONDS = 20
KEEP_ALIVE_SECONDS = 75
RETRY_SECONDS = 1.0
TICK_SECONDS = 1.0
READY_POLL_SECONDS = 0.05
READY_SECONDS = 5.0


def prepare(service: str, settings: Settings, home: Home) -> None:
    """Set up logs, traces and shared metrics. Call it before importing a module that counts at its import."""
    folder = home.metrics(service)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    multiprocess_metrics.begin(folder)
    # Imported late: without a fork server, the client library reads the environment at its import.
    from chitlaq.core.telemetry import metric_files

    metric_files.use()
    logs.hide(settings_loading.secrets_of(home, settings))
    logs.configure(service, settings.logs.slow_seconds)
    tracing.configure(service, settings.otel_exporter_otlp_endpoint.reveal())


def serve(service: str, worker: int, settings: Settings, home: Home, application: ASGIApp) -> None:
    """Serve until SIGTERM, then accept no more connections and finish the requests in flight.

    The worker listens on its Unix socket, for the gateway, and on the service's TCP port, which it
    can share with other workers and with its own predecessor. `_Server` adds the optional port.
    """
    path = home.service_socket(service, worker)
    draft = path.with_suffix(f".{os.getpid()}")
    # nginx listens on the gateway's port.
    has_port = not inventory.COMPONENTS[service].is_gateway
    sockets = [_tcp_socket(settings.port_of(service))] if has_port else []
    sockets.append(_unix_socket(draft))
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http=upgrades.UpgradingProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    # Imported modules stay, so exempt them from collection. Collection after every 700 objects
    # took a tenth of the feed's time, and requests leave no cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    logs.get("serve").info("started", worker=worker, pid=os.getpid())
    try:
        _Server(
            config,
            draft,
            path,
            settings.optional_port_of(service),
            home.optional_port(service),
        ).run(sockets=sockets)
    finally:
        draft.unlink(missing_ok=True)
    multiprocess_metrics.forget_gauges(home.metrics(service), os.getpid())
    logs.get("serve").info("stopped", worker=worker, pid=os.getpid())


class _Server(uvicorn.Server):
    """Takes over from its predecessor once it is ready: one that never is takes nothing away.

    It also listens on an optional port, as soon and as long as no other program does.

    Its predecessor is such a program: that port is not shared, since it could be another installation's.
    """

    def __init__(
        self, config: uvicorn.Config, draft: Path, path: Path, port: int | None, note: Path
    ) -> None:
        super().__init__(config)
        self._draft, self._path = draft, path
        self._port, self._note = port, note
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._tasks.append(asyncio.create_task(self._take_over()))
        if self._port is not None:
            self._tasks.append(asyncio.create_task(self._listen(self._port)))

    async def main_loop(self) -> None:
        """Keep the time that responses say. uvicorn's own loop looks ten times a second for the end."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._ended.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ended.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in self._tasks:
            task.cancel()
        await super().shutdown(sockets)

    async def _take_over(self) -> None:
        """Replace the predecessor's socket by ours: at once if nobody serves there."""
        while unix_sockets.is_served(self._path):
            if await self._is_ready():
                break
            await asyncio.sleep(READY_POLL_SECONDS)
        self._draft.rename(self._path)

    async def _is_ready(self) -> bool:
        with suppress(OSError):
            url = "http://localhost/ready"
            answer = await http_client.get(url, socket=self._draft, timeout_seconds=READY_SECONDS)
            return answer.status == HTTPStatus.OK
        return False

    async def _listen(self, port: int) -> None:
        connection = partial(
            upgrades.UpgradingProtocol,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        log, was_taken = logs.get("serve"), False
        while True:
            try:
                listener = await asyncio.get_running_loop().create_server(
                    connection, "127.0.0.1", port, backlog=BACKLOG
                )
            except OSError as error:
                if not was_taken:
                    log.info("does without a port", port=port, reason=str(error))
                was_taken = True
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self.servers.append(listener)
            log.info("listens on a further port", port=port)
            with suppress(OSError):  # `chitlaq ps` then does not know
                files.write(self._note, str(os.getpid()), is_durable=False)
            return


def _unix_socket(draft: Path) -> socket.socket:
    """Listen where nobody looks yet: renamed, it replaces a predecessor's socket.

    Connections already queued at the predecessor stay there; new ones come here.
    """
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(draft))
    # Whoever connects here is believed about clients' addresses. nginx runs as the same user.
    draft.chmod(0o600)
    listener.listen(BACKLOG)
    return listener


def _tcp_socket(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    return listener
