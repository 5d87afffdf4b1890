"""The network: interfaces and routes, bandwidth, listening sockets, and hosts that must be reachable."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from chitlaq import inventory
from chitlaq.core.errors import NotApplicable, UnknownResult
from chitlaq.core.formatting import count, duration, share, size
from chitlaq.core.host import endpoints
from chitlaq.ops.checks.model import CheckOutcome, Section, Table, Value, Verdict, check, outcome
from chitlaq.ops.checks.sources.system import SystemView

WINDOW_SECONDS = 1.0

CONNECT_SECONDS = 2.0
PROC_NET = Path("/proc/net")
# linux/route.h
ROUTE_UP, ROUTE_REJECT, ROUTE_LOCAL = 0x1, 0x200, 0x80000000
LOOPBACK = ("127.", "::1")
PRIVATE = tuple(row.name for row in inventory.BY_PORT if not row.is_for_members)
"""Components that must not be reachable from other machines: they trust every client, or hold all data."""


@check(
    "host.interfaces",
    "Network interfaces",
    section=Section.HOST,
    looks_at="/proc/net/dev since boot, and the routing tables in /proc/net",
    commands=("ip addr show", "ip route show", "cat /proc/net/dev"),
    remedy="Check the cable, the switch port and the driver: `ip -s link`, `dmesg | grep -i eth`.",
)
async def interfaces(system: SystemView) -> CheckOutcome:
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
        said = "no interface but loopback is up"
    else:
        said = (
            f"{count(len(outward), 'interface')} up, {share(worst_ratio)} of packets lost or faulty"
        )
        if not has_default:
            said += "; no default route, so only local networks are reachable"
    return outcome(
        said,
        {
            "interfaces_up": Value(len(outward)),
            "errors": Value(worst_ratio, "ratio", *system.thresholds.network_errors_ratio),
        },
        Table("interfaces", ["name", "state", "addresses", "packets", "errors and drops"], rows),
        Table("routes", ["to", "via", "interface"], routes),
        least=Verdict.OK if outward and has_default else Verdict.WARNING,
    )


def _routes() -> list[list[str]]:
    """Return (network, gateway, interface) of the kernel's main tables, without local addresses.

    Raises:
        UnknownResult: the kernel does not list them.
    """
    try:
        four = (PROC_NET / "route").read_text().splitlines()[1:]
    except OSError as error:
        raise UnknownResult(f"the routes cannot be read: {error}") from None
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
    """Parse an address as the kernel prints it: a number in the machine's byte order."""
    return ipaddress.IPv4Address(int(word, 16).to_bytes(4, sys.byteorder))


@check(
    "host.bandwidth",
    "Bandwidth",
    section=Section.HOST,
    looks_at="/proc/net/dev, for one second, relative to each link's speed if it is known",
    commands=("iftop -i eth0", "cat /proc/net/dev"),
    remedy="Find the top talkers (`iftop`) and the busiest addresses (`chitlaq ops check nginx.addresses`).",
)
async def bandwidth(system: SystemView) -> CheckOutcome:
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
            "used": Value(used, "ratio", *system.thresholds.network_used_ratio),
        },
        Table("interfaces", ["name", "in", "out", "speed"], rows),
    )


@check(
    "host.sockets",
    "Listening sockets",
    section=Section.HOST,
    looks_at="the kernel's tables of listening TCP sockets and of UDP sockets",
    commands=("ss -tuln",),
    remedy="Bind private ports to 127.0.0.1 (`chitlaq config show`), or close them in the firewall.",
)
async def sockets(system: SystemView) -> CheckOutcome:
    listening = await system.blocking(partial(_listening, "tcp"))
    datagrams = await system.blocking(partial(_listening, "udp"))
    # Our components speak TCP; the same port number over UDP does not lead to them.
    ours = {system.settings.port_of(name): name for name in PRIVATE}
    open_to_all = sorted(
        {ours[port] for address, port, _ in listening if port in ours and not _is_loopback(address)}
    )
    # Listening to all, an optional port is another program's: ours listen on loopback only.
    also = {system.settings.optional_port_of(name): name for name in PRIVATE}
    rows = [
        [
            "tcp",
            endpoints.written(address, port),
            (ours | also if _is_loopback(address) else ours).get(port, ""),
            name,
        ]
        for address, port, name in listening
    ]
    rows += [
        ["udp", endpoints.written(address, port), "", name] for address, port, name in datagrams
    ]
    return outcome(
        f"{', '.join(open_to_all)} can be reached from other machines"
        if open_to_all
        else f"{count(len(listening), 'TCP socket')} listening, no private one exposed; {len(datagrams)} UDP",
        {"listening": Value(len(listening)), "udp": Value(len(datagrams))},
        Table("sockets", ["protocol", "address", "component", "process"], rows),
        least=Verdict.CRITICAL if open_to_all else Verdict.OK,
    )


def _listening(kind: str) -> list[tuple[str, int, str]]:
    """Return (address, port, process if this user may see it) of each listening socket."""
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
        raise UnknownResult(f"this user cannot list sockets: {error}") from None
    return sorted(found, key=lambda one: one[1])


def _is_loopback(address: str) -> bool:
    return address.removeprefix("::ffff:").startswith(LOOPBACK)


@check(
    "host.reachability",
    "Reachability",
    section=Section.CHECKLIST,
    looks_at="a TCP connection to the public address and to each host in checks.reachable",
    commands=("ping -c 3 YOUR-DOMAIN", "telnet YOUR-DOMAIN 443"),
    remedy="Check the path: `ip route`, `getent hosts NAME`, the firewall, then ask that host's operator.",
    is_timed=True,
)
async def reachability(system: SystemView) -> CheckOutcome:
    wanted = [(host, Verdict.WARNING) for host in system.thresholds.reachable]
    if system.settings.public_url:
        url = urlsplit(system.settings.public_url)
        port = url.port or (443 if url.scheme == "https" else 80)
        wanted.insert(0, (endpoints.written(str(url.hostname), port), Verdict.CRITICAL))
    if not wanted:
        raise NotApplicable("neither public_url nor checks.reachable names a host")
    answers = await asyncio.gather(*(_connect(host) for host, _ in wanted))
    away = [
        (host, bad)
        for (host, bad), answer in zip(wanted, answers, strict=True)
        if answer[0] is None
    ]
    rows = [[host, answer[1]] for (host, _), answer in zip(wanted, answers, strict=True)]
    return outcome(
        f"cannot connect to {', '.join(host for host, _ in away)}"
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
    started = time.perf_counter()
    try:
        host, port = endpoints.parsed(target)
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
        writer.close()
    except (OSError, ValueError, TimeoutError, socket.gaierror) as error:
        return None, str(error) or f"no answer within {CONNECT_SECONDS:g} s"
    seconds = time.perf_counter() - started
    return seconds, f"connected in {duration(seconds)}"
