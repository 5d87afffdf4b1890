"""The machine's checks: thresholds around this machine's state, and measurements of a known one."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from chitlaq.core.errors import UnknownResult
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.checks import disks, host, runner
from chitlaq.ops.checks.model import Table, Verdict
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.sources.system import SystemView
from tests.conftest import PORTS, eventually, free_ports
from tests.ops.checks.prometheus_history import serving, up
from tests.ops.checks.run_check import run_check


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


# Any machine exceeds a threshold of zero, and none exceeds 1e9.
@pytest.mark.parametrize(
    ("thresholds", "verdict"),
    [("1e9,2e9", Verdict.OK), ("-1,1e9", Verdict.WARNING), ("-2,-1", Verdict.CRITICAL)],
)
@pytest.mark.parametrize(
    ("check", "setting"),
    [
        ("host.load", "LOAD_PER_CORE"),
        ("host.cpu", "CPU_USED_RATIO"),
        ("host.disk", "DISK_USED_RATIO"),
        ("host.disk_io", "DISK_BUSY_RATIO"),
        ("host.interfaces", "NETWORK_ERRORS_RATIO"),
        ("host.bandwidth", "NETWORK_USED_RATIO"),
        ("host.large_files", "LARGE_FILE_BYTES"),
    ],
)
async def test_utilisation_is_judged_by_its_thresholds(
    home: Home, check: str, setting: str, thresholds: str, verdict: Verdict
) -> None:
    found = await run_check(home, check, **{f"CHITLAQ_CHECKS_{setting}": thresholds})
    if found.verdict == Verdict.SKIPPED:
        pytest.skip(found.summary)
    assert found.verdict == verdict, found.summary


@pytest.mark.parametrize(
    ("thresholds", "verdict"),
    [("-1,-2", Verdict.OK), ("1e9,-1", Verdict.WARNING), ("2e9,1e9", Verdict.CRITICAL)],
)
async def test_memory_is_judged_by_what_is_available(
    home: Home, thresholds: str, verdict: Verdict
) -> None:
    found = await run_check(home, "host.memory", CHITLAQ_CHECKS_MEMORY_AVAILABLE_RATIO=thresholds)
    assert found.verdict == verdict
    (table,) = [one for one in found.evidence if isinstance(one, Table)]
    assert table.rows


async def test_uptime_is_ok_after_the_first_hour(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "JUST_BOOTED_SECONDS", 0.0)
    assert (await run_check(home, "host.uptime")).verdict == Verdict.OK
    monkeypatch.setattr(host, "JUST_BOOTED_SECONDS", 1e12)
    assert (await run_check(home, "host.uptime")).verdict == Verdict.OK, "booted for this home"
    home.secrets.mkdir(exist_ok=True)
    secret = home.secrets / "operator-token"
    secret.touch()
    os.utime(secret, (0, 0))
    assert (await run_check(home, "host.uptime")).verdict == Verdict.WARNING


async def test_each_file_system_is_listed_once_with_the_homes_own(home: Home) -> None:
    found = await run_check(home, "host.disk")
    table = found.evidence[0]
    assert isinstance(table, Table)
    mounts = [row[0] for row in table.rows]
    assert len({Path(mount).stat().st_dev for mount in mounts}) == len(mounts)
    assert home.root.stat().st_dev in {Path(mount).stat().st_dev for mount in mounts}


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A separate, full file system."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip("this user may not mount a file system")
    try:
        (folder / "file").write_bytes(b"x" * 1_000_000)
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


async def test_full_file_system_is_critical(full: Path) -> None:
    found = await run_check(Home(full / "not-there-yet"), "host.disk")
    assert found.verdict == Verdict.CRITICAL
    assert str(full) in found.summary


async def test_full_disk_is_the_cause_of_what_cannot_be_written_to_it(full: Path) -> None:
    (full / "rest").write_bytes(b"")
    with suppress(OSError), (full / "rest").open("wb", buffering=0) as file:
        while file.write(b"x" * 512):
            pass
    system = SystemView(Home(full), Settings())
    try:
        checks = [CHECKS["host.disk_sync"], CHECKS["host.disk"]]
        done = await runner.run(system, "some", checks, "a test")
    finally:
        await system.close()
    assert {one.check: (one.verdict, one.explained_by) for one in done.results} == {
        "host.disk": (Verdict.CRITICAL, ""),
        "host.disk_sync": (Verdict.CRITICAL, "host.disk"),
    }


async def test_disk_usage_of_home_and_backups_counts_each_file_once(
    home: Home, tmp_path: Path
) -> None:
    backups = tmp_path / "elsewhere"
    for file, size in ((home.root / "deep/er/file", 3_000_000), (backups / "dump", 1_000_000)):
        file.parent.mkdir(parents=True)
        file.write_bytes(os.urandom(size))
    (home.root / "deep/again").hardlink_to(home.root / "deep/er/file")
    home = Home(home.root / "deep")
    found = await run_check(home, "host.disk", CHITLAQ_BACKUPS_FOLDER=str(backups))
    assert found.values["taken CHITLAQ_HOME"].value == pytest.approx(3e6, rel=0.1)
    assert found.values["taken backups"].value == pytest.approx(1e6, rel=0.1)
    assert "at least" not in found.summary


async def test_folder_not_measured_in_time_is_reported(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "TAKEN_SECONDS", -1.0)
    found = await run_check(home, "host.disk")
    assert "CHITLAQ_HOME at least" in found.summary
    assert "was not reached" in found.evidence[1].rows[0][3]  # type: ignore[union-attr]


# --- each measurement follows its source

CPU = "cpu  {user:.0f} 0 0 {idle:.0f} {waiting:.0f} 0 0 0 0 0\n"
DISK = "   8 0 sd{name} 9 0 {read:.0f} 0 9 0 {written:.0f} 0 0 {busy:.0f} {busy:.0f}\n"
NETWORK = "head\nhead\n{name}: {received:.0f} 9 0 0 0 0 0 0 {sent:.0f} 9 0 0 0 0 0 0\n"


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc of the test's own, from which psutil reads."""
    folder = tmp_path / "known-proc"
    (folder / "net").mkdir(parents=True)
    (folder / "1").mkdir()  # a process that cannot be read
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(folder))
    return folder


