"""The baseline: the same framework, server and nginx, serving a response from memory.

``python -m chitlaq.bench.baseline SOCKET BODY`` is the application: one route that returns the bytes of
a file, with the services' uvicorn settings. `running` puts an nginx in front of it, which logs each
request as the stack's own does.
"""

from __future__ import annotations

import gc
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from chitlaq.bench import processes
from chitlaq.core.http import server
from chitlaq.stack.install import users
from chitlaq.stack.servers import nginx

TARGET = "/api/feed/home?page=1&limit=10"

_NGINX = """\
worker_processes 2;
pid {folder}/nginx.pid;
error_log stderr warn;
{user}
events {{
    worker_connections 4096;
}}
http {{
    server_tokens off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $request_uri $logged_path {{
        "~^(?<path_alone>[^?]*)" $path_alone;
    }}
    log_format edge escape=json '{{"time":"$time_iso8601","remote_addr":"$remote_addr",'
        '"method":"$request_method","uri":"$logged_path","protocol":"$server_protocol","status":$status,'
        '"bytes_sent":$bytes_sent,"request_time":$request_time,"upstream_time":"$upstream_response_time",'
        '"route":"/api/feed/home","service":"baseline","request_id":"$request_id","port":$server_port,'
        '"user_agent":"$http_user_agent","referer":"$http_referer"}}';
    access_log {folder}/access.log edge;
    upstream baseline {{
        server unix:{socket};
        keepalive 32;
    }}
    keepalive_requests 10000;
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header Connection "";
    proxy_set_header X-Request-ID $request_id;
    server {{
        listen 127.0.0.1:{port};
        location /api/ {{
            rewrite ^/api(/.*)$ $1 break;
            proxy_pass http://baseline;
        }}
    }}
}}
"""


@asynccontextmanager
async def running(folder: Path, body: bytes, port: int) -> AsyncIterator[None]:
    """Run the application and its nginx on a port until the block ends.

    Args:
        folder: an empty folder that other users may enter.
        body: the response to `TARGET`.
        port: a free port of the loopback address.
    """
    path, answer = folder / "baseline.sock", folder / "body.json"
    answer.write_bytes(body)
    user = users.service_user()
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _NGINX.format(
            folder=folder, socket=path, port=port, user=f"user {user.pw_name};" if user else ""
        )
    )
    commands = (
        [sys.executable, "-m", __name__, str(path), str(answer)],
        [str(nginx.wheel()), "-p", str(folder), "-c", str(configuration), "-g", "daemon off;"],
    )
    async with processes.running(commands, path, port, folder / "log"):
        yield


def main(path: Path, body: bytes) -> None:
    """Serve from memory, with the settings of `chitlaq.core.http.server`."""
    import uvicorn
    from litestar import Litestar, MediaType, get

    @get("/feed/home", media_type=MediaType.JSON)
    async def home() -> bytes:
        return body

    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o666)
    listener.listen(server.BACKLOG)
    config = uvicorn.Config(
        Litestar([home], openapi_config=None, logging_config=None),
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=server.BACKLOG,
        timeout_keep_alive=server.KEEP_ALIVE_SECONDS,
    )
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]).read_bytes())
