"""The machine's checks: states are reached by thresholds around what this machine is at."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from chitlaq.core.installation.home import Home
from chitlaq.core.unseen import Unseen
from chitlaq.ops.checks import disks, host
from chitlaq.ops.checks.model import Table, Verdict
from tests.conftest import free_ports
from tests.ops.checks.prometheus_history import serving
from tests.ops.checks.run_check import look


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


# A value above zero is reached by any machine; a threshold of 1e9 by none.
@pytest.mark.parametrize(
    ("limits", "verdict"),
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
async def test_use_is_judged_by_its_thresholds(
    home: Home, check: str, setting: str, limits: str, verdict: Verdict
) -> None:
    found = await look(home, check, **{f"CHITLAQ_CHECKS_{setting}": limits})
    if found.verdict == Verdict.SKIPPED:
        pytest.skip(found.summary)
    assert found.verdict == verdict, found.summary


@pytest.mark.parametrize(
    ("limits", "verdict"),
    [("-1,-2", Verdict.OK), ("1e9,-1", Verdict.WARNING), ("2e9,1e9", Verdict.CRITICAL)],
)
async def test_memory_is_judged_by_what_is_left(home: Home, limits: str, verdict: Verdict) -> None:
    found = await look(home, "host.memory", CHITLAQ_CHECKS_MEMORY_AVAILABLE_RATIO=limits)
    assert found.verdict == verdict
    (table,) = [one for one in found.evidence if isinstance(one, Table)]
    assert table.rows


async def test_uptime_is_ok_but_for_the_first_hour(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "JUST_BOOTED_SECONDS", 0.0)
    assert (await look(home, "host.uptime")).verdict == Verdict.OK
    monkeypatch.setattr(host, "JUST_BOOTED_SECONDS", 1e12)
    assert (await look(home, "host.uptime")).verdict == Verdict.WARNING


async def test_file_system_is_listed_once_and_the_homes_own_is_there(home: Home) -> None:
    found = await look(home, "host.disk")
    table = found.evidence[0]
    assert isinstance(table, Table)
    mounts = [row[0] for row in table.rows]
    assert len({Path(mount).stat().st_dev for mount in mounts}) == len(mounts)
    assert home.root.stat().st_dev in {Path(mount).stat().st_dev for mount in mounts}


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that is full."""
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
    found = await look(Home(full / "not-there-yet"), "host.disk")
    assert found.verdict == Verdict.CRITICAL
    assert str(full) in found.summary


async def test_what_home_and_backups_take_is_counted_each_file_once(
    home: Home, tmp_path: Path
) -> None:
    backups = tmp_path / "elsewhere"
    for file, size in ((home.root / "deep/er/file", 3_000_000), (backups / "dump", 1_000_000)):
        file.parent.mkdir(parents=True)
        file.write_bytes(os.urandom(size))
    (home.root / "deep/again").hardlink_to(home.root / "deep/er/file")
    home = Home(home.root / "deep")
    found = await look(home, "host.disk", CHITLAQ_BACKUPS_FOLDER=str(backups))
    assert found.values["taken CHITLAQ_HOME"].value == pytest.approx(3e6, rel=0.1)
    assert found.values["taken backups"].value == pytest.approx(1e6, rel=0.1)
    assert "at least" not in found.summary


async def test_folder_that_could_not_be_counted_in_time_is_said(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "TAKEN_SECONDS", -1.0)
    found = await look(home, "host.disk")
    assert "CHITLAQ_HOME at least" in found.summary
    assert "did not suffice" in found.evidence[1].rows[0][3]  # type: ignore[union-attr]


