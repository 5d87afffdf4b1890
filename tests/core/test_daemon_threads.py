"""Calls that hang take no place of the others, and there are not too many of them."""

from __future__ import annotations

import threading

import pytest

from chitlaq.core import daemon_threads
from chitlaq.core.daemon_threads import DaemonThreads


def test_calls_that_hang_hold_up_no_other_and_are_limited() -> None:
    threads, end = DaemonThreads(), threading.Event()
    hanging = [threads.submit(end.wait, 60) for _ in range(daemon_threads.MOST - 1)]
    assert threads.submit(lambda: 7).result(60) == 7
    last = threads.submit(end.wait, 60)
    with pytest.raises(OSError, match="64 calls go on or hang"):
        threads.submit(lambda: 7)
    end.set()
    assert all(one.result(60) for one in [*hanging, last])
    assert threads.submit(lambda: 7).result(60) == 7


def test_fault_of_a_call_is_its_result() -> None:
    with pytest.raises(ZeroDivisionError):
        DaemonThreads().submit(lambda: 1 // 0).result(60)
