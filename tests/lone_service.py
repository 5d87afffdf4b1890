"""One service of an installation of which nothing else runs: no PostgreSQL, Valkey, nginx, supervisor."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from chitlaq.core.installation import secrets
from chitlaq.core.installation.home import Home
from tests.conftest import Stack, remove_home, start_stack


@contextmanager
def lone_service(
    name: str, setting: str, other: Stack | None = None, /, **settings: str
) -> Iterator[Stack]:
    """Run a service alone, in a home of its own; its log lies beside that, with ``.log`` added.

    Args:
        name: of the service.
        setting: of its port.
        other: whose secrets it has, to speak with that one's servers.
    """
    stack = start_stack(**settings)
    if other is not None:
        shutil.copytree(other.home / "secrets", stack.home / "secrets")
    secrets.ensure(Home(stack.home))
    process = subprocess.Popen(
        [sys.executable, "-m", "chitlaq", "serve", name],
        env=stack.environment,
        stdout=(stack.home.with_suffix(".log")).open("wb"),
        stderr=subprocess.STDOUT,
    )
    try:
        _await(stack, f"http://127.0.0.1:{stack.ports[setting]}/live", process)
        yield stack
    finally:
        process.terminate()
        process.wait(60)
        remove_home(stack.home)
        stack.home.with_suffix(".log").unlink()


def _await(stack: Stack, url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            assert httpx.get(url).status_code == 200
            return
        except httpx.TransportError:
            assert process.poll() is None, (stack.home.with_suffix(".log")).read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
