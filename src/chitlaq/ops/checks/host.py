"""The machine: processor, memory, disks, network, clock (USE: utilisation, saturation, errors)."""

from __future__ import annotations

import asyncio
import heapq
import ipaddress
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from chitlaq import inventory
from chitlaq.core.formatting import count, duration, share, size
from chitlaq.core.installation.settings import Settings
from chitlaq.core.unseen import NotHere, Unseen
from chitlaq.ops.checks.model import Outcome, Section, Table, Value, Verdict, check, judged, outcome
from chitlaq.ops.checks.system import SystemView

TOP = 10
WINDOW_SECONDS = 1.0
JUST_BOOTED_SECONDS = 3600.0
LARGE_FILE_BYTES = 100_000_000
WALKED_FILES = 200_000
TAKEN_SECONDS = 1.5
"""For the size of a folder."""
BLOCK_BYTES = 512
CONNECT_SECONDS = 2.0
PROC_NET = Path("/proc/net")
# linux/route.h
ROUTE_UP, ROUTE_REJECT, ROUTE_LOCAL = 0x1, 0x200, 0x80000000
LOOPBACK = ("127.", "::1")
PRIVATE = tuple(row.name for row in inventory.BY_PORT if not row.is_for_members)
"""What nobody outside of this machine may reach: they trust whoever asks, or hold the truth."""


@check(
    "host.uptime",
    "Uptime and sessions",
    section=Section.CHECKLIST,
    looks_at="the kernel's boot time and utmp",
    commands=("uptime", "w"),
    remedy="Find out who or what restarted the machine: `last -x | head`, `journalctl -b -1 -e`.",
)
async def uptime(system: SystemView) -> Outcome:
    seconds = time.time() - psutil.boot_time()
    users = await system.blocking(psutil.users)
    rows = [
        [user.name, user.terminal or "", user.host or "", _stamp(user.started)] for user in users
    ]
    return outcome(
        f"up for {duration(seconds)}, {count(len(users), 'session')} of people",
        {"uptime": Value(seconds, "seconds"), "sessions": Value(len(users))},
        Table("who is logged in", ["user", "terminal", "from", "since"], rows),
        least=Verdict.WARNING if seconds < JUST_BOOTED_SECONDS else Verdict.OK,
    )


@check(
    "host.load",
    "Load",
    section=Section.HOST,
    looks_at="/proc/loadavg, beside the number of cores",
    commands=("uptime", "cat /proc/loadavg"),
    remedy="See what runs and what waits: `chitlaq ops check host.cpu host.disk_io --details`.",
)
async def load(system: SystemView) -> Outcome:
    one, five, fifteen = os.getloadavg()
    cores = os.cpu_count() or 1
    return outcome(
        f"{five:.2f} over five minutes on {count(cores, 'core')}",
        {
            "load1": Value(one),
            "load5": Value(five),
            "load15": Value(fifteen),
            "load5_per_core": judged(five / cores, "", system.limits.load_per_core),
        },
    )


@check(
    "host.cpu",
    "Processor",
    section=Section.HOST,
    looks_at="/proc/stat and each process over a second",
    commands=('top -bn1 | grep "Cpu(s)"', "iostat -c 1 5", "ps aux --sort=-%cpu | head -10"),
    remedy="Stop or move what does not belong here; a service that is busy: `chitlaq stats`, then its logs.",
)
async def cpu(system: SystemView) -> Outcome:
    times, own, rows = await system.blocking(_measure_cpu)
    # What the other checks take at this moment is no state of the machine.
    busy = max(0.0, 1 - (times.idle + getattr(times, "iowait", 0.0)) / 100 - own)
    waiting, stolen = getattr(times, "iowait", 0.0) / 100, getattr(times, "steal", 0.0) / 100
    said = f"{share(busy)} in use, {share(waiting)} waiting for disks"
    if stolen > 0.05:
        said += f", {share(stolen)} taken by the host's other guests"
    return outcome(
        said,
        {
            "used": judged(busy, "ratio", system.limits.cpu_used_ratio),
            "iowait": Value(waiting, "ratio"),
            "steal": Value(stolen, "ratio"),
        },
        Table("busiest processes", ["process", "user", "cores", "command"], rows),
    )


