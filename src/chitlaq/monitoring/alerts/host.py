"""Alerts on the machine: disk, memory, CPU, clock."""

from __future__ import annotations

from chitlaq.core.host import file_systems
from chitlaq.monitoring.alerts.alert import (
    Alert,
    Case,
    InputSeries,
    above,
    absent,
    fires,
    rising,
    silent,
    steady,
    zero,
)

_GIGABYTE = 1e9
_ROOT = {"device": "/dev/sda1", "fstype": "ext4", "mountpoint": "/"}

_DISKS = file_systems.SELECTOR


def _less_left_than(share: float) -> str:
    return (
        f"node_filesystem_avail_bytes{{{_DISKS}}} / node_filesystem_size_bytes{{{_DISKS}}} < {share}"
        " and node_filesystem_readonly == 0"
    )


def _filesystem(metric: str, fstype: str = "ext4") -> str:
    return f'node_filesystem_{metric}{{device="/dev/sda1",fstype="{fstype}",mountpoint="/"}}'


def _disk(
    available: float, fstype: str = "ext4", *, change: float = 0, readonly: bool = False
) -> tuple[InputSeries, ...]:
    """A disk of 100 GB with this many GB free at first, and this many more each minute."""
    free = _filesystem("avail_bytes", fstype)
    return (
        rising(free, change * _GIGABYTE, available * _GIGABYTE),
        steady(_filesystem("size_bytes", fstype), 100 * _GIGABYTE),
        steady(_filesystem("readonly", fstype), float(readonly)),
    )


def _inodes(free: float, total: float) -> tuple[InputSeries, ...]:
    return steady(_filesystem("files_free"), free), steady(_filesystem("files"), total)


def _memory(share: float) -> tuple[InputSeries, ...]:
    return (
        steady("node_memory_MemAvailable_bytes", share * 8 * _GIGABYTE),
        steady("node_memory_MemTotal_bytes", 8 * _GIGABYTE),
    )


_SHARE = (
    "(node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"
    " or memory_limit_available_bytes / memory_limit_bytes)"
)


def _group(share: float) -> tuple[Case, ...]:
    """In a control group with little left, on a machine with much."""
    limit = (
        steady('memory_limit_available_bytes{job="ops-service"}', share * _GIGABYTE),
        steady('memory_limit_bytes{job="ops-service"}', _GIGABYTE),
    )
    return (fires(*_memory(0.5), *limit, value=f"{100 * share:.2g}%", job="ops-service"),)


_IDLE = 'node_cpu_seconds_total{cpu="0",mode="idle"}'
_DIFFERENCE = 'clock_difference_seconds{component="postgres"}'