@contextmanager
def advancing(file: Path, template: str, **per_second: float | str) -> Iterator[None]:
    """Rewrite a file of counters as the kernel does; numbers advance with time."""
    ended, started = threading.Event(), time.monotonic()

    def write() -> None:
        elapsed = time.monotonic() - started
        draft = file.with_suffix(".new")
        draft.write_text(
            template.format(
                **{
                    name: rate if isinstance(rate, str) else 1e6 + rate * elapsed
                    for name, rate in per_second.items()
                }
            )
        )
        draft.replace(file)

    def advance() -> None:
        while not ended.wait(0.02):
            write()

    write()
    writer = threading.Thread(target=advance)
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


@pytest.mark.parametrize("seconds", [7200, 300_000])
async def test_uptime_is_that_since_the_kernels_boot(home: Home, proc: Path, seconds: int) -> None:
    (proc / "stat").write_text(f"btime {time.time() - seconds:.0f}\n")
    found = await run_check(home, "host.uptime")
    assert found.values["uptime"].value == pytest.approx(seconds, abs=60)


async def test_load_is_the_kernels(home: Home) -> None:
    def kernels() -> list[str]:
        return Path("/proc/loadavg").read_text().split()[:3]

    for _ in range(10):  # the kernel may recompute it between two reads
        before, found, after = kernels(), await run_check(home, "host.load"), kernels()
        if before == after:
            break
    values = [found.values[name].value for name in ("load1", "load5", "load15")]
    assert [f"{value:.2f}" for value in values] == before
    per_core = found.values["load5_per_core"].value
    assert per_core == pytest.approx(float(before[1]) / (os.cpu_count() or 1), abs=0.01)