def _measure_cpu() -> tuple[psutil._common.scputimes, float, list[list[str]]]:  # type: ignore[name-defined]
    """Return shares of the processor in per cent, our own share as a ratio, and who is busiest."""
    processes = list(_processes())
    before = {process.pid: _cpu_seconds(process) for process in processes}
    own = time.process_time()
    times = psutil.cpu_times_percent(WINDOW_SECONDS)
    own = (time.process_time() - own) / WINDOW_SECONDS / (os.cpu_count() or 1)
    used = [
        (max(_cpu_seconds(process) - before[process.pid], 0) / WINDOW_SECONDS, process)
        for process in processes
    ]
    top = heapq.nlargest(TOP, used, key=lambda pair: pair[0])
    return times, own, [_row(process, f"{cores:.2f}") for cores, process in top if cores > 0]


@check(
    "host.memory",
    "Memory",
    section=Section.HOST,
    looks_at="/proc/meminfo and each process's resident set",
    commands=(
        "free -h",
        'cat /proc/meminfo | grep -E "(MemTotal|MemFree|MemAvailable|Buffers|Cached)"',
        "ps aux --sort=-%mem | head -10",
    ),
    remedy="See who holds it (--details), restart what leaks (`chitlaq restart SERVICE`), or add memory.",
    is_heavy=True,
)
async def memory(system: SystemView) -> Outcome:
    state, swap = psutil.virtual_memory(), psutil.swap_memory()
    rows = await system.blocking(_largest_processes)
    said = f"{size(state.available)} of {size(state.total)} available"
    if swap.total:
        said += f", {share(swap.used / swap.total)} of the swap in use"
    return outcome(
        said,
        {
            "available": judged(
                state.available / state.total, "ratio", system.limits.memory_available_ratio
            ),
            "available_bytes": Value(state.available, "bytes"),
            "total_bytes": Value(state.total, "bytes"),
            "swap_used_bytes": Value(swap.used, "bytes"),
        },
        Table("largest processes", ["process", "user", "resident", "command"], rows),
    )


def _largest_processes() -> list[list[str]]:
    sizes = []
    for process in _processes():
        with suppress(psutil.Error):
            sizes.append((process.memory_info().rss, process))
    return [
        _row(process, size(rss)) for rss, process in heapq.nlargest(TOP, sizes, key=lambda p: p[0])
    ]


@check(
    "host.disk",
    "Disk space",
    section=Section.HOST,
    looks_at="every file system on a disk, the one under CHITLAQ_HOME, and what that and backups take",
    commands=("df -h", "df -i", "du -sh $CHITLAQ_HOME", "du -sh /opt/backups/chitlaq"),
    remedy="See what is large: `chitlaq ops check host.large_files`; `chitlaq ops do prune`; or grow it.",
    is_heavy=True,
)
async def disk(system: SystemView) -> Outcome:
    rows, values = [], {}
    fullest = ("", 0.0)
    for mount in await system.blocking(lambda: _mounts(system.home.root)):
        state = await system.blocking(partial(os.statvfs, mount))
        used = 1 - state.f_bavail / state.f_blocks if state.f_blocks else 0.0
        inodes = 1 - state.f_favail / state.f_files if state.f_files else 0.0
        values[f"used {mount}"] = judged(used, "ratio", system.limits.disk_used_ratio)
        values[f"inodes {mount}"] = judged(inodes, "ratio", system.limits.disk_used_ratio)
        values[f"free {mount}"] = Value(state.f_bavail * state.f_frsize, "bytes")
        free, total = state.f_bavail * state.f_frsize, state.f_blocks * state.f_frsize
        rows.append([mount, size(total), size(free), share(used), share(inodes)])
        fullest = max(fullest, (mount, max(used, inodes)), key=lambda pair: pair[1])
    if not rows:
        raise Unseen("no file system of a disk was found")
    said = f"{fullest[0]} is the fullest of {count(len(rows), 'file system')}: {share(fullest[1])}"
    folders = []
    for name, folder in (
        ("CHITLAQ_HOME", system.home.root),
        ("backups", system.settings.backup_folder(system.home)),
    ):
        bytes_, missing = await system.blocking(partial(_taken, folder))
        at_least = "at least " if missing else ""
        said += f"; {name} {at_least}{size(bytes_)}"
        values[f"taken {name}"] = Value(bytes_, "bytes")
        folders.append([name, str(folder), f"{at_least}{size(bytes_)}", missing])
    return outcome(
        said,
        values,
        Table("file systems", ["mounted at", "size", "free", "used", "inodes used"], rows),
        Table("folders", ["what", "folder", "size", "not seen"], folders),
    )


