#!/opt/chitlaq/bin/python -IS
"""Whether the service of this container can serve: its /ready answers 200 at its Unix socket.

Its name is the word after ``serve`` in the container's first command. A container of another command has
nothing to answer, and is well while it runs. ``healthcheck /live`` asks for another page than /ready.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

HOME = Path("/var/lib/chitlaq")
SECONDS = 3.0


def service() -> str:
    """The name of the service, or an empty string."""
    words = Path("/proc/1/cmdline").read_text().split("\0")
    return words[words.index("serve") + 1] if "serve" in words else ""


def answers(path: Path, page: str = "/ready") -> bool:
    """Whether a page is answered with 200 at a socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        try:
            connection.connect(str(path))
            connection.sendall(f"GET {page} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
        except OSError:
            return False


if __name__ == "__main__":
    name = service()
    sys.exit(0 if not name or answers(HOME / "run" / f"{name}.0.sock", *sys.argv[1:]) else 1)
