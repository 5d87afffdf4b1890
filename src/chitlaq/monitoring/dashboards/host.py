"""The dashboard on the host: use, saturation, errors."""

from __future__ import annotations

from chitlaq.core.host import file_systems
from chitlaq.monitoring.dashboards.model import RATE, dashboard, graph, graphs, row

_DISK = 'device!~"loop.*|ram.*"'
_WIRE = 'device!~"lo|veth.*"'

HOST = dashboard(
    "chitlaq-host",
    "ChitLaq: host (use, saturation, errors)",
    row(
        "CPU",
        graph(
            "Use",
            "sum by (mode) (rate(node_cpu_seconds_total"
            f'{{mode!="idle"}}{RATE})) / scalar(count(node_cpu_seconds_total{{mode="idle"}}))',
            "{{mode}}",
            "percentunit",
            width=12,
        ),
        graph(
            "Saturation: load per CPU",
            'node_load1 / on (instance) count by (instance) (node_cpu_seconds_total{mode="idle"})',
            "load",
            width=12,
            threshold="load_per_core",
        ),
    ),
    row(
        "Memory",
        graphs(
            "Use",
            "bytes",
            ("node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes", "used"),
            ("node_memory_MemTotal_bytes", "all"),
            ("memory_limit_bytes - memory_limit_available_bytes", "of the services' limit"),
            ("memory_limit_bytes", "limit of the services"),
            width=12,
        ),
        graph(
            "Saturation: pages swapped",
            f"rate(node_vmstat_pswpin{RATE}) + rate(node_vmstat_pswpout{RATE})",
            "pages",
            "ops",
            width=12,
        ),
    ),
    row(
        "Disks",
        graph(
            "Use: time busy",
            f"rate(node_disk_io_time_seconds_total{{{_DISK}}}{RATE})",
            "{{device}}",
            "percentunit",
            threshold="disk_busy_ratio",
        ),
        graph(
            "Saturation: requests waiting",
            f"rate(node_disk_io_time_weighted_seconds_total{{{_DISK}}}{RATE})",
            "{{device}}",
        ),
        graph(
            "Free space",
            f"node_filesystem_avail_bytes{{{file_systems.SELECTOR}}}",
            "{{mountpoint}}",
            "bytes",
        ),
        graphs(
            "Bytes",
            "Bps",
            (f"rate(node_disk_read_bytes_total{{{_DISK}}}{RATE})", "{{device}} read"),
            (f"rate(node_disk_written_bytes_total{{{_DISK}}}{RATE})", "{{device}} written"),
            width=12,
        ),
        graph(
            "Free space in 24 hours",
            f"predict_linear(node_filesystem_avail_bytes{{{file_systems.SELECTOR}}}[6h], 86400)",
            "{{mountpoint}}",
            "bytes",
            width=12,
        ),
    ),
    row(
        "Network and clock",
        graphs(
            "Use",
            "Bps",
            (f"rate(node_network_receive_bytes_total{{{_WIRE}}}{RATE})", "{{device}} in"),
            (f"rate(node_network_transmit_bytes_total{{{_WIRE}}}{RATE})", "{{device}} out"),
        ),
        graphs(
            "Errors",
            "eps",
            (f"rate(node_network_receive_errs_total{{{_WIRE}}}{RATE})", "{{device}} in"),
            (f"rate(node_network_transmit_errs_total{{{_WIRE}}}{RATE})", "{{device}} out"),
        ),
        graph(
            "Clock offset",
            "node_timex_offset_seconds",
            "offset",
            "s",
            threshold="clock_offset_seconds",
        ),
        graph("Clock synchronized", "node_timex_sync_status", "synchronized", "bool_on_off"),
        graph("Clock difference of components", "clock_difference_seconds", "{{component}}", "s"),
    ),
)