def _taken(root: Path) -> tuple[int, str]:
    """What a folder takes on its disk, each file once; and why that is not all, where it is not."""
    deadline = time.monotonic() + TAKEN_SECONDS
    total, hidden = 0, 0
    seen: set[tuple[int, int]] = set()
    waiting = [str(root)]
    while waiting:
        if time.monotonic() > deadline:
            return total, f"what {TAKEN_SECONDS:g} s did not suffice for"
        try:
            entries = list(os.scandir(waiting.pop()))
        except FileNotFoundError:
            continue  # gone while we looked, or never there: it takes nothing
        except OSError:
            hidden += 1
            continue
        for entry in entries:
            with suppress(FileNotFoundError):
                state = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif state.st_nlink > 1:
                    if (state.st_dev, state.st_ino) in seen:
                        continue
                    seen.add((state.st_dev, state.st_ino))
                total += state.st_blocks * BLOCK_BYTES
    return total, f"{count(hidden, 'folder')} that this user may not read" if hidden else ""


def _mounts(home: Path) -> list[str]:
    """Mount points, one a file system: the same device mounted twice is full once."""
    seen: dict[int, str] = {}
    existing = next(path for path in (home, *home.parents) if path.exists())
    for path in (*(part.mountpoint for part in psutil.disk_partitions(all=False)), str(existing)):
        with suppress(OSError):
            if Path(path).is_dir() and os.statvfs(path).f_blocks:
                seen.setdefault(Path(path).stat().st_dev, path)
    return sorted(seen.values())


@check(
    "host.disk_io",
    "Disk activity",
    section=Section.HOST,
    looks_at="/proc/diskstats over a second",
    commands=("iostat -x 1 5", "iotop -o"),
    remedy="See who writes: `iotop -o`; a vacuum, a backup or a report may be waited for.",
)
async def disk_io(system: SystemView) -> Outcome:
    before = await system.blocking(lambda: psutil.disk_io_counters(perdisk=True))
    if not before:
        raise NotHere("the kernel shows no disks here, as in some containers")
    await asyncio.sleep(WINDOW_SECONDS)
    after = await system.blocking(lambda: psutil.disk_io_counters(perdisk=True))
    rows, busiest = [], ("none", 0.0)
    for name, now in after.items():
        if name not in before or name.startswith(("loop", "ram")):
            continue
        was = before[name]
        busy = min((now.busy_time - was.busy_time) / 1000 / WINDOW_SECONDS, 1.0)
        busiest = max(busiest, (name, busy), key=lambda pair: pair[1])
        read = (now.read_bytes - was.read_bytes) / WINDOW_SECONDS
        written = (now.write_bytes - was.write_bytes) / WINDOW_SECONDS
        rows.append([name, share(busy), f"{size(read)}/s", f"{size(written)}/s"])
    return outcome(
        f"{busiest[0]} is the busiest disk: {share(busiest[1])} of the time",
        {"busy": judged(busiest[1], "ratio", system.limits.disk_busy_ratio)},
        Table("disks", ["disk", "busy", "read", "written"], rows),
    )


