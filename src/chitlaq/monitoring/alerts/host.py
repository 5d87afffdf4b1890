"""Alerts on the machine: room, memory, processors, clock."""

from __future__ import annotations

from chitlaq.monitoring.alerts.alert import Alert, Series, Unseen, fires, rising, silent, steady

_GIGABYTE = 1e9
_AT = 'device="/dev/sda1",fstype="ext4",mountpoint="/"'
_LABELS = {"device": "/dev/sda1", "fstype": "ext4", "mountpoint": "/"}

# What lives in memory or cannot be written to has no room to run out of. "overlay" stays: in a
# container it is the only disk there is.
_DISKS = 'fstype!~"tmpfs|devtmpfs|ramfs|squashfs|iso9660|nsfs|fuse.*"'
_SEEN_BY_NODE = Unseen(("node_filesystem_avail_bytes",), "node")


def _less_left_than(share: float) -> str:
    return (
        f"node_filesystem_avail_bytes{{{_DISKS}}} / node_filesystem_size_bytes{{{_DISKS}}} < {share}"
        " and node_filesystem_readonly == 0"
    )


def _disk(available: float, kind: str = "ext4", *, readonly: bool = False) -> tuple[Series, ...]:
    """A disk of 100 GB with this much room, in GB."""
    at = _AT.replace("ext4", kind)
    return (
        steady(f"node_filesystem_avail_bytes{{{at}}}", available * _GIGABYTE),
        steady(f"node_filesystem_size_bytes{{{at}}}", 100 * _GIGABYTE),
        steady(f"node_filesystem_readonly{{{at}}}", float(readonly)),
    )


def _filling(start: float, step: float) -> tuple[Series, ...]:
    """The disk over ten hours, with so many GB left at first and so many more each minute."""
    return (
        rising(f"node_filesystem_avail_bytes{{{_AT}}}", step * _GIGABYTE, 600, start * _GIGABYTE),
        steady(f"node_filesystem_size_bytes{{{_AT}}}", 100 * _GIGABYTE, 600),
        steady(f"node_filesystem_readonly{{{_AT}}}", 0, 600),
    )


def _memory(share: float) -> tuple[Series, ...]:
    return (
        steady("node_memory_MemAvailable_bytes", share * 8 * _GIGABYTE),
        steady("node_memory_MemTotal_bytes", 8 * _GIGABYTE),
    )


def alerts() -> list[Alert]:
    return [*_disk_alerts(), *_memory_alerts(), *_other_alerts()]


def _disk_alerts() -> list[Alert]:
    return [
        Alert(
            name="DiskAlmostFull",
            expr=_less_left_than(0.05),
            for_="2m",
            severity="P0",
            summary="{{ $labels.mountpoint }} has {{ $value | humanizePercentage }} left: writes"
            " will fail soon.",
            procedure="Disk Cleanup",
            family="DiskLow",
            cases=(
                fires(
                    *_disk(4),
                    labels=_LABELS,
                    summary="/ has 4% left: writes will fail soon.",
                ),
                silent(*_disk(6)),
            ),
            unseen=_SEEN_BY_NODE,
        ),
        Alert(
            name="DiskLow",
            expr=_less_left_than(0.1),
            for_="10m",
            severity="P2",
            summary="{{ $labels.mountpoint }} has {{ $value | humanizePercentage }} left.",
            procedure="Disk Monitoring",
            cases=(
                fires(*_disk(8), labels=_LABELS, summary="/ has 8% left."),
                silent(*_disk(12)),
                silent(*_disk(0, "tmpfs")),
                silent(*_disk(0, readonly=True)),
            ),
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
            summary="{{ $labels.mountpoint }} will be full within 24 hours if it goes on filling as"
            " in the last six.",
            procedure="Capacity Planning",
            cases=(
                fires(
                    *_filling(40, -0.03),
                    labels=_LABELS,
                    summary="/ will be full within 24 hours if it goes on filling as in the last"
                    " six.",
                    at="9h",
                ),
                silent(*_filling(40, -0.005), at="9h"),
                silent(*_filling(95, -0.07), at="9h"),
                silent(*_filling(40, -0.03), at="2h"),
            ),
        ),
        Alert(
            name="InodesLow",
            expr=(
                f"node_filesystem_files_free{{{_DISKS}}} / node_filesystem_files{{{_DISKS}}} < 0.1"
            ),
            for_="10m",
            severity="P2",
            summary="{{ $labels.mountpoint }} has {{ $value | humanizePercentage }} of its inodes"
            " left: soon no file can be made, however much room there is.",
            procedure="Disk Monitoring",
            cases=(
                fires(
                    steady(f"node_filesystem_files_free{{{_AT}}}", 5_000),
                    steady(f"node_filesystem_files{{{_AT}}}", 100_000),
                    labels=_LABELS,
                    summary="/ has 5% of its inodes left: soon no file can be made, however much"
                    " room there is.",
                ),
                # Some file systems have no fixed number of them, and say 0 of 0.
                silent(
                    steady(f"node_filesystem_files_free{{{_AT}}}", 0),
                    steady(f"node_filesystem_files{{{_AT}}}", 0),
                ),
            ),
        ),
    ]


