"""Dashboards use only existing metrics, and Grafana gets what was declared."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import msgspec
import pytest

from chitlaq.cli.metrics import declared_metrics
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.monitoring.alerts import registry, slos
from chitlaq.monitoring.dashboards.all_dashboards import DASHBOARDS
from chitlaq.monitoring.dashboards.model import Panel
from chitlaq.stack.install import preflight

KNOWN = {
    # Prometheus's own.
    "up",
    "ALERTS",
    *(entry.name for entry in declared_metrics()),
    *(
        f"{entry.name}_{part}"
        for entry in declared_metrics()
        if entry.kind == "histogram"
        for part in ("bucket", "count", "sum")
    ),
    *(rule["record"] for rule in slos.recording_rules()),
}
OF_A_SITE = ("patroni_", "etcd_")
"""Metrics of others, as node-exporter's are: test_watching.py compares them with a site's."""
_WORDS = {"and", "or", "unless", "offset", "bool", "NaN"}

PANELS = [
    pytest.param(panel, id=f"{dashboard.uid}: {panel.title}")
    for dashboard in DASHBOARDS
    for panel in dashboard.panels
]


def metrics_of(expr: str) -> set[str]:
    """The names of metrics in an expression: words other than functions, labels, ranges and numbers."""
    bare = re.sub(r'"[^"]*"', "", expr)
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]", " ", bare)
    bare = re.sub(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    bare = re.sub(r"\boffset\s+\w+", " ", bare)
    found = re.findall(r"(?<![\w.:])[A-Za-z_][\w:]*(?!\s*\(|[\w:])", bare)
    return set(found) - _WORDS


def unknown(expr: str) -> set[str]:
    others = ("node_", *OF_A_SITE)
    return {one for one in metrics_of(expr) if one not in KNOWN and not one.startswith(others)}


def test_metric_names_are_found_in_expressions() -> None:
    expr = 'sum by (le) (rate(a_bucket{x="up[5m]"}[5m])) / on (x) b > 1e9 and slo:c:d offset 3h'
    assert metrics_of(expr) == {"a_bucket", "b", "slo:c:d"}
    assert unknown("rate(invented_total[5m])") == {"invented_total"}


@pytest.mark.parametrize("panel", PANELS)
def test_each_panel_has_a_title_and_uses_existing_metrics(panel: Panel) -> None:
    assert panel.title
    assert panel.unit
    assert panel.queries
    assert 0 < panel.width <= 24
    for query in panel.queries:
        assert query.legend
        assert not unknown(query.expr)


def test_rules_use_only_existing_metrics() -> None:
    document = msgspec.json.decode(registry.rule_groups())
    for group in document["groups"]:
        for rule in group["rules"]:
            assert not unknown(rule["expr"]), rule


def test_prometheus_parses_each_panel(promtool: str, tmp_path: Path) -> None:
    """The expressions as recording rules, since promtool checks those without a server."""
    asked = [
        {"record": f"panel:{number}", "expr": query.expr.replace("$__rate_interval", "5m")}
        for number, query in enumerate(
            query
            for dashboard in DASHBOARDS
            for panel in dashboard.panels
            for query in panel.queries
        )
    ]
    path = tmp_path / "panels.yml"
    path.write_bytes(msgspec.json.encode({"groups": [{"name": "panels", "rules": asked}]}))
    done = subprocess.run(
        [promtool, "check", "rules", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("title", "series"),
    [
        ("Scrape jobs down", 'up{job="%s"}'),
        ("Components down", 'component_up{component="%s"}'),
    ],
)
def test_number_of_down_components_is_absent_if_unknown(
    title: str, series: str, promtool: str, tmp_path: Path
) -> None:
    (expr,) = [
        panel.queries[0].expr
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        if panel.title == title
    ]

    def case(*states: int) -> dict[str, object]:
        return {
            "input_series": [
                {"series": series % number, "values": f"{state}"}
                for number, state in enumerate(states)
            ],
            "promql_expr_test": [
                {
                    "expr": expr,
                    "eval_time": "0m",
                    "exp_samples": ([{"labels": "{}", "value": states.count(0)}] if states else []),
                }
            ],
        }

    path = tmp_path / "tests.yml"
    path.write_bytes(
        msgspec.json.encode({"rule_files": [], "tests": [case(), case(1, 1), case(0, 1, 0)]})
    )
    done = subprocess.run(
        [promtool, "test", "rules", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_grafana_gets_every_panel_once_and_in_its_place() -> None:
    pytest.importorskip("grafana_foundation_sdk", reason="grafana-foundation-sdk is not installed")
    from chitlaq.monitoring.dashboards.rendering import provisioning, render

    rendered = {name: json.loads(text) for name, text in render().items()}
    assert list(rendered) == [f"{dashboard.uid}.json" for dashboard in DASHBOARDS]
    written = provisioning(Path("/etc/grafana/provisioning"), "http://localhost:9090")
    (source,) = json.loads(written["datasources/chitlaq.yaml"])["datasources"]
    (provider,) = json.loads(written["dashboards/chitlaq.yaml"])["providers"]
    assert {f"dashboards/chitlaq/{name}" for name in rendered} <= written.keys()
    assert provider["options"]["path"] == "/etc/grafana/provisioning/dashboards/chitlaq"
    assert source["url"] == "http://localhost:9090"
    for declared in DASHBOARDS:
        document = rendered[f"{declared.uid}.json"]
        assert (document["uid"], document["title"]) == (declared.uid, declared.title)
        drawn = [panel for panel in document["panels"] if panel["type"] != "row"]
        assert [panel["title"] for panel in drawn] == [panel.title for panel in declared.panels]
        for panel, one in zip(drawn, declared.panels, strict=True):
            assert panel["type"] == one.kind
            assert panel["fieldConfig"]["defaults"]["unit"] == one.unit
            assert panel["datasource"]["uid"] == source["uid"]
            assert [target["expr"] for target in panel["targets"]] == [
                query.expr for query in one.queries
            ]
        taken = [
            (column, line)
            for panel in document["panels"]
            for place in [panel["gridPos"]]
            for column in range(place["x"], place["x"] + place["w"])
            for line in range(place["y"], place["y"] + place["h"])
        ]
        assert len(taken) == len(set(taken)), "no panel lies on another"
        assert all(column < 24 for column, _ in taken)
        numbers = [panel["id"] for panel in document["panels"]]
        assert len(numbers) == len(set(numbers))


def test_doctor_finds_a_grafana_and_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> preflight.Finding:
        findings = preflight.observers(Home(tmp_path), Settings())
        return next(finding for finding in findings if finding.name == "grafana")

    monkeypatch.setattr(preflight, "GRAFANA_PROVISIONING", tmp_path / "provisioning")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found().state == "ok"
    assert found().detail.startswith("not installed")
    (tmp_path / "grafana-server").write_text("#!/bin/sh\n")
    (tmp_path / "grafana-server").chmod(0o755)
    assert found().state == "unknown"
    assert "`chitlaq config grafana FOLDER`" in found().detail
    (tmp_path / "provisioning").mkdir()
    assert f"`chitlaq config grafana {tmp_path / 'provisioning'}`" in found().detail
    (tmp_path / "provisioning" / "dashboards" / "chitlaq").mkdir(parents=True)
    assert found().state == "ok"