@check(
    "host.large_files",
    "Large files",
    section=Section.HOST,
    looks_at="files from 100 MB on under CHITLAQ_HOME and /var/log",
    commands=("find $CHITLAQ_HOME /var/log -type f -size +100M -exec ls -lh {} \\;",),
    remedy="Logs that grew: `chitlaq rotate`. PostgreSQL's own files (postgres/) are never deleted by hand.",
    is_heavy=True,
)
async def large_files(system: SystemView) -> Outcome:
    files = await system.blocking(lambda: _large_files([system.home.root, Path("/var/log")]))
    ours = system.home.postgres_data
    # A table's file has up to 1 GB, and as many of them as it needs: no single one is too large.
    judgeable = [bytes_ for bytes_, path in files if not path.is_relative_to(ours)]
    largest = max(judgeable, default=0)
    return outcome(
        f"{count(len(files), 'file')} from {size(LARGE_FILE_BYTES)} on",
        {
            "files": Value(len(files)),
            "largest": judged(largest, "bytes", system.limits.large_file_bytes),
        },
        Table("largest first", ["size", "file"], [[size(b), str(p)] for b, p in files[:TOP]]),
    )


def _large_files(roots: Iterable[Path]) -> list[tuple[int, Path]]:
    found, walked = [], 0
    for root in roots:
        for folder, _, names in os.walk(root):
            for name in names:
                walked += 1
                if walked > WALKED_FILES:
                    raise Unseen(f"there are more than {WALKED_FILES:,} files to look at")
                path = Path(folder, name)
                with suppress(OSError):
                    state = path.lstat()
                    if state.st_size >= LARGE_FILE_BYTES:
                        found.append((state.st_size, path))
    return sorted(found, reverse=True)


@check(
    "host.interfaces",
    "Network interfaces",
    section=Section.HOST,
    looks_at="/proc/net/dev since the machine started, and the routes of /proc/net",
    commands=("ip addr show", "ip route show", "cat /proc/net/dev"),
    remedy="Look at cable, switch port and driver: `ip -s link`, `dmesg | grep -i eth`.",
)
async def interfaces(system: SystemView) -> Outcome:
    states = await system.blocking(psutil.net_if_stats)
    counters = await system.blocking(lambda: psutil.net_io_counters(pernic=True))
    addresses = await system.blocking(psutil.net_if_addrs)
    outward = [name for name, state in states.items() if state.isup and name != "lo"]
    rows, worst_ratio = [], 0.0
    for name, state in states.items():
        seen = counters.get(name)
        packets = (seen.packets_recv + seen.packets_sent) if seen else 0
        faults = (seen.errin + seen.errout + seen.dropin + seen.dropout) if seen else 0
        if name in outward and packets > 10_000:
            worst_ratio = max(worst_ratio, faults / packets)
        own = [a.address for a in addresses.get(name, []) if a.family.name.startswith("AF_INET")]
        up = "up" if state.isup else "down"
        rows.append([name, up, ", ".join(own), f"{packets:,}", f"{faults:,}"])
    routes = await system.blocking(_routes)
    has_default = any(route[0] == "default" for route in routes)
    if not outward:
        said = "no interface leads out of this machine"
    else:
        said = (
            f"{count(len(outward), 'interface')} up, {share(worst_ratio)} of packets lost or broken"
        )
        if not has_default:
            said += "; no default route: only its own networks can be reached"
    return outcome(
        said,
        {
            "interfaces_up": Value(len(outward)),
            "errors": judged(worst_ratio, "ratio", system.limits.network_errors_ratio),
        },
        Table("interfaces", ["name", "state", "addresses", "packets", "errors and drops"], rows),
        Table("routes", ["to", "through", "interface"], routes),
        least=Verdict.OK if outward and has_default else Verdict.WARNING,
    )


def _routes() -> list[list[str]]:
    """(network, gateway, interface) of the kernel's main tables, but for the machine's own addresses.

    Raises:
        Unseen: the kernel does not show them.
    """
    try:
        four = (PROC_NET / "route").read_text().splitlines()[1:]
    except OSError as error:
        raise Unseen(f"the routes cannot be read: {error}") from None
    found = []
    for line in four:
        name, target, gateway, flags, _, _, _, mask, *_ = line.split()
        if int(flags, 16) & (ROUTE_UP | ROUTE_REJECT) == ROUTE_UP:
            network = ipaddress.IPv4Network((_address(target), str(_address(mask))))
            through = "" if gateway == "00000000" else str(_address(gateway))
            found.append([str(network), through, name])
    six = []
    with suppress(FileNotFoundError):  # a kernel without IPv6
        six = (PROC_NET / "ipv6_route").read_text().splitlines()
    for line in six:
        target, length, _, _, gateway, _, _, _, flags, name = line.split()
        if int(flags, 16) & (ROUTE_UP | ROUTE_REJECT | ROUTE_LOCAL) == ROUTE_UP:
            network6 = ipaddress.IPv6Network((bytes.fromhex(target), int(length, 16)))
            through = (
                "" if not int(gateway, 16) else str(ipaddress.IPv6Address(bytes.fromhex(gateway)))
            )
            found.append([str(network6), through, name])
    return [
        ["default" if network in {"0.0.0.0/0", "::/0"} else network, through, name]
        for network, through, name in found
    ]


