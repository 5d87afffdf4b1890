"""The home feed without metrics and logs, to measure what they cost.

``python -m chitlaq.bench.without_telemetry`` is one more worker of the stack's feed-service, with metrics
and logs disabled. `running` puts an nginx in front of it: the stack's configuration without the access
log. PostgreSQL, Valkey and everything else are the stack's.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chitlaq.bench import processes
from chitlaq.bench.installation import Installation
from chitlaq.core.installation.ports import free_ports
from chitlaq.stack.servers import nginx

SERVICE = "feed-service"
WORKER = 63


@asynccontextmanager
async def running(installation: Installation, folder: Path) -> AsyncIterator[int]:
    """Run this worker and its nginx until the block ends; yields nginx's port.

    Args:
        installation: a running installation.
        folder: an empty folder that other users may enter.
    """
    home, port_of = installation.home, installation.settings.port_of
    edge, gateway = free_ports(2)
    socket = home.service_socket(SERVICE, WORKER)
    text = (home.nginx / "nginx.conf").read_text()
    text = re.sub(r"access_log \S+ edge;", "access_log off;", text)
    for before, after in (
        (f":{port_of('nginx')};", f":{edge};"),
        (f":{port_of('api-gateway')};", f":{gateway};"),
        (f"{home.run}/nginx.pid", f"{folder}/nginx.pid"),
        (f"{home.nginx}/", f"{folder}/"),
        (str(home.service_socket(SERVICE, 0)), str(socket)),
    ):
        text = text.replace(before, after)
    configuration = folder / "nginx.conf"
    configuration.write_text(text)
    commands = (
        [sys.executable, "-m", __name__],
        [str(nginx.wheel()), "-p", str(folder), "-c", str(configuration), "-g", "daemon off;"],
    )
    environment = {**installation.environment, "CHITLAQ_PORTS_FEED": str(free_ports(1)[0])}
    async with processes.running(commands, socket, gateway, folder / "log", environment):
        yield gateway


def main() -> None:
    """Serve as ``chitlaq serve`` does, with counters, histograms, gauges and logs replaced by nothing."""
    from prometheus_client import Counter, Gauge, Histogram

    from chitlaq.core.http import app, server
    from chitlaq.core.installation import settings_loading
    from chitlaq.core.installation.home import Home
    from chitlaq.core.telemetry import logs
    from chitlaq.services.feed import routes

    home = Home.from_environment()
    configured = settings_loading.load(home)
    logs.configure(SERVICE, configured.logs.slow_seconds)
    disabled = ((Counter, "inc"), (Histogram, "observe"), (Gauge, "set"), (logs.Logger, "_write"))
    for owner, name in disabled:
        setattr(owner, name, lambda *_, **__: None)
    application = app.create_app(routes.SERVICE, configured, home)
    server.serve(SERVICE, WORKER, configured, home, application)


if __name__ == "__main__":
    main()
