"""The machine's checks: states are reached by thresholds around what this machine is at."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chitlaq.core.home import Home
from chitlaq.ops.checks import host
from chitlaq.ops.checks.check import Table, Unseen, Verdict
from tests.conftest import free_ports
from tests.ops.checks.looking import look
from tests.ops.checks.past import serving


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
    (table,) = [one for one in found.evidence if isinstance(one, Table)]
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
    monkeypatch.setattr(host, "WALKED_FILES", 2)
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
        host._large_files(_Endless())


class _Endless:
    """Folders without end, as a file system in a circle would show them."""

    def __iter__(self) -> Iterator[Path]:
        while True:
            yield Path("/usr/share")