def _address(word: str) -> ipaddress.IPv4Address:
    """The kernel writes it as a number of the machine's own order of bytes."""
    return ipaddress.IPv4Address(int(word, 16).to_bytes(4, sys.byteorder))


@check(
    "host.bandwidth",
    "Bandwidth",
    section=Section.HOST,
    looks_at="/proc/net/dev over a second, beside each link's speed where it is known",
    commands=("iftop -i eth0", "cat /proc/net/dev"),
    remedy="See who talks (`iftop`), and the busiest addresses: `chitlaq ops check nginx.addresses`.",
)
async def bandwidth(system: SystemView) -> Outcome:
    before = await system.blocking(lambda: psutil.net_io_counters(pernic=True))
    await asyncio.sleep(WINDOW_SECONDS)
    after = await system.blocking(lambda: psutil.net_io_counters(pernic=True))
    speeds = await system.blocking(psutil.net_if_stats)
    rows, used, received, sent = [], 0.0, 0.0, 0.0
    for name, now in after.items():
        if name == "lo" or name not in before:
            continue
        came = (now.bytes_recv - before[name].bytes_recv) / WINDOW_SECONDS
        went = (now.bytes_sent - before[name].bytes_sent) / WINDOW_SECONDS
        speed = speeds[name].speed * 1e6 / 8 if name in speeds else 0
        used = max(used, max(came, went) / speed if speed else 0.0)
        received, sent = received + came, sent + went
        rows.append(
            [name, f"{size(came)}/s", f"{size(went)}/s", f"{size(speed)}/s" if speed else "?"]
        )
    return outcome(
        f"{size(received)}/s in, {size(sent)}/s out",
        {
            "received": Value(received, "bytes"),
            "sent": Value(sent, "bytes"),
            "used": judged(used, "ratio", system.limits.network_used_ratio),
        },
        Table("interfaces", ["name", "in", "out", "speed"], rows),
    )


@check(
    "host.sockets",
    "Listening sockets",
    section=Section.HOST,
    looks_at="the kernel's tables of listening TCP sockets and of UDP sockets",
    commands=("ss -tuln",),
    remedy="Bind what is private to 127.0.0.1 (`chitlaq config show`), or close its port in the firewall.",
)
async def sockets(system: SystemView) -> Outcome:
    listening = await system.blocking(partial(_listening, "tcp"))
    datagrams = await system.blocking(partial(_listening, "udp"))
    # Ours speak TCP: who else has their numbers with UDP is no door to them.
    ours = _private_ports(system.settings)
    open_to_all = sorted(
        {ours[port] for address, port, _ in listening if port in ours and not _is_loopback(address)}
    )
    rows = [
        ["tcp", f"{address}:{port}", ours.get(port, ""), name] for address, port, name in listening
    ]
    rows += [["udp", f"{address}:{port}", "", name] for address, port, name in datagrams]
    return outcome(
        f"{', '.join(open_to_all)} can be reached from other machines"
        if open_to_all
        else f"{count(len(listening), 'socket')} listening, none of the private ones to the network;"
        f" {len(datagrams)} of UDP",
        {"listening": Value(len(listening)), "udp": Value(len(datagrams))},
        Table("sockets", ["protocol", "address", "component", "process"], rows),
        least=Verdict.CRITICAL if open_to_all else Verdict.OK,
    )


