"""Unix sockets as files: one whose server was killed stays."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path


def is_served(path: Path) -> bool:
    """Whether a process listens there, even if it accepts nothing at the moment."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        # A full backlog (EAGAIN) is served.
        with suppress(BlockingIOError):
            try:
                probe.connect(str(path))
            except (ConnectionRefusedError, FileNotFoundError):
                return False
    return True
