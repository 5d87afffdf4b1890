"""The file in which a process keeps its metrics, allocated before it is mapped.

prometheus-client maps files with holes: writing to one when the disk is full kills the process (SIGBUS).
Here every block is allocated first (posix_fallocate(3)). A process that gets no space counts in memory,
and moves to its file once there is space; until then no scrape sees what it counts there.

Call `use` after ``PROMETHEUS_MULTIPROC_DIR`` is set, and before anything is counted.
"""

from __future__ import annotations

import mmap
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

from chitlaq.core.host import files

INITIAL_BYTES = 1 << 16
HEADER_BYTES = 8
_pack_used = struct.Struct("i").pack


class _Process:
    """This process's id. The library asks for it with each count, and the system call costs as much."""

    id = os.getpid()

    @classmethod
    def renew(cls) -> None:
        cls.id = os.getpid()


os.register_at_fork(after_in_child=_Process.renew)


class MetricFile(MmapedDict):
    """The numbers of one kind of metric of one process."""

    in_memory: ClassVar[list[MetricFile]] = []

    # What the library's class keeps.
    _f: Any
    _m: Any
    _fname: str
    _capacity: int
    _used: int
    _positions: dict[str, int]

    def __init__(self, filename: str) -> None:
        try:
            allocate(Path(filename), INITIAL_BYTES)
        except OSError:
            self._fname, self._positions = filename, {}
            self._keep_in_memory(_pack_used(HEADER_BYTES).ljust(HEADER_BYTES, b"\0"), INITIAL_BYTES)
        else:
            super().__init__(filename)  # type: ignore[no-untyped-call]

    def settle(self) -> None:
        """Move from memory to the file.

        Raises:
            OSError: there is still no space.
        """
        # No scrape reads it before it is whole.
        with files.draft(Path(self._fname), is_durable=False) as draft:
            allocate(draft, self._capacity)
            file = draft.open("r+b")
            # Another thread's count between the copy and the switch is written again with its next one.
            mapped = mmap.mmap(file.fileno(), self._capacity)
            mapped[: self._used] = self._m[: self._used]
        self._f, self._m = file, mapped
        self.in_memory.remove(self)

    def _init_value(self, key: str) -> None:
        """Make room for one more number before the library does, which would leave holes."""
        capacity = self._capacity
        while self._used + entry_bytes(key) > capacity:
            capacity *= 2
        if capacity != self._capacity:
            self._grow(capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def _grow(self, capacity: int) -> None:
        if self._f is not None:
            with suppress(OSError):
                os.posix_fallocate(self._f.fileno(), 0, capacity)
                self._m, self._capacity = mmap.mmap(self._f.fileno(), capacity), capacity
                return
            # The file would count beside what is in memory.
            Path(self._fname).unlink(missing_ok=True)
            self._f.close()
        self._keep_in_memory(self._m[: self._used], capacity)

    def _keep_in_memory(self, content: bytes, capacity: int) -> None:
        self._f, self._m, self._capacity = None, mmap.mmap(-1, capacity), capacity
        self._used = len(content)
        self._m[: self._used] = content
        if self not in self.in_memory:
            self.in_memory.append(self)


def use() -> None:
    """Have the client library keep this process's metrics in such files."""
    values.MmapedDict = MetricFile  # type: ignore[assignment,attr-defined]
    values.ValueClass = values.MultiProcessValue(lambda: _Process.id)  # type: ignore[no-untyped-call]


def settle() -> None:
    """Move what is counted in memory to files, if there is space again."""
    with suppress(OSError):
        for one in list(MetricFile.in_memory):
            one.settle()


def allocate(path: Path, size: int) -> None:
    """Create a file of this size, if there is none, of which every block is on the disk.

    Raises:
        OSError: there is no space; a file that was not there before is removed again.
    """
    existed = path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        os.posix_fallocate(descriptor, 0, max(size, os.fstat(descriptor).st_size))
    except OSError:
        if not existed:
            path.unlink()
        raise
    finally:
        os.close(descriptor)


def entry_bytes(key: str) -> int:
    """What a number takes in the library's format: its key's length and text, padded, and two doubles."""
    length = len(key.encode())
    return 4 + length + (8 - (length + 4) % 8) + 16
