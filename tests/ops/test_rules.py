"""Every alert fires when it should and keeps silent when it should: Prometheus's own tools say so."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import msgspec
import pytest

from chitlaq.ops.alerts import cases, routing, rules, slos
from chitlaq.ops.alerts.alert import Alert, fires, silent, steady

PAGE = Path(__file__).parents[2] / "docs" / "alerts.md"
SERIES = steady("up", 0)


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alert(**changes: object) -> Alert:
    given = {
        "name": "Down",
        "expr": "up == 0",
        "for_": "1m",
        "severity": "P1",
        "summary": "It is down.",
        "procedure": "Service Outage Response",
        "cases": (fires(SERIES, summary="It is down."), silent()),
        **changes,
    }
    return Alert(**given)


def test_prometheus_reads_the_rules(promtool: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_bytes(rules.rule_groups())
    said = run(promtool, "check", "rules", path)
    count = len(rules.alerts()) + len(slos.recording_rules())
    assert f"{count} rules found" in said


@pytest.mark.parametrize("group", rules.groups())
def test_each_alert_fires_and_keeps_silent_as_declared(
    group: str, promtool: str, tmp_path: Path
) -> None:
    (tmp_path / "rules.yml").write_bytes(rules.rule_groups(only=group))
    (tmp_path / "tests.yml").write_bytes(cases.test_file("rules.yml", group))
    run(promtool, "test", "rules", tmp_path / "tests.yml")


def test_case_that_is_wrong_is_noticed(promtool: str, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_bytes(rules.rule_groups(only="components"))
    document = msgspec.json.decode(cases.test_file("rules.yml", "components"))
    silenced = next(test for test in document["tests"] if test["name"] == "DatabaseDown is silent")
    silenced["input_series"][0]["values"] = "0+0x60"
    (tmp_path / "tests.yml").write_bytes(msgspec.json.encode(document))
    with pytest.raises(AssertionError, match="DatabaseDown"):
        run(promtool, "test", "rules", tmp_path / "tests.yml")


def test_alertmanager_reads_the_routes(amtool: str, tmp_path: Path) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_bytes(
        routing.alertmanager_config("http://127.0.0.1:3006/alerts", str(tmp_path / "token"))
    )
    assert "SUCCESS" in run(amtool, "check-config", path)
    for labels in ("severity=P0", "severity=P3", "alertname=Watchdog", "severity=unheard-of"):
        said = run(amtool, "config", "routes", "test", f"--config.file={path}", labels)
        assert said.strip() == routing.RECEIVER


@pytest.mark.parametrize("declared", rules.alerts(), ids=lambda declared: declared.name)
def test_each_alert_says_what_it_means_and_what_to_do(declared: Alert) -> None:
    assert declared.severity in {*routing.REPEAT, "none"}
    assert re.fullmatch(r"[^\n]+\.", declared.summary), "one sentence"
    assert declared.procedure[0].isupper()
    assert any(case.expected for case in declared.cases)
    assert not all(case.expected for case in declared.cases)
    for field in ("severity", "family"):
        assert declared.rule["labels"][field]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"cases": ()}, "fires"),
        ({"cases": (silent(),)}, "fires"),
        ({"cases": (fires(SERIES, summary="It is down."),)}, "silent"),
        ({"summary": " "}, "summary"),
        ({"procedure": ""}, "procedure"),
        ({"expr": ""}, "expr"),
        ({"name": "is down"}, "name"),
    ],
)
def test_alert_without_its_parts_cannot_be_made(changes: dict[str, object], complaint: str) -> None:
    assert alert().rule["alert"] == "Down"
    with pytest.raises(ValueError, match=complaint):
        alert(**changes)


@pytest.mark.parametrize("missing", ["severity", "summary", "procedure", "cases", "for_"])
def test_no_part_of_an_alert_has_a_default(missing: str) -> None:
    given = {field: getattr(alert(), field) for field in ("name", "expr", "for_", "severity")}
    given |= {field: getattr(alert(), field) for field in ("summary", "procedure", "cases")}
    del given[missing]
    with pytest.raises(TypeError, match=missing):
        Alert(**given)


def test_graver_alert_of_a_family_is_about_the_same_labels() -> None:
    """An inhibition compares labels; a family whose alerts differ in theirs would not inhibit."""
    families: dict[str, set[frozenset[str]]] = {}
    for declared in rules.alerts():
        family = declared.all_labels["family"]
        own = frozenset(declared.all_labels) - {"severity", "family"}
        families.setdefault(family, set()).add(own)
    doubled = {family for family, labels in families.items() if len(labels) > 1}
    assert doubled <= {"ComponentDown"}, "components are told apart on purpose"


def test_page_lists_the_alerts_that_are_declared() -> None:
    assert PAGE.read_text() == rules.alerts_page(), "write docs/alerts.md anew with alerts_page()"
