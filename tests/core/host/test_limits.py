"""Memory and cores are those of the control groups that a process is in, and else the machine's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from chitlaq.core.host import limits
from chitlaq.core.installation.home import Home
from chitlaq.core.telemetry import metrics, runtime_metrics
from tests.ops.checks.run_check import run_check

MIB = 1 << 20
TWO: dict[str, object] = {"memory.current": 90, "memory.max": 100, "memory.high": "max"}
ONE: dict[str, object] = {"memory.usage_in_bytes": 90, "memory.limit_in_bytes": 100}
UNLIMITED = ONE | {"memory.limit_in_bytes": 1 << 43}


def written(folder: Path, values: dict[str, object]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        scaled = value * MIB if isinstance(value, int) and name.startswith("memory") else value
        (folder / name).write_text(f"{scaled}\n")


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A planted process of a machine with 1000 MiB, of which 500 are available."""
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "1").mkdir()  # a process that cannot be read
    (proc / "meminfo").write_text(
        f"MemTotal: {1000 * 1024} kB\nMemFree: 10 kB\nMemAvailable: {500 * 1024} kB\nBuffers: 1 kB\n"
        "Cached: 1 kB\nShmem: 1 kB\nActive: 1 kB\nInactive: 1 kB\nSReclaimable: 1 kB\nSlab: 1 kB\n"
    )
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(proc))
    return proc / "self"


def mounted(process: Path, cgroup: str, *mounts: str) -> None:
    (process / "cgroup").write_text(f"{cgroup}\n")
    (process / "mountinfo").write_text("".join(f"31 23 0:28 {mount}\n" for mount in mounts))


def test_limits_of_each_version_are_read_where_the_process_is(
    process: Path, tmp_path: Path
) -> None:
    """In a slice, in a container with its own namespace or with the host's, in version 1, and in both."""
    tree = tmp_path / "a tree"
    place = str(tree).replace(" ", "\\040")
    stat = "anon 1\ninactive_file {}\nactive_file 7".format
    two, one = f"/ {place} rw - cgroup2 cgroup rw", f"{place} rw - cgroup cgroup rw,memory"
    part = f"/docker/ab {one}"
    cases = [
        # Where it is, its own files, those of the group above, and what is left of what.
        ("0::/a.slice/b.service", [two], TWO, {}, (100, 10 + 20)),
        ("0::/a.slice/b.service", [two], {}, TWO, (100, 10 + 20)),
        ("0::/a.slice/b.service", [two], TWO | {"memory.high": 95}, {}, (95, 5 + 20)),
        ("0::/a.slice/b.service", [two], TWO | {"memory.max": "max"}, {}, (1000, 500)),
        ("0::/", [two], {}, {}, (1000, 500)),
        ("4:memory:/a.slice/b.service", [f"/ {one}"], ONE, {}, (100, 10 + 30)),
        ("4:cpu,memory:/docker/ab/a.slice/b.service", [part], ONE, {}, (100, 10 + 30)),
        ("4:memory:/a.slice/b.service\n0::/", [f"/ {one}"], ONE, {}, (100, 10 + 30)),
        ("4:memory:/a.slice/b.service", [f"/ {one}"], UNLIMITED, {}, (1000, 500)),
    ]  # fmt: skip
    for cgroup, mounts, own, above, (total, available) in cases:
        mounted(process, cgroup, *mounts)
        for folder, values in ((tree / "a.slice/b.service", own), (tree / "a.slice", above)):
            written(folder, dict(values))
            written(folder, {"memory.stat": ""})
            (folder / "memory.stat").write_text(
                f"{stat(20 * MIB)}\n" + f"total_inactive_file {30 * MIB}\n" * cgroup.startswith("4")
            )
        found = limits.memory()
        assert (found.total, found.available) == (total * MIB, available * MIB), cgroup
        assert bool(found.group) is (total < 1000)
        for folder in (tree / "a.slice/b.service", tree / "a.slice"):
            for file in folder.glob("memory*"):
                file.unlink()


def test_quota_of_cores_is_read_in_each_version(process: Path, tmp_path: Path) -> None:
    tree, group = tmp_path / "tree", tmp_path / "tree" / "b.service"
    written(group, {"cpu.max": "50000 100000", "cpu.stat": "usage_usec 2500000\nuser_usec 1"})
    mounted(process, "0::/b.service", f"/ {tree} rw - cgroup2 cgroup rw")
    found = limits.cores()
    assert (found.number, found.group, found.seconds()) == (0.5, str(group), 2.5)
    written(group, {"cpu.max": "max 100000"})
    assert limits.cores().usage is None
    (group / "cpu.max").unlink()
    written(
        group, {"cpu.cfs_quota_us": 25000, "cpu.cfs_period_us": 100000, "cpu.stat": "nr_periods 0"}
    )
    written(tmp_path / "other" / "b.service", {"cpuacct.usage": 1500000000})
    mounted(
        process, "2:cpuacct:/b.service\n1:cpu:/b.service",
        f"/ {tree} rw - cgroup cgroup rw,cpu", f"/ {tmp_path / 'other'} rw - cgroup cgroup rw,cpuacct",
    )  # fmt: skip
    found = limits.cores()
    assert (found.number, found.seconds()) == (0.25, 1.5)


def test_service_says_what_its_own_group_leaves_it(process: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    written(tree, TWO | {"memory.stat": "inactive_file 0"})
    mounted(process, "0::/", f"/ {tree} rw - cgroup2 cgroup rw")
    runtime_metrics.note_limit("a-service")
    said = [
        next(iter(one.collect())).samples[0].value
        for one in (metrics.SERVICE_MEMORY_LIMIT, metrics.SERVICE_MEMORY_AVAILABLE)
    ]
    assert said == [100 * MIB, 10 * MIB]


async def test_memory_is_judged_by_the_limit_of_the_group(process: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    written(tree / "b.service", TWO | {"memory.current": 97, "memory.stat": "inactive_file 0"})
    mounted(process, "0::/b.service", f"/ {tree} rw - cgroup2 cgroup rw")
    (process.parent / "meminfo").open("a").write("SwapTotal: 0 kB\nSwapFree: 0 kB\n")
    (process.parent / "vmstat").write_text("pswpin 0\npswpout 0\n")
    found = await run_check(Home(tmp_path / "home"), "host.memory")
    assert found.verdict == "CRITICAL", found
    assert "of 105 MB available to the services, by the limit of " in found.summary
    assert found.values["available"].value == pytest.approx(0.03)


@pytest.fixture
def group() -> Iterator[Path]:
    """A real control group with a limit of 200 MiB, in either version."""
    for root, limit in (("", "memory.max"), ("memory", "memory.limit_in_bytes")):
        folder = Path("/sys/fs/cgroup", root, f"chitlaq-test-{os.getpid()}")
        with suppress(OSError):
            folder.mkdir()
            try:
                # Elsewhere it is a folder like any other.
                if (folder / limit).exists():
                    (folder / limit).write_text(str(200 * MIB))
                    yield folder
                    return
            finally:
                folder.rmdir()
    pytest.skip("control groups cannot be made here")


def test_process_in_a_real_group_has_what_the_group_has_left(group: Path) -> None:
    code = (
        "import os; from pathlib import Path; from chitlaq.core.host import limits\n"
        f"Path({str(group / 'cgroup.procs')!r}).write_text(str(os.getpid()))\n"
        f"held = bytearray(os.urandom(1)) * ({60 * MIB})\n"
        "found = limits.memory(); print(found.total, found.available)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    total, available = map(int, run.stdout.split())
    assert total == 200 * MIB
    assert 100 * MIB < available < 145 * MIB