@pytest.fixture
def bare_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc that shows nothing but what a test puts there, as in some containers."""
    folder = tmp_path / "proc"
    (folder / "self").mkdir(parents=True)
    for name in ("filesystems", "self/mounts", "diskstats"):
        (folder / name).touch()
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(folder))
    return folder


async def test_machine_that_shows_no_file_system_is_unknown(bare_kernel: Path) -> None:
    # A home in /proc is on no disk.
    found = await look(Home(Path("/proc/chitlaq")), "host.disk")
    assert (found.verdict, found.summary) == (
        Verdict.UNKNOWN,
        "no file system of a disk was found",
    )


async def test_machine_that_shows_no_disks_is_skipped(home: Home, bare_kernel: Path) -> None:
    found = await look(home, "host.disk_io")
    assert found.verdict == Verdict.SKIPPED
    assert "shows no disks" in found.summary


async def test_sockets_that_cannot_be_seen_are_unknown(home: Home, bare_kernel: Path) -> None:
    found = await look(home, "host.sockets")
    assert found.verdict == Verdict.UNKNOWN
    assert "may not see sockets" in found.summary


async def test_socket_of_udp_is_listed_and_is_no_door_to_what_speaks_tcp(home: Home) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as listener:
        listener.bind(("0.0.0.0", 0))
        port = listener.getsockname()[1]
        found = await look(home, "host.sockets", CHITLAQ_PORTS_POSTGRES=str(port))
    assert "postgres" not in found.summary
    assert found.values["udp"].value >= 1
    (table,) = [one for one in found.evidence if isinstance(one, Table)]
    assert ["udp", f"0.0.0.0:{port}", ""] in [list(row[:3]) for row in table.rows]


LOOK = """\
import asyncio, sys
from pathlib import Path
from chitlaq.core.installation.home import Home
from tests.ops.checks.run_check import look
found = asyncio.run(look(Home(Path(sys.argv[1])), "host.interfaces"))
print(found.verdict, found.summary, *(found.evidence[1].rows or [[]]), sep="\\n")
"""


NO_NETWORK = 77
CABLE = "ip link add near type veth peer name far; ip link set near up; ip link set far up"
FOUR = f"{CABLE}; ip address add 192.0.2.1/24 dev near"
SIX = f"{CABLE}; ip address add 2001:db8::1/64 dev near nodad"


@pytest.mark.parametrize(
    ("network", "verdict", "said", "route"),
    [
        ("true", "WARNING", "no interface leads out of this machine", "[]"),
        (FOUR, "WARNING", "2 interfaces up", "['192.0.2.0/24', '', 'near']"),
        (FOUR, "WARNING", "no default route: only its own networks", "['192.0.2.0/24', '', 'near']"),
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
def test_ways_out_of_the_machine_are_judged(
    home: Home, network: str, verdict: str, said: str, route: str
) -> None:
    """In a real network of the test's own, with a cable from one end of it to the other."""
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
    found = await look(home, "host.large_files")
    assert found.verdict == Verdict.WARNING
    (home.root / "logs/huge.log").unlink()
    found = await look(home, "host.large_files", CHITLAQ_CHECKS_LARGE_FILE_BYTES="5e8,1e9")
    assert not [r for one in found.evidence for r in one.rows if "huge" in r[1]]  # type: ignore[union-attr]


async def test_folder_with_too_many_files_is_unknown(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "WALKED_FILES", 2)
    for name in "abcd":
        (home.root / name).touch()
    assert (await look(home, "host.large_files")).verdict == Verdict.UNKNOWN


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
        found = await look(home, "host.sockets", CHITLAQ_PORTS_POSTGRES=port, **others)
    assert found.verdict == verdict
    assert ("postgres" in found.summary) == (verdict == Verdict.CRITICAL)


async def test_hosts_that_must_be_reached_are_tried(home: Home) -> None:
    assert (await look(home, "host.reachability")).verdict == Verdict.SKIPPED
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
            found = await look(
                home,
                "host.reachability",
                CHITLAQ_CHECKS_REACHABLE=reachable,
                CHITLAQ_PUBLIC_URL=public,
            )
            assert found.verdict == verdict, (reachable, public, found.summary)


CLOCKS = {
    # (seconds from the reference, whether something keeps it there)
    "kept": (0.001, 1, Verdict.OK),
    "behind": (-0.1, 1, Verdict.WARNING),
    "wrong": (2.0, 1, Verdict.CRITICAL),
    "loose": (0.0, 0, Verdict.WARNING),
}


async def test_clock_is_judged_by_its_distance_and_by_who_keeps_it(tmp_path: Path) -> None:
    now = time.time()
    times = [now + second for second in range(-60, 600, 15)]
    pasts: dict[str, str | None] = {}
    for name, (offset, sync, _) in CLOCKS.items():
        lines = ["# TYPE node_timex_offset_seconds gauge"]
        lines += [f"node_timex_offset_seconds {offset} {at:.3f}" for at in times]
        lines += ["# TYPE node_timex_sync_status gauge"]
        lines += [f"node_timex_sync_status {sync} {at:.3f}" for at in times]
        pasts[name] = "\n".join([*lines, "# EOF"]) + "\n"
    async with serving(pasts, tmp_path) as addresses:
        found = {
            name: (await look(Home(tmp_path), "host.clock", PROMETHEUS_URL=address)).verdict
            for name, address in addresses.items()
        }
    assert found == {name: verdict for name, (_, _, verdict) in CLOCKS.items()}


async def test_clock_is_unknown_without_prometheus(home: Home) -> None:
    found = await look(home, "host.clock", CHITLAQ_MONITORING_EMBEDDED="false")
    assert found.verdict == Verdict.UNKNOWN
    assert "mend that" in found.remedy


async def test_blocking_work_that_hangs_holds_nobody_up(home: Home) -> None:
    assert re.match(r"\d", (await look(home, "host.load")).summary)
    with pytest.raises(Unseen):
        disks._large_files(_Endless())


class _Endless:
    """Folders without end, as a file system in a circle would show them."""

    def __iter__(self) -> Iterator[Path]:
        while True:
            yield Path("/usr/share")
