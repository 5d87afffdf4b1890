"""Counts of several processes are added up once, whichever of them exits, and however."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import multiprocess
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.parser import text_string_to_metric_families

from chitlaq.core.telemetry import multiprocess_metrics
from tests.conftest import Stack, eventually, start_stack, stop_stack
from tests.disks import fill, small_disk

COUNTING = """
import os, signal, sys
from pathlib import Path
from chitlaq.core.telemetry import multiprocess_metrics
os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
from prometheus_client import Counter, Gauge, Histogram
counter, histogram = Counter("asked_total", "x", ["by"]), Histogram("took_seconds", "x", buckets=[1, 2])
gauge = Gauge("open", "x", multiprocess_mode="livesum")
for _ in range(int(sys.argv[2])):
    counter.labels("somebody").inc()
    histogram.observe(1.5)
gauge.set(1)
os.kill(os.getpid(), signal.SIGKILL)
"""


# Forks where there are no threads, whose locks would stay locked in the child, and no pipes of others.
FOLDING = """
import os, signal, sys
from pathlib import Path
from chitlaq.core.host import files
from chitlaq.core.telemetry import metric_files, multiprocess_metrics

def fold(line):
    lines = iter(range(line))
    def trace(frame, event, _):
        if frame.f_code.co_filename not in (multiprocess_metrics.__file__, files.__file__):
            return None
        if event == "line" and next(lines, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    sys.settrace(trace)
    multiprocess_metrics.begin(Path(sys.argv[1]))
    os._exit(0)

for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        fold(int(line))
    print(int(os.WIFSIGNALED(os.waitpid(pid, 0)[1])), flush=True)
"""


def count_and_be_killed(folder: Path, times: int) -> None:
    folder.mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-c", COUNTING, str(folder), str(times)], check=False)


def numbers(paths: Sequence[str]) -> tuple[float, float, float]:
    """The counter, and the histogram's count and middle bucket."""
    samples = {
        (sample.name, sample.labels.get("le")): float(sample.value)
        for metric in multiprocess.MultiProcessCollector.merge(paths)  # type: ignore[no-untyped-call]
        for sample in metric.samples
    }
    return (
        samples.get(("asked_total", None), 0),
        samples.get(("took_seconds_count", None), 0),
        samples.get(("took_seconds_bucket", "2.0"), 0),
    )


def seen(folder: Path) -> tuple[float, float, float]:
    return multiprocess_metrics.read(folder, numbers)


def test_files_of_exited_processes_are_folded_into_one_per_kind(tmp_path: Path) -> None:
    for times in (3, 4, 5):
        count_and_be_killed(tmp_path, times)
    assert len(list(tmp_path.glob("*.db"))) == 9
    for _ in range(2):
        multiprocess_metrics.begin(tmp_path)
        assert seen(tmp_path) == (12, 12, 12)
        assert sorted(file.name for file in tmp_path.glob("*.db")) == [
            "counter_sum-1.db",
            "histogram_sum-1.db",
        ]
    count_and_be_killed(tmp_path, 6)
    multiprocess_metrics.begin(tmp_path)
    assert seen(tmp_path) == (18, 18, 18)
    assert len(list(tmp_path.glob("*.db"))) == 2


def test_files_of_running_processes_are_not_folded(tmp_path: Path) -> None:
    count_and_be_killed(tmp_path, 3)
    (file,) = tmp_path.glob("counter_*.db")
    living = file.rename(tmp_path / f"counter_{os.getpid()}.db")
    multiprocess_metrics.begin(tmp_path)
    assert living.exists()
    assert seen(tmp_path) == (3, 3, 3)


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.long)])
def test_each_number_counts_once_wherever_a_fold_is_killed(tmp_path: Path, step: int) -> None:
    """Killed at each line of the fold, or each third, with more to fold each time."""

    def fold_and_be_killed_at(line: int) -> bool:
        """Whether it was killed there, in a separate process."""
        assert folding.stdin
        assert folding.stdout
        folding.stdin.write(f"{line}\n")
        folding.stdin.flush()
        return bool(int(folding.stdout.readline()))

    count_and_be_killed(tmp_path, 3)
    originals = {file.name: file.read_bytes() for file in tmp_path.glob("[ch]*_*.db")}
    total, line = 3.0, 0
    is_killed = True
    with subprocess.Popen(
        [sys.executable, "-c", FOLDING, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as folding:
        while is_killed:
            is_killed = fold_and_be_killed_at(line)
            assert seen(tmp_path) == (total, total, total), f"killed at line {line}"
            multiprocess_metrics.begin(tmp_path)
            assert seen(tmp_path) == (total, total, total), f"after line {line}"
            for name, content in originals.items():
                (tmp_path / name).write_bytes(content)
            total, line = total + 3, line + step
    assert line > 30


def test_each_number_counts_once_during_a_fold(tmp_path: Path) -> None:
    """At each line of our reader and of the library's."""

    def seen_with_fold_at(line: int) -> tuple[tuple[float, float, float], bool]:
        """The result, and whether a fold happened before the read was done."""
        lines = iter(range(line))
        is_folded = False

        def trace(frame: Any, event: str, _: object) -> Any:
            nonlocal is_folded
            if frame.f_code.co_filename not in (
                multiprocess_metrics.__file__,
                multiprocess.__file__,
            ):
                return None
            if event == "line" and not is_folded and next(lines, None) is None:
                is_folded = True
                multiprocess_metrics.begin(tmp_path)  # Tracing is off while a trace function runs.
            return trace

        sys.settrace(trace)
        try:
            return seen(tmp_path), is_folded
        finally:
            sys.settrace(None)

    count_and_be_killed(tmp_path, 3)
    originals = {file.name: file.read_bytes() for file in tmp_path.glob("[ch]*_*.db")}
    total, line = 3.0, 0
    is_folded = True
    while is_folded:
        found, is_folded = seen_with_fold_at(line)
        assert found == (total, total, total), f"folded at line {line}"
        multiprocess_metrics.begin(tmp_path)
        for name, content in originals.items():
            (tmp_path / name).write_bytes(content)
        total, line = total + 3, line + 1
    assert line > 30


@pytest.fixture(scope="module")
def doubled() -> Iterator[Stack]:
    """A stack with two processes of feed-service."""
    stack = start_stack(CHITLAQ_WORKERS_FEED="2")
    try:
        stack.up()
        yield stack
    finally:
        stop_stack(stack)


def restart(stack: Stack) -> None:
    assert stack.command("restart", "feed-service").returncode == 0


def kill_one(stack: Stack) -> None:
    def pids() -> dict[int, int]:
        rows = [row for row in stack.json("ps") if row["service"] == "feed-service"]
        return {row["worker"]: row["pid"] for row in rows if row["state"] == "healthy"}

    before = pids()
    os.kill(before[1], signal.SIGKILL)

    def is_back() -> bool:
        now = pids()
        return len(now) == 2 and now[1] != before[1]

    for _ in range(200):
        if is_back():
            return
        time.sleep(0.2)
    raise AssertionError("no process took the place of the one that was killed")


async def feed(stack: Stack, name: str, **labels: str) -> float:
    """The sum of a metric in one of the two processes' responses."""
    async with httpx.AsyncClient(timeout=10) as client:
        answer = await client.get(f"http://127.0.0.1:{stack.ports['feed']}/metrics")
    assert answer.status_code == 200
    return sum(
        sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


async def test_two_processes_count_each_request_once(
    doubled: Stack,
) -> None:
    refused = {"route": "/posts", "method": "POST", "status": "401"}
    changes: Sequence[Callable[[Stack], None]] = (lambda _: None, restart, kill_one, restart)
    for number, change in enumerate(changes, start=1):
        change(doubled)
        async with httpx.AsyncClient(base_url=doubled.gateway, timeout=20) as client:
            for _ in range(30):
                answer = await client.post("/api/posts", json={"text": "nobody is signed in"})
                assert answer.status_code == 401
        for _ in range(4):
            assert await feed(doubled, "http_requests_total", **refused) == 30 * number

        async def is_as_postgresql_says() -> bool:
            said = await feed(doubled, "postgresql_pool_connections")
            (row,) = await doubled.sql(
                "SELECT count(*) AS held FROM pg_stat_activity WHERE usename = 'chitlaq_feed'"
            )
            return bool(said == row["held"] > 0)

        await eventually(is_as_postgresql_says)
    folder = doubled.home / "run" / "metrics" / "feed-service"
    pids = [file.stem.rpartition("_")[2] for file in folder.glob("counter_[0-9]*.db")]
    dead = [pid for pid in pids if not Path("/proc", pid).exists()]
    assert len(dead) <= 1, "the last predecessor's, which the next process folds"


COUNTING_WITHOUT_SPACE = """
import os, sys
from pathlib import Path
os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
from chitlaq.core.telemetry import metric_files
metric_files.use()
from prometheus_client import Counter
counter = Counter("asked_total", "x", ["by"])
def count():
    counter.labels("somebody").inc()
def count_much():
    for number in range(2000):
        counter.labels(f"somebody {number}").inc()
for word in sys.stdin:
    {"count": count, "much": count_much, "settle": metric_files.settle}[word.strip()]()
    print("done", flush=True)
"""


COUNTING_IN_A_FORK = """
import os, sys
os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
from chitlaq.core.telemetry import metric_files
metric_files.use()
from prometheus_client import Counter
counter = Counter("asked_total", "x")
counter.inc()
if child := os.fork():
    os.waitpid(child, 0)
else:
    counter.inc(10)
"""


def test_forked_process_counts_in_a_file_of_its_own(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", COUNTING_IN_A_FORK, str(tmp_path)], check=True)
    counts = [
        value
        for file in tmp_path.glob("counter_*.db")
        for _, value, _, _ in MmapedDict.read_all_values_from_file(str(file))  # type: ignore[no-untyped-call]
    ]
    assert sorted(counts) == [1, 10]


@pytest.mark.parametrize("is_full_at_the_start", [True, False])
def test_process_counts_on_a_full_disk_and_moves_to_its_file_later(
    *, is_full_at_the_start: bool
) -> None:
    with small_disk(1) as disk:
        folder = disk / "metrics"
        folder.mkdir()
        filler = fill(disk) if is_full_at_the_start else None
        process = subprocess.Popen(
            [sys.executable, "-c", COUNTING_WITHOUT_SPACE, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

        def tell(word: str) -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{word}\n")
            process.stdin.flush()
            assert process.stdout.readline() == "done\n", "the process was killed"

        try:
            tell("count")
            filler = filler or fill(disk)
            tell("much")
            tell("settle")
            tell("count")
            assert seen(folder)[0] == 0
            filler.unlink()
            tell("settle")
            assert seen(folder)[0] == 1
            tell("much")
            tell("count")
        finally:
            process.communicate(timeout=20)
        total = [
            sample.value
            for metric in multiprocess.MultiProcessCollector.merge(  # type: ignore[no-untyped-call]
                [str(file) for file in folder.glob("*.db")]
            )
            for sample in metric.samples
        ]
        assert sum(total) == 2 * 2000 + 3


def test_metric_file_has_no_holes(tmp_path: Path) -> None:
    """Not in a process's own, nor in sums: writing to a hole of a full disk kills the process."""
    process = [sys.executable, "-c", COUNTING_WITHOUT_SPACE, str(tmp_path)]
    subprocess.run(process, input="count\nmuch\n", capture_output=True, text=True, check=True)
    (own,) = tmp_path.glob("*.db")
    assert own.stat().st_blocks * 512 >= own.stat().st_size > 1 << 17
    multiprocess_metrics.begin(tmp_path)
    (sums,) = tmp_path.glob("counter_*.db")
    assert sums != own
    assert sums.stat().st_blocks * 512 >= sums.stat().st_size


def test_fold_without_space_leaves_the_numbers_as_they_are() -> None:
    with small_disk(1) as disk:
        folder = disk / "metrics"
        for times in (3, 4):
            count_and_be_killed(folder, times)
        filler = fill(disk)
        multiprocess_metrics.begin(folder)
        assert seen(folder) == (7, 7, 7)
        filler.unlink()
        multiprocess_metrics.begin(folder)
        assert seen(folder) == (7, 7, 7)
