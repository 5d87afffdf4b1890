"""A running installation as an operator sees it, and other servers in its place."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings_loading import load
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import Result, judge
from chitlaq.ops.checks.sources.system import SystemView
from chitlaq.stack.supervisor import control
from chitlaq.stack.supervisor.control import Status
from tests.conftest import Stack, free_ports

RunOnStack = Callable[..., Awaitable[Result]]
"""Runs one check by its id; variables of the environment besides change its settings."""


Programs = Callable[[str, str], None]
"""Puts a program on PATH by its name and script."""


def system_of(stack: Stack, **variables: str) -> SystemView:
    home = Home(stack.home)
    return SystemView(home, load(home, stack.environment | variables))


@pytest.fixture
async def system(stack: Stack) -> AsyncIterator[SystemView]:
    system = system_of(stack)
    yield system
    await system.close()


@pytest.fixture
def run_on_stack(stack: Stack) -> RunOnStack:
    async def run_on_stack(check: str, **variables: str) -> Result:
        system = system_of(stack, **variables)
        try:
            return await judge(CHECKS[check], system)
        finally:
            await system.close()

    return run_on_stack


def status_of(stack: Stack, name: str) -> Status:
    """The supervisor's status of a process, without running a command."""
    statuses = control.ask(Home(stack.home), control.Ps())
    return next(status for status in statuses if status.name == name)


@contextmanager
def frozen(stack: Stack, name: str) -> Iterator[int]:
    """Freeze a component with all its processes; it continues afterwards."""
    pid = status_of(stack, name).pid
    assert pid is not None
    parent = psutil.Process(pid)
    # The parent first: it starts no more.
    family = [parent]
    os.kill(pid, signal.SIGSTOP)
    try:
        for child in parent.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                child.suspend()
                family.append(child)
        yield pid
    finally:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.resume()


@contextmanager
def answering(body: bytes, status: int = 200, posted: bytes | None = None) -> Iterator[str]:
    """The port of a server that gives the same response to every request, or another one to POST."""

    class Same(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(body)

        def do_POST(self) -> None:
            self.answer(body if posted is None else posted)

        def answer(self, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Same)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield str(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def program(folder: Path, *command: str) -> Iterator[None]:
    """Run a program meanwhile, with its output in a file of its folder."""
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture
def nobody() -> str:
    """A closed port."""
    return str(free_ports(1)[0])


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Puts programs of the machine on PATH, as scripts of sh."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def place(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return place
