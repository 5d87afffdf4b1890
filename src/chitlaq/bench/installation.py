"""A temporary installation for benchmarks: on free ports, removed afterwards."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import msgspec
import psutil

from chitlaq import inventory
from chitlaq.core.host import programs
from chitlaq.core.host.programs import CommandResult
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.ports import free_ports
from chitlaq.core.installation.settings import Settings

COMMAND_SECONDS = 120
PAUSE_SECONDS = 0.5
# The rate limiter runs as usual, but never rejects.
UNLIMITED = "100000000"


class Memory(msgspec.Struct, frozen=True):
    """One component's memory: proportional share (PSS), so that shared pages count once."""

    component: str
    processes: int
    megabytes: float


@dataclass(frozen=True, slots=True)
class Installation:
    """An installation under test, used through the command as an operator does."""

    home: Home
    environment: Mapping[str, str]
    settings: Settings

    async def command(self, *words: str, seconds: float = COMMAND_SECONDS) -> str:
        """Run ``chitlaq WORDS`` and return its output.

        Raises:
            OperatorError: it failed or did not end in time; the message quotes its output.
        """
        return (await self.run(*words, seconds=seconds)).checked()

    async def run(
        self, *words: str, seconds: float = COMMAND_SECONDS, niceness: int | None = None
    ) -> CommandResult:
        """Run ``chitlaq WORDS`` and return its result, whether it failed or not."""
        return await programs.arun(
            [sys.executable, "-m", "chitlaq", *words],
            timeout_seconds=seconds,
            environment=self.environment,
            niceness=niceness,
        )

    async def start(self) -> float:
        """Start everything; returns the seconds until all was healthy."""
        started = monotonic()
        await self.command("up", "--detach")
        return monotonic() - started

    async def stop(self) -> None:
        await self.command("down")

    async def memory(self) -> list[Memory]:
        """Measure each component, the supervisor and the fork server."""
        families: dict[str, list[psutil.Process]] = {}
        for service, pid in await self._processes():
            parent = psutil.Process(pid)
            families.setdefault(service, []).extend([parent, *parent.children(recursive=True)])
        supervisor = _supervisor(families)
        counted = {process.pid for family in families.values() for process in family}
        rest = [supervisor, *supervisor.children(recursive=True)]
        families["supervisor"] = [process for process in rest if process.pid not in counted]
        return [_memory(name, family) for name, family in families.items()]

    async def pids(self, service: str) -> list[int]:
        """The processes of a component."""
        return [pid for name, pid in await self._processes() if name == service]

    async def cpu_seconds(self, service: str) -> float:
        """The CPU time that a component's processes have used since their start."""
        times = [psutil.Process(pid).cpu_times() for pid in await self.pids(service)]
        return sum(one.user + one.system for one in times)

    async def cpu(self) -> dict[str, float]:
        """The CPU time that each component has used so far, by all its processes that still run."""
        seconds: dict[str, float] = {}
        for name, pid in await self._processes():
            process = psutil.Process(pid)
            for each in [process, *process.children(recursive=True)]:
                with suppress(psutil.NoSuchProcess):
                    times = each.cpu_times()
                    seconds[name] = seconds.get(name, 0.0) + times.user + times.system
        return seconds

    async def _processes(self) -> list[tuple[str, int]]:
        """Wait until all components are well, and return their processes: one that starts has none yet.

        Raises:
            OperatorError: they do not become well; the message quotes what `ps` says.
        """
        deadline = monotonic() + COMMAND_SECONDS
        shown = await self.run("ps", "--json")
        while shown.code != 0 and monotonic() < deadline:
            await asyncio.sleep(PAUSE_SECONDS)
            shown = await self.run("ps", "--json")
        rows = msgspec.json.decode(shown.checked(), type=list[_Status])
        return [(row.service, row.pid) for row in rows if row.pid is not None]


class _Status(msgspec.Struct):
    """The fields that are read from a row of ``chitlaq ps --json``."""

    service: str
    pid: int | None


@asynccontextmanager
async def installed(archive: str = "off") -> AsyncIterator[Installation]:
    """Yield an installation that was never started; stop what runs of it at the end.

    Args:
        archive: whether its WAL is archived, as in `backups.archive`.
    """
    root = _new_root()
    home = Home(root)
    ports = zip(inventory.PORTS, free_ports(len(inventory.PORTS)), strict=True)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("CHITLAQ_") and name not in {"DATABASE_URL", "REDIS_URL"}
    } | {
        "CHITLAQ_HOME": str(root),
        "CHITLAQ_DEMO": "false",
        "CHITLAQ_LIMITS_ACCOUNT_REQUESTS_PER_MINUTE": UNLIMITED,
        "CHITLAQ_LIMITS_NETWORK_FAILED_NAMES_PER_HOUR": UNLIMITED,
        "CHITLAQ_MONITORING_EMBEDDED": "false",
        "CHITLAQ_OPERATIONS_SCHEDULED": "false",
        "CHITLAQ_BACKUPS_FOLDER": str(root / "backups"),
        "CHITLAQ_BACKUPS_ARCHIVE": archive,
        **{f"CHITLAQ_PORTS_{port.setting.upper()}": str(number) for port, number in ports},
    }
    installation = Installation(home, environment, settings_loading.load(home, environment))
    try:
        yield installation
    finally:
        try:
            await installation.stop()
        finally:
            shutil.rmtree(root, ignore_errors=True)


def _new_root() -> Path:
    """Make a folder that other users (PostgreSQL's, nginx's) can traverse."""
    root = Path(tempfile.mkdtemp(prefix="chitlaq-bench-"))
    root.chmod(0o755)
    return root


def _supervisor(families: Mapping[str, Sequence[psutil.Process]]) -> psutil.Process:
    """The supervisor's process: nginx's parent."""
    parent = families["nginx"][0].parent()
    if parent is None:
        raise RuntimeError("nginx has no supervisor: the stack is going down.")
    return parent


def _memory(name: str, family: Sequence[psutil.Process]) -> Memory:
    total = 0
    for process in family:
        try:
            total += int(process.memory_full_info().pss)
        except psutil.AccessDenied:
            # Another user's process: its resident set, which counts shared pages again.
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return Memory(name, len(family), round(total / 1e6, 1))
