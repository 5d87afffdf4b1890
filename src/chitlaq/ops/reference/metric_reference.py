"""The reference of all metrics: meaning, unit, labels, and who exports them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType

import msgspec
from prometheus_client.metrics import MetricWrapperBase

from chitlaq.monitoring.exporter.exported_metrics import FAMILIES

UNITS = {"seconds": "seconds", "bytes": "bytes", "ratio": "ratio, 0 to 1"}

HEAD = """\
# Metrics

Every metric that ChitLaq serves, with its unit, its labels and where it is used. `chitlaq metrics`
prints this page from the code; a test compares the two. Units are base units; a histogram has
`_bucket`, `_sum` and `_count`. node-exporter adds the host's (`node_…`), Prometheus and Alertmanager
their own.
"""


class MetricEntry(msgspec.Struct, frozen=True):
    """One metric as PromQL names it; ``kept_by`` is a service, or ``every service``."""

    name: str
    kind: str
    unit: str
    labels: tuple[str, ...]
    meaning: str
    kept_by: str


def entries(modules: Mapping[str, Sequence[ModuleType]]) -> list[MetricEntry]:
    """Return all metrics, by name.

    Args:
        modules: the modules that declare metrics, by who keeps them.
    """
    found = [
        _entry(family.name, family.kind, family.labels, family.help, "ops-service")
        for family in FAMILIES
    ]
    for keeper, module in ((keeper, one) for keeper, own in modules.items() for one in own):
        for declared in vars(module).values():
            # A series of a metric, kept so that it is not looked up, is no metric of its own.
            if isinstance(declared, MetricWrapperBase) and not declared._labelvalues:
                (described,) = declared.describe()
                found.append(
                    _entry(
                        described.name,
                        described.type,
                        tuple(declared._labelnames),
                        described.documentation,
                        keeper,
                    )
                )
    return sorted(found, key=lambda entry: entry.name)


def page(found: Iterable[MetricEntry], used: Mapping[str, Sequence[str]]) -> str:
    """Return the page in Markdown.

    Args:
        found: the metrics.
        used: for each metric's name the alerts, dashboards and checks that ask for it.
    """
    lines = [
        HEAD,
        "| metric | kind | unit | labels | meaning | kept by | used in |",
        "|---|---|---|---|---|---|---|",
    ]
    for entry in found:
        labels = ", ".join(f"`{label}`" for label in entry.labels)
        where = ", ".join(used.get(entry.name, ()))
        lines.append(
            f"| `{entry.name}` | {entry.kind} | {entry.unit} | {labels} | {entry.meaning}"
            f" | {entry.kept_by} | {where} |"
        )
    return "\n".join(lines) + "\n"


def _entry(name: str, kind: str, labels: tuple[str, ...], meaning: str, keeper: str) -> MetricEntry:
    full = f"{name}_total" if kind == "counter" and not name.endswith("_total") else name
    last = name.removesuffix("_total").rpartition("_")[2]
    return MetricEntry(full, kind, UNITS.get(last, "number"), labels, meaning, keeper)