ALERTS = (
    Alert(
        name="DiskAlmostFull",
        expr=_less_left_than(0.05),
        for_="1m",
        severity="P0",
        summary="{{ $labels.mountpoint }} has {{ $value | humanizePercentage }} free: writes will"
        " fail soon.",
        procedure="Disk Cleanup",
        family="DiskLow",
        cases=(fires(*_disk(4.9), value="4.9%", **_ROOT), silent(*_disk(5))),
        absence=absent("node_filesystem_avail_bytes", through="node"),
    ),
    Alert(
        name="DiskLow",
        expr=_less_left_than(0.1),
        for_="10m",
        severity="P2",
        summary="{{ $labels.mountpoint }} has {{ $value | humanizePercentage }} free.",
        procedure="Disk Monitoring",
        cases=(
            fires(*_disk(9.9), value="9.9%", **_ROOT),
            silent(*_disk(10)),
            silent(*_disk(0, "tmpfs")),
            silent(*_disk(0, readonly=True)),
        ),
    ),
    Alert(
        name="DiskSlow",
        expr="quantile_over_time(0.5, disk_sync_seconds[1m]) > 0.5",
        for_="1m",
        severity="P1",
        summary="The disk takes {{ $value | humanizeDuration }} to write a page for good, and whatever"
        " members do waits for it: `chitlaq ops check host.disk_sync host.disk_io`.",
        procedure="Disk Monitoring",
        cases=above("disk_sync_seconds", 0.5, "550ms"),
        absence=absent("disk_sync_seconds", through="ops-service"),
    ),
    Alert(
        name="DiskFillsWithinDay",
        expr=(
            f"predict_linear(node_filesystem_avail_bytes{{{_DISKS}}}[6h], 86400) < 0"
            # A download on an empty disk is no trend, nor are the first minutes after a start.
            f" and node_filesystem_avail_bytes{{{_DISKS}}}"
            f" / node_filesystem_size_bytes{{{_DISKS}}} < 0.5"
            f" and node_filesystem_avail_bytes{{{_DISKS}}} offset 3h >= 0"
            " and node_filesystem_readonly == 0"
        ),
        for_="1h",
        severity="P2",
        summary="{{ $labels.mountpoint }} will be full within 24 hours at the rate of the last six.",
        procedure="Capacity Planning",
        cases=(
            fires(*_disk(40, change=-0.03), at="9h", **_ROOT),
            silent(*_disk(40, change=-0.005), at="9h"),
            silent(*_disk(95, change=-0.07), at="9h"),
            silent(*_disk(40, change=-0.03), at="2h"),
        ),
    ),
    Alert(
        name="InodesLow",
        expr=(f"node_filesystem_files_free{{{_DISKS}}} / node_filesystem_files{{{_DISKS}}} < 0.1"),
        for_="10m",
        severity="P2",
        summary="{{ $labels.mountpoint }} has {{ $value | humanizePercentage }} of its inodes free:"
        " soon no file can be created, however much space is left.",
        procedure="Disk Monitoring",
        cases=(
            fires(*_inodes(9_900, 100_000), value="9.9%", **_ROOT),
            silent(*_inodes(10_000, 100_000)),
            # Some file systems have no fixed number of inodes, and report 0 of 0.
            silent(*_inodes(0, 0)),
        ),
    ),
    Alert(
        name="MemoryExhausted",
        expr=f"{_SHARE} < 0.04",
        for_="2m",
        severity="P1",
        summary="{{ $value | humanizePercentage }} of memory is available: the kernel will soon"
        " kill a process.",
        procedure="Memory Monitoring",
        family="MemoryLow",
        cases=(fires(*_memory(0.039), value="3.9%"), silent(*_memory(0.04)), *_group(0.039)),
    ),
    Alert(
        name="MemoryLow",
        expr=f"{_SHARE} < 0.1",
        for_="10m",
        severity="P2",
        summary="{{ $value | humanizePercentage }} of memory is available.",
        procedure="Memory Monitoring",
        cases=(fires(*_memory(0.099), value="9.9%"), silent(*_memory(0.1))),
        absence=absent("node_memory_MemAvailable_bytes", through="node"),
    ),
    Alert(
        name="ProcessorsBusy",
        expr='1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[4m])) > 0.95',
        for_="30m",
        severity="P3",
        summary="The CPUs have been {{ $value | humanizePercentage }} busy for half an hour.",
        procedure="CPU Monitoring",
        cases=(fires(rising(_IDLE, 2.4), value="96%"), silent(rising(_IDLE, 3.6))),
    ),
    Alert(
        name="ClockWrong",
        # 0 where no time service tells the kernel the offset: ClockUnkept covers that.
        expr="abs(node_timex_offset_seconds) > 0.05",
        for_="10m",
        severity="P2",
        summary="The clock is off by {{ $value | humanizeDuration }}: one-time passwords and tokens"
        " will be rejected.",
        procedure="System Health Overview",
        cases=(
            fires(steady("node_timex_offset_seconds", -0.06), value="60ms"),
            silent(steady("node_timex_offset_seconds", 0.05)),
        ),
    ),
    Alert(
        name="ClockFarOff",
        # The kernel tells of no more than half a second.
        expr="abs(node_timex_offset_seconds) > 0.4",
        for_="1m",
        severity="P1",
        summary="The clock is off by {{ $value | humanizeDuration }} or more: one-time passwords and tokens"
        " are rejected, and certificates seem to have ended.",
        procedure="System Health Overview",
        family="ClockWrong",
        cases=(
            fires(steady("node_timex_offset_seconds", -0.5), value="500ms"),
            silent(steady("node_timex_offset_seconds", 0.4)),
        ),
    ),
    Alert(
        name="ClockUnkept",
        expr="node_timex_sync_status == 0",
        for_="1h",
        severity="P3",
        summary="No time service synchronizes the clock, or the kernel knows of none: the clock's"
        " offset is unknown.",
        procedure="System Health Overview",
        family="ClockWrong",
        cases=zero("node_timex_sync_status"),
        absence=absent("node_timex_sync_status", through="node"),
    ),
    Alert(
        name="DatabaseClockDiffers",
        expr="abs(clock_difference_seconds) > 1",
        for_="1m",
        severity="P2",
        summary="The clock of {{ $labels.component }} differs from ours by"
        " {{ $value | humanizeDuration }}: sessions and codes expire too early or too late.",
        procedure="System Health Overview",
        family="ClockWrong",
        cases=(
            fires(steady(_DIFFERENCE, -90), value="1m 30s", component="postgres"),
            silent(steady(_DIFFERENCE, 1)),
        ),
        absence=absent(_DIFFERENCE, through="postgres"),
    ),
)