def _memory_alerts() -> list[Alert]:
    share = "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"
    return [
        Alert(
            name="MemoryExhausted",
            expr=f"{share} < 0.04",
            for_="2m",
            severity="P1",
            summary="{{ $value | humanizePercentage }} of the memory is available: the kernel will"
            " soon kill something.",
            procedure="Memory Monitoring",
            family="MemoryLow",
            cases=(
                fires(
                    *_memory(0.03),
                    summary="3% of the memory is available: the kernel will soon kill something.",
                ),
                silent(*_memory(0.05)),
            ),
        ),
        Alert(
            name="MemoryLow",
            expr=f"{share} < 0.1",
            for_="10m",
            severity="P2",
            summary="{{ $value | humanizePercentage }} of the memory is available.",
            procedure="Memory Monitoring",
            cases=(
                fires(*_memory(0.08), summary="8% of the memory is available."),
                silent(*_memory(0.5)),
            ),
            unseen=Unseen(("node_memory_MemAvailable_bytes",), "node"),
        ),
    ]


def _other_alerts() -> list[Alert]:
    return [
        Alert(
            name="ProcessorsBusy",
            expr='1 - avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m])) > 0.95',
            for_="30m",
            severity="P3",
            summary="All processors have been {{ $value | humanizePercentage }} busy for half an"
            " hour.",
            procedure="CPU Monitoring",
            cases=(
                fires(
                    rising('node_cpu_seconds_total{cpu="0",mode="idle"}', 0),
                    summary="All processors have been 100% busy for half an hour.",
                    at="50m",
                ),
                silent(rising('node_cpu_seconds_total{cpu="0",mode="idle"}', 30), at="50m"),
            ),
        ),
        Alert(
            name="ClockWrong",
            # Where no time service tells the kernel, it says 0: ClockUnkept is for that.
            expr="abs(node_timex_offset_seconds) > 0.05",
            for_="10m",
            severity="P2",
            summary="The clock is off by {{ $value | humanizeDuration }}: one-time passwords and"
            " tokens will be refused.",
            procedure="System Health Overview",
            cases=(
                fires(
                    steady("node_timex_offset_seconds", -0.5),
                    summary="The clock is off by 500ms: one-time passwords and tokens will be"
                    " refused.",
                ),
                silent(steady("node_timex_offset_seconds", 0.01)),
            ),
        ),
        Alert(
            name="ClockUnkept",
            expr="node_timex_sync_status == 0",
            for_="1h",
            severity="P3",
            summary="No time service keeps the clock, or none that the kernel knows of: how far it is"
            " off cannot be known.",
            procedure="System Health Overview",
            family="ClockWrong",
            cases=(
                fires(
                    steady("node_timex_sync_status", 0, 120),
                    steady("node_timex_offset_seconds", 0, 120),
                    summary="No time service keeps the clock, or none that the kernel knows of: how far"
                    " it is off cannot be known.",
                    at="90m",
                ),
                silent(steady("node_timex_sync_status", 1, 120), at="90m"),
            ),
            unseen=Unseen(("node_timex_sync_status",), "node"),
        ),
        Alert(
            name="DatabaseClockDiffers",
            expr="abs(clock_difference_seconds) > 1",
            for_="10m",
            severity="P2",
            summary="The clock of {{ $labels.component }} differs from ours by"
            " {{ $value | humanizeDuration }}: sessions and codes end too early or too late.",
            procedure="System Health Overview",
            family="ClockWrong",
            cases=(
                fires(
                    steady('clock_difference_seconds{component="postgres"}', -90),
                    labels={"component": "postgres"},
                    summary="The clock of postgres differs from ours by 1m 30s: sessions and codes end"
                    " too early or too late.",
                ),
                silent(steady('clock_difference_seconds{component="postgres"}', 0.2)),
            ),
            unseen=Unseen(('clock_difference_seconds{component="postgres"}',), "postgres"),
        ),
    ]
