"""Test runs leave nothing behind for long: not those that failed or were killed, either."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.ops.database import overflow
from tests import conftest

HOLD = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], 0), 2); print(flush=True); input()"


@pytest.fixture
def earlier() -> Iterator[Path]:
    """What a run has left that ended long ago: a home, and records of that in shared memory."""
    folder = conftest.QUICK_FOLDER / f"ct-{secrets.token_hex(3)}"
    home = folder / "t" / "test_something0"
    home.mkdir(parents=True)
    overflow.put(Home(home), [])
    os.utime(folder, (0, 0))
    yield folder
    conftest._remove_run(folder)


def test_next_run_removes_what_an_earlier_one_left(earlier: Path) -> None:
    kept = overflow.folder(Home(earlier / "t" / "test_something0"))
    assert kept.exists()
    conftest._remove_runs_that_are_over()
    assert not earlier.exists()
    assert not kept.exists()


def test_run_that_goes_on_keeps_its_folder(earlier: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(earlier)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdout
        running.stdout.readline()
        conftest._remove_runs_that_are_over()
        assert earlier.exists()


def test_what_has_just_failed_may_be_looked_at(earlier: Path) -> None:
    os.utime(earlier)
    conftest._remove_runs_that_are_over()
    assert earlier.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="all servers run as who tests")
def test_clone_that_the_service_user_cannot_reach_is_refused_once(tmp_path: Path) -> None:
    clone = tmp_path / "closed" / "clone"
    clone.mkdir(parents=True)
    conftest._refuse_a_hidden_clone(clone)
    clone.parent.chmod(0o700)
    with pytest.raises(
        pytest.exit.Exception, match=f"chmod o\\+x {clone.parent}, or clone elsewhere"
    ):
        conftest._refuse_a_hidden_clone(clone)
