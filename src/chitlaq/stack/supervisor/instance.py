"""The current state of one component's process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from chitlaq.logs.rotation import LogFile
from chitlaq.stack.servers.process_specs import ProcessSpec
from chitlaq.stack.supervisor.control import State, Status
from chitlaq.stack.supervisor.process import Process
from chitlaq.stack.supervisor.release import Release


class Instance:
    """The current state of one component."""

    def __init__(self, spec: ProcessSpec, log: LogFile, release: Release) -> None:
        self.spec = spec
        self.log = log
        self.release = release
        """The version that runs, and is started again; of a program that is not ours, what prepares it."""
        self.state: State = "waiting"
        self.reason = ""
        self.restarts = 0
        self.process: Process | None = None
        self.command: list[str] = []
        self.program: tuple[int, int] | None = None
        self.is_being_replaced = False
        self.started_at = 0.0
        self.became_ready = asyncio.Event()
        self.failures = 0

    def status(self) -> Status:
        spec = self.spec
        running = self.process is not None and not self.process.exited.done()
        pid = self.process.pid if running and self.process else None
        return Status(
            service=spec.service,
            worker=spec.worker,
            state=self.state,
            pid=pid,
            restarts=self.restarts,
            uptime=int(time.monotonic() - self.started_at) if running else 0,
            port=spec.port,
            reason=self.reason,
            is_needed=spec.is_needed,
            optional_port=spec.optional_port(pid) if spec.optional_port and pid else None,
            version=self.release.version if spec.is_ours else "",
        )

    def change(self, state: State, reason: str = "") -> None:
        self.state, self.reason = state, reason


def program_of(command: Sequence[str]) -> tuple[int, int]:
    """The file that a command runs; an update of its package puts another in its place."""
    found = Path(command[0]).stat()
    return found.st_dev, found.st_ino