@pytest.mark.parametrize(("busy", "waiting"), [(0.8, 0.1), (0.1, 0.5)])
async def test_cpu_use_follows_the_kernels_counters(
    home: Home, proc: Path, busy: float, waiting: float
) -> None:
    rates = {"user": busy, "waiting": waiting, "idle": 1 - busy - waiting}
    with advancing(proc / "stat", CPU, **{name: 1e4 * rate for name, rate in rates.items()}):
        found = await run_check(home, "host.cpu")
    # The CPU time of this process is subtracted.
    assert busy - 0.3 < found.values["used"].value < busy + 0.05
    assert found.values["iowait"].value == pytest.approx(waiting, abs=0.05)


async def test_busy_process_is_named(home: Home) -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:

        async def is_named() -> bool:
            found = await run_check(home, "host.cpu")
            (table,) = [one for one in found.evidence if isinstance(one, Table)]
            rows = [row for row in table.rows if row[0] == str(busy.pid)]
            return any(float(row[2]) > 0 for row in rows)

        try:
            # On a machine with many busy processes, it is not among the first ten at every look.
            await eventually(is_named)
        finally:
            busy.kill()


@pytest.mark.parametrize("available", [900_000, 20_000])
async def test_memory_is_the_kernels_available_memory(
    home: Home, proc: Path, available: int
) -> None:
    (proc / "meminfo").write_text(
        "MemTotal: 1000000 kB\nMemFree: 10000 kB\n"
        f"MemAvailable: {available} kB\nBuffers: 1 kB\nCached: 1 kB\n"
        "Shmem: 1 kB\nActive: 1 kB\nInactive: 1 kB\nSReclaimable: 1 kB\nSlab: 1 kB\n"
        "SwapTotal: 1000 kB\nSwapFree: 250 kB\n"
    )
    (proc / "vmstat").write_text("pswpin 0\npswpout 0\n")
    found = await run_check(home, "host.memory")
    assert found.values["available"].value == pytest.approx(available / 1_000_000)
    assert found.values["available_bytes"].value == 1024 * available
    assert found.values["swap_used_bytes"].value == 1024 * 750


async def test_use_of_a_file_system_is_that_of_statvfs(home: Home) -> None:
    found = await run_check(home, "host.disk")
    table = found.evidence[0]
    assert isinstance(table, Table)
    for mount in (row[0] for row in table.rows):
        usage = shutil.disk_usage(mount)
        used = 1 - usage.free / usage.total
        assert found.values[f"used {mount}"].value == pytest.approx(used, abs=0.02)
        assert found.values[f"free {mount}"].value == pytest.approx(usage.free, rel=0.2, abs=1e9)


@pytest.mark.parametrize(("name", "busy"), [("x", 0.05), ("y", 0.6)])
async def test_disk_io_follows_the_kernels_counters(
    home: Home, proc: Path, name: str, busy: float
) -> None:
    rates = {"read": 2000.0 * busy, "written": 4000.0 * busy, "busy": 1000 * busy}
    with advancing(proc / "diskstats", DISK, name=name, **rates):
        found = await run_check(home, "host.disk_io")
    assert f"sd{name}" in found.summary
    # The pause of a second may take longer on a busy machine.
    assert 0.8 * busy < found.values["busy"].value < 5 * busy


@pytest.mark.parametrize(("name", "rate"), [("near0", 1e5), ("near1", 1e7)])
async def test_bandwidth_follows_the_kernels_counters(
    home: Home, proc: Path, name: str, rate: float
) -> None:
    rates = {"received": rate, "sent": 3 * rate}
    with advancing(proc / "net/dev", NETWORK, name=name, **rates):
        found = await run_check(home, "host.bandwidth")
    assert 0.8 * rate < found.values["received"].value < 5 * rate
    ratio = found.values["sent"].value / found.values["received"].value
    assert ratio == pytest.approx(3, rel=0.01)


