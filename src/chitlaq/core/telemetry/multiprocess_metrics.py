"""The files through which the processes of a service share their metrics, and their compaction.

prometheus-client keeps one file per process and kind of metric and adds them up at each scrape. The files
of processes that have exited are folded into one, or a scrape would take longer with each restart.

A scrape sees each number once, even if a fold runs or is killed meanwhile. Sums are written to files of
the next generation, which no scrape reads. Replacing a small index then makes the sums count instead of
their parts, in one step. Only its own process changes a file that counts. A reader checks the index
before and after, and reads again if it changed.
"""

from __future__ import annotations

import fcntl
import struct
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from chitlaq.core.host import files

T = TypeVar("T")

KINDS = ("counter", "histogram")
WAIT_SECONDS = 1.0
TRIES = 20


class Index(msgspec.Struct, frozen=True):
    """Which sums count, and the files that they contain, which are being deleted."""

    generation: int = 0
    folded: tuple[str, ...] = ()


def read(folder: Path, merge: Callable[[Sequence[str]], T]) -> T:
    """Pass the paths of all files that count to a function and return its result.

    It is called again if files were folded meanwhile.

    Raises:
        RuntimeError: files were folded on every try.
    """
    for _ in range(TRIES):
        index = _index(folder)
        # A file may be gone, or new and still empty.
        with suppress(FileNotFoundError, struct.error):
            merged = merge([str(file) for file in _counting(folder, index)])
            if _index(folder) == index:
                return merged
    raise RuntimeError(f"The files in {folder} were folded again and again.")


def begin(folder: Path) -> None:
    """Prepare for one more process: fold what killed processes have left.

    If another process folds and does not finish, or the disk is full, the next one does it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(OSError), _alone(folder) as is_alone:
        if is_alone:
            _clear(folder, _index(folder))
            _fold(folder, [file for file in folder.glob("*.db") if _is_dead(file)])


def forget_gauges(folder: Path, pid: int) -> None:
    """Delete the live gauges of a process that has exited; its counters stay."""
    for file in folder.glob(f"gauge_live*_{pid}.db"):
        file.unlink(missing_ok=True)


def _fold(folder: Path, dead: Sequence[Path]) -> None:
    for file in dead:
        if file.name.startswith("gauge_live"):
            file.unlink(missing_ok=True)
    counts = [file for file in dead if file.name.startswith(KINDS)]
    if not counts:
        return
    before = _index(folder).generation
    for kind in KINDS:
        parts = [file for file in counts if file.name.startswith(kind)]
        last = _sums(folder, kind, before)
        _add_up([*parts, last] if last.exists() else parts, _sums(folder, kind, before + 1))
    index = Index(before + 1, tuple(file.name for file in counts))
    _store(folder, index)
    _clear(folder, index)


def _add_up(parts: Sequence[Path], target: Path) -> None:
    # Imported late: the supervisor only deletes gauges and does without it.
    from prometheus_client.mmap_dict import MmapedDict

    from chitlaq.core.telemetry import metric_files

    sums: dict[str, float] = defaultdict(float)
    for part in parts:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(part)):  # type: ignore[no-untyped-call]
            sums[key] += value
    # Its size is known, so that the library maps it as it is.
    entries = sum(map(metric_files.entry_bytes, sums))
    metric_files.allocate(
        target, max(metric_files.HEADER_BYTES + entries, metric_files.INITIAL_BYTES)
    )
    written = MmapedDict(str(target))  # type: ignore[no-untyped-call]
    for key, value in sums.items():
        written.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    written.close()  # type: ignore[no-untyped-call]


def _clear(folder: Path, index: Index) -> None:
    """Delete what does not count, so that the names can be reused, as process ids are."""
    for name in index.folded:
        (folder / name).unlink(missing_ok=True)
    for file in folder.glob("*_sum-*.db"):
        if not file.stem.endswith(f"_sum-{index.generation}"):
            file.unlink(missing_ok=True)
    if index.folded:
        _store(folder, Index(index.generation))


def _counting(folder: Path, index: Index) -> Iterator[Path]:
    sums = {_sums(folder, kind, index.generation) for kind in KINDS}
    for file in folder.glob("*.db"):
        if file in sums or ("_sum-" not in file.name and file.name not in index.folded):
            yield file


def _sums(folder: Path, kind: str, generation: int) -> Path:
    return folder / f"{kind}_sum-{generation}.db"


def _is_dead(file: Path) -> bool:
    pid = file.stem.rpartition("_")[2]
    return pid.isdecimal() and not Path("/proc", pid).exists()


def _index(folder: Path) -> Index:
    try:
        return msgspec.json.decode((folder / "index.json").read_bytes(), type=Index)
    except FileNotFoundError:
        return Index()


def _store(folder: Path, index: Index) -> None:
    # Not durable: written every few seconds, and a reboot resets the metrics.
    files.write(folder / "index.json", msgspec.json.encode(index), is_durable=False)


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Keep others from folding; false if another one holds the lock for too long."""
    with (folder / "lock").open("w") as lock:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    yield False
                    return
                time.sleep(0.01)
            else:
                yield True
                return
