"""The files in which the processes of a service share their numbers, and what becomes of them.

prometheus-client keeps one for each process and kind of metric, and adds all up at each scrape. Those of
processes that ended are folded into one, or a scrape would take longer with each restart.

A scrape sees each number once, whatever is folded meanwhile and wherever that is killed. Sums are written
to files of the next generation, at which no scrape looks; moving a small index to its place makes these
count and what they are made of not, in one step. Nothing that counts is changed but by its own process.
Whoever reads looks at the index before and after, and reads again when it is another.
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
    """Which sums count, and the files that are in them and are being deleted."""

    generation: int = 0
    folded: tuple[str, ...] = ()


def read(folder: Path, merge: Callable[[Sequence[str]], T]) -> T:
    """Give the paths of all files that count to a function, and return what it made of them.

    It is called again when files were folded meanwhile.

    Raises:
        RuntimeError: they were, each time.
    """
    for _ in range(TRIES):
        index = _index(folder)
        # A file may be gone, or only just begun and empty.
        with suppress(FileNotFoundError, struct.error):
            merged = merge([str(file) for file in _counting(folder, index)])
            if _index(folder) == index:
                return merged
    raise RuntimeError(f"The files in {folder} were folded again and again.")


def begin(folder: Path) -> None:
    """Make ready for one more process: forget and fold what those that were killed have left.

    When another does that, and does not end, it is left for the next one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder) as is_alone:
        if is_alone:
            _clear(folder, _index(folder))
            _fold(folder, [file for file in folder.glob("*.db") if _is_dead(file)])


def forget_gauges(folder: Path, pid: int) -> None:
    """Take away what a process that has ended said of itself; its counts stay."""
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
    # Late: the supervisor, which only forgets gauges, does without it.
    from prometheus_client.mmap_dict import MmapedDict

    sums: dict[str, float] = defaultdict(float)
    for part in parts:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(part)):  # type: ignore[no-untyped-call]
            sums[key] += value
    written = MmapedDict(str(target))  # type: ignore[no-untyped-call]
    for key, value in sums.items():
        written.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    written.close()  # type: ignore[no-untyped-call]


def _clear(folder: Path, index: Index) -> None:
    """Delete what does not count; then its names are free again, as process ids are."""
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
    # Not durable: written every few seconds, and a reboot makes the metrics anew.
    files.write(folder / "index.json", msgspec.json.encode(index), is_durable=False)


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Keep others from folding; false when one of them goes on doing so."""
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
