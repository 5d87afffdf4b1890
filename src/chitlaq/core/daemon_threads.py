"""Threads for calls that may hang, on a dead file system or without a name server."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

MOST = 64


class DaemonThreads(ThreadPoolExecutor):
    """An event loop's default executor: each call in a thread of its own.

    A call that hangs takes no place of a pool that others need, and does not delay the end of the process.
    """

    def __init__(self) -> None:
        super().__init__()
        self._places = threading.BoundedSemaphore(MOST)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Begin a call.

        Raises:
            OSError: too many hang.
        """
        if not self._places.acquire(blocking=False):
            raise OSError(errno.EAGAIN, f"{MOST} calls go on or hang already")
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                self._places.release()
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                self._places.release()
                future.set_exception(error)
            else:
                # First: whoever waits for the result may begin the next call.
                self._places.release()
                future.set_result(result)

        threading.Thread(target=run, daemon=True).start()
        return future


_threads = DaemonThreads()


def use() -> None:
    """Let the running event loop make blocking calls in such threads, all of this process together."""
    asyncio.get_running_loop().set_default_executor(_threads)