def _listening(kind: str) -> list[tuple[str, int, str]]:
    """(address, port, process where this user may know it) of each socket that waits for others."""
    found = set()
    try:
        for connection in psutil.net_connections(kind):
            if connection.status == psutil.CONN_LISTEN or (kind == "udp" and not connection.raddr):
                address, port = tuple(connection.laddr)[:2]
                name = ""
                with suppress(psutil.Error, TypeError):
                    name = psutil.Process(connection.pid).name() if connection.pid else ""
                found.add((str(address), int(str(port)), name))
    except (psutil.Error, OSError) as error:
        raise Unseen(f"this user may not see sockets: {error}") from None
    return sorted(found, key=lambda one: one[1])


def _private_ports(settings: Settings) -> dict[int, str]:
    return {settings.port_of(name): name for name in PRIVATE}


def _is_loopback(address: str) -> bool:
    return address.removeprefix("::ffff:").startswith(LOOPBACK)


@check(
    "host.reachability",
    "Reachability",
    section=Section.CHECKLIST,
    looks_at="a TCP connection to the public address, and to the hosts in checks.reachable",
    commands=("ping -c 3 YOUR-DOMAIN", "telnet YOUR-DOMAIN 443"),
    remedy="Follow the way: `ip route`, `getent hosts NAME`, the firewall, then whoever runs that host.",
)
async def reachability(system: SystemView) -> Outcome:
    wanted = [(host, Verdict.WARNING) for host in system.limits.reachable]
    if system.settings.public_url:
        url = urlsplit(system.settings.public_url)
        port = url.port or (443 if url.scheme == "https" else 80)
        wanted.insert(0, (f"{url.hostname}:{port}", Verdict.CRITICAL))
    if not wanted:
        raise NotHere("neither public_url nor checks.reachable names a host to reach")
    answers = await asyncio.gather(*(_connect(host) for host, _ in wanted))
    away = [
        (host, bad)
        for (host, bad), answer in zip(wanted, answers, strict=True)
        if answer[0] is None
    ]
    rows = [[host, answer[1]] for (host, _), answer in zip(wanted, answers, strict=True)]
    return outcome(
        f"{', '.join(host for host, _ in away)} cannot be reached"
        if away
        else f"{count(len(wanted), 'host')} answered",
        {
            f"connect {host}": Value(answer[0], "seconds")
            for (host, _), answer in zip(wanted, answers, strict=True)
            if answer[0] is not None
        },
        Table("hosts", ["host", "answer"], rows),
        least=min((bad for _, bad in away), default=Verdict.OK),
    )


async def _connect(target: str) -> tuple[float | None, str]:
    host, _, port = target.rpartition(":")
    started = time.perf_counter()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
    except (OSError, ValueError, TimeoutError, socket.gaierror) as error:
        return None, str(error) or f"no answer within {CONNECT_SECONDS:g} s"
    seconds = time.perf_counter() - started
    return seconds, f"connected in {duration(seconds)}"


@check(
    "host.clock",
    "Clock",
    section=Section.HOST,
    looks_at="node_timex_offset_seconds and node_timex_sync_status",
    commands=("timedatectl status", "chronyc tracking"),
    remedy="Start a time service: `systemctl enable --now systemd-timesyncd` (or chrony).",
)
async def clock(system: SystemView) -> Outcome:
    offset = await system.number("node_timex_offset_seconds")
    is_kept = await system.number("node_timex_sync_status") == 1
    return outcome(
        f"{duration(abs(offset))} from the reference"
        if is_kept
        else "nothing keeps this machine's clock: it may be wrong by any time",
        {"offset": judged(abs(offset), "seconds", system.limits.clock_offset_seconds)},
        least=Verdict.OK if is_kept else Verdict.WARNING,
    )


def _processes() -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            yield process


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _row(process: psutil.Process, figure: str) -> list[str]:
    try:
        user, words = process.username(), " ".join(process.cmdline()) or f"[{process.name()}]"
    except (psutil.Error, KeyError):
        user, words = "?", "(ended, or another user's)"
    width = shutil.get_terminal_size().columns
    return [str(process.pid), user, figure, words[: max(width - 40, 60)]]


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
