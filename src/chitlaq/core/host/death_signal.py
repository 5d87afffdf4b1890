"""The signal that the kernel sends to a process when its parent ends, however that ends."""

from __future__ import annotations

import ctypes
import signal

_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(signal_number: signal.Signals) -> None:
    """Ask the kernel for a signal when the thread that started us ends; also when it is killed."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
