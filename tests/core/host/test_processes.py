"""What descends from a process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import psutil
import pytest

from chitlaq.core.host import processes
from tests.conftest import eventually

GRANDCHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"


@pytest.mark.parametrize("are_listed", [True, False])
async def test_family_is_complete_whichever_thread_began_a_process(
    are_listed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_are_listed", lambda: are_listed)
    started: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        command = [sys.executable, "-c", GRANDCHILD]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True))
        may_end.wait()

    may_end = threading.Event()
    thread = threading.Thread(target=start)
    thread.start()
    try:
        await eventually(lambda: started and len(processes.family(started[0].pid)) == 2)
        child = started[0].pid
        assert processes.family(child)[0] == child
        assert set(processes.family(child)[1:]) == {
            one.pid for one in psutil.Process(child).children()
        }
        assert child in processes.children(os.getpid())
        assert set(processes.family(child)) < set(processes.family(os.getpid()))
    finally:
        may_end.set()
        thread.join()
        started[0].communicate()
    assert processes.children(child) == []
