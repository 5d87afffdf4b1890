"""What every service's process has before it is forked."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own: the tests' has loaded everything.
FORKED = """
import os
from prometheus_client import values
counted = []
values.ValueClass = lambda *about, **more: counted.append(about[1]) or values.MutexValue(*about, **more)
from chitlaq.cli import serve
serve.load_shared()
print("counted", counted)

from chitlaq.core.http import health
health._Process.started_at -= 1000
print("uptime", health.summary("feed-service", {}).uptime, flush=True)
if os.fork() == 0:
    print("of the forked one", health.summary("feed-service", {}).uptime, flush=True)
    os._exit(0)
os.wait()
"""


def test_what_services_share_counts_nothing_and_a_forked_process_is_new() -> None:
    """Each process would count it, whichever service's it is; and each would be as old as the fork server."""
    answer = subprocess.run(
        [sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60, check=False
    )
    assert answer.stdout.splitlines() == [
        "counted []",
        "uptime 1000",
        "of the forked one 0",
    ], answer.stderr
