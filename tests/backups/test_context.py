"""Backup jobs yield to members: on the CPU, on the disk, and in the live server."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import msgspec
import psutil
import psycopg
import pytest

from chitlaq.backups.context import NICENESS, BackupContext, pin_backend
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import SecretUrl
from tests.conftest import Stack

ASKED = """
import json, os, psutil, subprocess, sys
from chitlaq.backups import context
context.lower_priority()
child = subprocess.run(
    [sys.executable, "-c", "import psutil; p = psutil.Process(); print(p.nice(), p.cpu_affinity())"],
    capture_output=True, text=True).stdout.split(maxsplit=1)
print(json.dumps([int(child[0]), json.loads(child[1]), psutil.Process().ionice()[0].name]))
"""

several = pytest.mark.skipif(
    len(os.sched_getaffinity(0)) < 2, reason="one processor cannot be halved"
)


@several
def test_background_process_and_its_children_leave_half_of_the_cpus_free() -> None:
    said = subprocess.run(
        [sys.executable, "-c", ASKED], capture_output=True, text=True, check=True
    ).stdout
    nice, processors, disk = json.loads(said)
    mine = os.sched_getaffinity(0)
    assert nice == NICENESS
    assert set(processors) < mine
    assert len(processors) == (len(mine) + 1) // 2
    assert disk == "IOPRIO_CLASS_IDLE"


@several
@pytest.mark.parametrize("is_ours", [True, False])
def test_live_server_process_is_pinned_if_the_server_is_ours(stack: Stack, is_ours: bool) -> None:
    home = Home(stack.home)
    settings = settings_loading.load(home, stack.environment)
    if not is_ours:
        settings = msgspec.structs.replace(settings, database_url=SecretUrl(stack.dsn()))
    with psycopg.connect(stack.dsn()) as connection:
        process = psutil.Process(connection.info.backend_pid)
        before = process.cpu_affinity()
        pin_backend(BackupContext(home, settings), connection)
        after = process.cpu_affinity()
    assert after == (before[len(before) // 2 :] if is_ours else before)
