"""nginx's access log: its workers write to memory, and the supervisor moves the lines to the disk.

A worker answers thousands. On a disk that stands still it would wait with the first request that it writes
down, and with it everybody else whom it serves.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from chitlaq.core.host import memory
from chitlaq.core.installation.home import Home
from chitlaq.logs.rotation import LogFile, opened

MOVE_SECONDS = 0.1
READ_BYTES = 1 << 20
MAX_KEPT_BYTES = 1 << 25
"""How much stays in memory while the disk takes nothing; of more, the oldest lines are lost."""


def begin(home: Home, log: LogFile) -> AccessLines | None:
    """Move from now on; first what an earlier supervisor has left that was killed.

    Returns:
        None where there is no memory that stays, and that can be given back: nginx writes to the log itself.
    """
    path = home.new_access_lines
    folder = path.parent
    if folder.is_symlink() and path.exists():
        AccessLines(path, log).close()
    memory.link(folder)
    if folder.is_symlink():
        try:
            lines = AccessLines(path, log)
        except OSError:
            memory.remove(folder)
        else:
            threading.Thread(target=lines.move_forever, daemon=True).start()
            return lines
    return None


class AccessLines:
    """Moves what nginx appends to a file in memory on to a log.

    What was moved is a hole in the file, of which the memory is free. So whoever begins with a file that a
    killed supervisor has left finds in it what that has not moved; it may move the last of it twice.

    Args:
        path: the file; made if it is not there.
        log: where its lines go.

    Raises:
        OSError: the file cannot be made, or have holes.
    """

    def __init__(self, path: Path, log: LogFile) -> None:
        opened(path).close()
        self._log = log
        self._moving = threading.Lock()
        self._file: int | None = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        if os.fstat(self._file).st_size == 0:
            os.pwrite(self._file, b"\0", 0)
            memory.release(self._file, 1)
        try:
            self._position = os.lseek(self._file, 0, os.SEEK_DATA)
        except OSError:  # it is nothing but a hole
            self._position = os.lseek(self._file, 0, os.SEEK_END)

    def move_forever(self) -> None:
        while self._file is not None:
            self.move()
            time.sleep(MOVE_SECONDS)

    def move(self) -> bool:
        """Move what has been written, without waiting for the disk.

        Returns:
            Whether some of it stays, since the log is behind.
        """
        with self._moving:
            while self._file is not None:
                waiting = os.fstat(self._file).st_size - self._position
                if waiting <= 0 or (self._log.is_behind and waiting < MAX_KEPT_BYTES):
                    return waiting > 0
                lines = os.pread(self._file, READ_BYTES, self._position)
                # The rest of a page of which a part was moved reads as zeros, which are in no line.
                self._log.write(lines.lstrip(b"\0"))
                self._position += len(lines)
                memory.release(self._file, self._position)
            return False

    def close(self) -> None:
        """Move the rest, as far as the disk takes it, and end: nginx no longer writes."""
        while self.move() and self._log.fault is None:
            self._log.flush()
        with self._moving:
            if self._file is not None:
                os.close(self._file)
                self._file = None