@pytest.mark.parametrize("errors", [0, 5000])
async def test_errors_of_an_interface_are_counted(home: Home, proc: Path, errors: int) -> None:
    real = [line.partition(":")[0] for line in Path("/proc/net/dev").read_text().splitlines()[2:]]
    counters = f"9 50000 {errors} {errors} 0 0 0 0 9 50000 0 0 0 0 0 0"
    (proc / "net/dev").write_text("\n".join(["", "", *(f"{name}: {counters}" for name in real)]))
    found = await run_check(home, "host.interfaces")
    if found.values["interfaces_up"].value == 0:
        pytest.skip("no interface but loopback is up here")
    assert found.values["errors"].value == pytest.approx(2 * errors / 100_000)


async def test_listening_socket_is_counted(home: Home) -> None:
    before = (await run_check(home, "host.sockets")).evidence[0]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        after = (await run_check(home, "host.sockets")).evidence[0]
    assert isinstance(before, Table)
    assert isinstance(after, Table)
    assert address not in {row[1] for row in before.rows}
    assert address in {row[1] for row in after.rows}


# --- machines with restricted views


@pytest.fixture
def bare_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc with only what a test puts there, as in some containers."""
    folder = tmp_path / "proc"
    (folder / "self").mkdir(parents=True)
    for name in ("filesystems", "self/mounts", "diskstats"):
        (folder / name).touch()
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(folder))
    return folder


async def test_machine_without_visible_file_systems_is_unknown(bare_kernel: Path) -> None:
    # A home in /proc is on no disk.
    found = await run_check(Home(Path("/proc/chitlaq")), "host.disk")
    assert (found.verdict, found.summary) == (
        Verdict.UNKNOWN,
        "no file system on a disk was found",
    )


async def test_machine_without_visible_disks_is_skipped(home: Home, bare_kernel: Path) -> None:
    found = await run_check(home, "host.disk_io")
    assert found.verdict == Verdict.SKIPPED
    assert "lists no disks" in found.summary


async def test_sockets_that_cannot_be_seen_are_unknown(home: Home, bare_kernel: Path) -> None:
    found = await run_check(home, "host.sockets")
    assert found.verdict == Verdict.UNKNOWN
    assert "cannot list sockets" in found.summary


async def test_udp_socket_is_listed_and_exposes_no_tcp_component(home: Home) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as listener:
        listener.bind(("0.0.0.0", 0))
        port = listener.getsockname()[1]
        found = await run_check(home, "host.sockets", CHITLAQ_PORTS_POSTGRES=str(port))
    assert "postgres" not in found.summary
    assert found.values["udp"].value >= 1
    (table,) = [one for one in found.evidence if isinstance(one, Table)]
    assert ["udp", f"0.0.0.0:{port}", ""] in [list(row[:3]) for row in table.rows]


LOOK = """\
import asyncio, sys
from pathlib import Path
from chitlaq.core.installation.home import Home
from tests.ops.checks.run_check import run_check
found = asyncio.run(run_check(Home(Path(sys.argv[1])), "host.interfaces"))
print(found.verdict, found.summary, *(found.evidence[1].rows or [[]]), sep="\\n")
"""


NO_NETWORK = 77
CABLE = "ip link add near type veth peer name far; ip link set near up; ip link set far up"
FOUR = f"{CABLE}; ip address add 192.0.2.1/24 dev near"
SIX = f"{CABLE}; ip address add 2001:db8::1/64 dev near nodad"


@pytest.mark.parametrize(
    ("network", "verdict", "said", "route"),
    [
        ("true", "WARNING", "no interface but loopback is up", "[]"),
        (FOUR, "WARNING", "2 interfaces up", "['192.0.2.0/24', '', 'near']"),
        (FOUR, "WARNING", "no default route, so only local networks", "['192.0.2.0/24', '', 'near']"),
        (
            f"{FOUR}; ip route add default via 192.0.2.254",
            "OK", "2 interfaces up", "['default', '192.0.2.254', 'near']",
        ),
        (
            f"{SIX}; ip -6 route add default via 2001:db8::fe dev near",
            "OK", "2 interfaces up", "['default', '2001:db8::fe', 'near']",
        ),
    ],
    ids=["nothing", "IPv4 only near", "no default", "IPv4", "IPv6"],
)  # fmt: skip
def test_interfaces_and_routes_are_judged(
    home: Home, network: str, verdict: str, said: str, route: str
) -> None:
    """In a real network namespace with a veth pair."""
    if shutil.which("ip") is None and network != "true":
        pytest.skip("the package iproute2 is not here")
    alone = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not make a network of its own")
    script = f"sh -ec '{network}' || exit {NO_NETWORK}; exec \"$@\""
    looking = subprocess.run(
        [*alone, "sh", "-c", script, "sh", sys.executable, "-c", LOOK, home.root],
        capture_output=True,
        text=True,
        check=False,
    )
    if looking.returncode == NO_NETWORK:
        pytest.skip(f"this kernel makes no such network: {looking.stderr}")
    assert looking.returncode == 0, looking.stderr
    told = looking.stdout.splitlines()
    assert told[0] == verdict
    assert said in told[1]
    assert route in told[2:]


async def test_large_file_is_found_and_tables_are_not_blamed(home: Home) -> None:
    for name, size in (("logs/huge.log", 2_000_000_000), ("postgres/base/1/2", 900_000_000)):
        (home.root / name).parent.mkdir(parents=True)
        with (home.root / name).open("wb") as file:
            file.truncate(size)
    found = await run_check(home, "host.large_files")
    assert found.verdict == Verdict.WARNING
    assert found.values["largest"].value >= 2e9
    (home.root / "logs/huge.log").unlink()
    found = await run_check(home, "host.large_files", CHITLAQ_CHECKS_LARGE_FILE_BYTES="5e8,1e9")
    assert found.values["largest"].value < 2e9
    assert not [r for one in found.evidence for r in one.rows if "huge" in r[1]]  # type: ignore[union-attr]


async def test_folder_with_too_many_files_is_unknown(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "WALKED_FILES", 2)
    for name in "abcd":
        (home.root / name).touch()
    assert (await run_check(home, "host.large_files")).verdict == Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("address", "verdict"), [("127.0.0.1", Verdict.OK), ("0.0.0.0", Verdict.CRITICAL)]
)
async def test_private_port_on_the_network_is_critical(
    home: Home, address: str, verdict: Verdict
) -> None:
    with socket.create_server((address, 0)) as listener:
        port = str(listener.getsockname()[1])
        others = {
            f"CHITLAQ_PORTS_{name}": str(free)
            for name, free in zip(
                ("REDIS", "OPS", "PROMETHEUS", "ALERTMANAGER", "NODE_EXPORTER"),
                free_ports(5),
                strict=True,
            )
        }
        found = await run_check(home, "host.sockets", CHITLAQ_PORTS_POSTGRES=port, **others)
    assert found.verdict == verdict
    assert ("postgres" in found.summary) == (verdict == Verdict.CRITICAL)


async def test_optional_port_is_ours_on_loopback_and_another_program_s_elsewhere(
    home: Home,
) -> None:
    ports = {
        f"CHITLAQ_PORTS_{one.upper()}": str(free)
        for one, free in zip(PORTS, free_ports(len(PORTS)), strict=True)
    }
    for address, component in (("127.0.0.1", "ops-service"), ("0.0.0.0", "")):
        with socket.create_server((address, 0)) as listener:
            port = listener.getsockname()[1]
            found = await run_check(
                home, "host.sockets", **ports | {"CHITLAQ_PORTS_CONSOLE": str(port)}
            )
        assert found.verdict == Verdict.OK
        (table,) = [one for one in found.evidence if isinstance(one, Table)]
        assert ["tcp", f"{address}:{port}", component] in [list(row[:3]) for row in table.rows]


async def test_disk_is_judged_by_how_long_it_takes_to_write_for_good(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.root.mkdir(exist_ok=True)
    for seconds, patience, verdict, said in (
        (0.0, 4.0, Verdict.OK, "a page is written in "),
        (0.3, 4.0, Verdict.WARNING, "a page is written in "),
        (3.0, 0.2, Verdict.CRITICAL, "nothing is written within 0.2 s"),
    ):
        monkeypatch.setattr(disks, "SYNC_SECONDS", patience)
        monkeypatch.setattr(os, "fdatasync", lambda _, seconds=seconds: time.sleep(seconds))
        found = await run_check(home, "host.disk_sync", CHITLAQ_CHECKS_DISK_SYNC_SECONDS="0.25,60")
        assert (found.verdict, said in found.summary) == (verdict, True), found.summary
    assert not list(home.root.iterdir())


async def test_required_hosts_are_tried(home: Home) -> None:
    assert (await run_check(home, "host.reachability")).verdict == Verdict.SKIPPED
    (nobody,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here, away = f"127.0.0.1:{listener.getsockname()[1]}", f"127.0.0.1:{nobody}"
        for reachable, public, verdict in (
            (here, "", Verdict.OK),
            (f"{here},{away}", "", Verdict.WARNING),
            ("no.such.host.invalid:1", "", Verdict.WARNING),
            (here, f"http://{away}", Verdict.CRITICAL),
            ("", f"http://{here}", Verdict.OK),
        ):
            found = await run_check(
                home,
                "host.reachability",
                CHITLAQ_CHECKS_REACHABLE=reachable,
                CHITLAQ_PUBLIC_URL=public,
            )
            assert found.verdict == verdict, (reachable, public, found.summary)


CLOCKS = {
    # (offset in seconds, whether the clock is synchronised; None if it was until now)
    "kept": (0.001, 1, Verdict.OK),
    "behind": (-0.1, 1, Verdict.WARNING),
    "wrong": (2.0, 1, Verdict.CRITICAL),
    "loose": (0.0, 0, Verdict.SKIPPED),
    "lost": (0.0, None, Verdict.WARNING),
}


async def test_clock_is_judged_by_its_offset_and_synchronisation(tmp_path: Path) -> None:
    now = time.time()
    times = [now + second for second in range(-60, 600, 15)]
    pasts: dict[str, str | None] = {}
    for name, (offset, sync, _) in CLOCKS.items():
        lines = ["# TYPE node_timex_offset_seconds gauge"]
        lines += [f"node_timex_offset_seconds {offset} {at:.3f}" for at in times]
        lines += ["# TYPE node_timex_sync_status gauge"]
        kept = {at: int(at < now) if sync is None else sync for at in times}
        lines += [f"node_timex_sync_status {is_kept} {at:.3f}" for at, is_kept in kept.items()]
        lines += up("node")
        pasts[name] = "\n".join([*lines, "# EOF"]) + "\n"
    async with serving(pasts) as addresses:
        found = {
            name: (await run_check(Home(tmp_path), "host.clock", PROMETHEUS_URL=address)).verdict
            for name, address in addresses.items()
        }
    assert found == {name: verdict for name, (_, _, verdict) in CLOCKS.items()}


async def test_clock_is_unknown_without_prometheus(home: Home) -> None:
    found = await run_check(home, "host.clock", CHITLAQ_MONITORING_EMBEDDED="false")
    assert found.verdict == Verdict.UNKNOWN
    assert "Fix what it reads" in found.remedy


async def test_hanging_blocking_work_delays_no_other(home: Home) -> None:
    assert re.match(r"\d", (await run_check(home, "host.load")).summary)
    with pytest.raises(UnknownResult):
        disks._large_files(_Endless())


class _Endless:
    """Endless folders, as in a file system with a cycle."""

    def __iter__(self) -> Iterator[Path]:
        while True:
            yield Path("/usr/share")
