"""Every alert fires when it should and is silent when it should, as Prometheus's own tools judge."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from chitlaq.monitoring.alerts import databases, registry, routing, slos
from chitlaq.monitoring.alerts.alert import Alert, absent, fires, rising, silent, steady
from chitlaq.monitoring.exporter import member_probes, round_trips
from tests.conftest import eventually
from tests.monitoring.alerts import promtool as cases

DOCS = Path(__file__).parents[3] / "docs"
PROCEDURES = re.findall(r"^#+ (?:[\d.]+ )?(.+)$", (DOCS / "runbook.md").read_text(), re.MULTILINE)
SERIES = steady("up", 0)


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alert(**changes: Any) -> Alert:
    given: dict[str, Any] = {
        "name": "Down",
        "expr": "up == 0",
        "for_": "1m",
        "severity": "P1",
        "summary": "It is down.",
        "procedure": "Service Outage Response",
        "cases": (fires(SERIES), silent()),
        **changes,
    }
    return Alert(**given)


def test_prometheus_reads_the_rules(promtool: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_bytes(registry.rule_groups())
    said = run(promtool, "check", "rules", path)
    recorded = [*slos.recording_rules(), *databases.recording_rules()]
    count = len(registry.alerts()) + len(recorded)
    assert f"{count} rules found" in said


def test_query_times_are_recorded_under_their_histograms_name(
    promtool: str, tmp_path: Path
) -> None:
    """The runbook's line asks for the name alone, of which a histogram has no series."""
    name = "postgresql_query_duration_seconds"
    per_minute = {
        f'{name}_bucket{{service="feed-service",le="0.01"}}': 50,
        f'{name}_bucket{{service="feed-service",le="0.1"}}': 100,
        f'{name}_bucket{{service="feed-service",le="+Inf"}}': 100,
        f'{name}_count{{service="feed-service"}}': 100,
        f'{name}_sum{{service="feed-service"}}': 3,
        # It has asked nothing yet.
        f'{name}_bucket{{service="websocket",le="+Inf"}}': 0,
        f'{name}_count{{service="websocket"}}': 0,
        f'{name}_sum{{service="websocket"}}': 0,
    }
    milliseconds = {"p50": 10, "p95": 91, "p99": 98, "mean": 30}
    rules = tmp_path / "rules"
    group = {"name": "databases", "rules": databases.recording_rules()}
    rules.write_bytes(msgspec.json.encode({"groups": [group]}))
    test = {
        "interval": "1m",
        "input_series": msgspec.to_builtins(
            [rising(series, step) for series, step in per_minute.items()]
        ),
        "promql_expr_test": [
            {
                "expr": f"round(1000 * {name})",
                "eval_time": "30m",
                "exp_samples": [
                    {"labels": f'{{service="feed-service",stat="{stat}"}}', "value": value}
                    for stat, value in milliseconds.items()
                ],
            }
        ],
    }
    path = tmp_path / "test"
    path.write_bytes(msgspec.json.encode({"rule_files": [str(rules)], "tests": [test]}))
    assert "SUCCESS" in run(promtool, "test", "rules", path)


@pytest.fixture(scope="module")
def verdicts(promtool: str, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return cases.verdicts(promtool, tmp_path_factory.mktemp("cases"), registry.alerts())


@pytest.mark.parametrize("name", [alert.name for alert in registry.alerts()])
def test_each_alert_fires_and_stays_silent_as_declared(
    name: str, verdicts: Mapping[str, str]
) -> None:
    assert verdicts[name] == "SUCCESS"


def test_our_own_probes_never_hide_what_members_see_fail() -> None:
    """Where they count beside members, so many failures that an alert begins are still too many."""
    probes = len(member_probes.PATHS) / member_probes.PAUSE_SECONDS
    probes += 2 / round_trips.PAUSE_SECONDS
    (availability,) = [one for one in slos.OBJECTIVES if one.name == "availability"]
    for burn in slos.BURNS:
        requests = (slos.SELDOM + probes) * slos._SECONDS[burn.short]
        assert burn.least_bad / requests > burn.factor * availability.budget, burn.pace


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "SUCCESS"),
        ({"expr": "up == 2"}, "FAILED"),
        ({"expr": "up < 2"}, "FAILED"),
        ({"severity": "P2"}, "SUCCESS"),
        ({"summary": "{{ $labels.service }} has {{ $value | humanize }}."}, "FAILED"),
        ({"summary": "{{ $labels.job }} has {{ $value | humanizePercentage }}."}, "FAILED"),
        ({"labels": {"service": "{{ $labels.service }}"}}, "FAILED"),
    ],
    ids=[
        "as declared",
        "never",
        "always",
        "as declared, too",
        "no label of the series",
        "unit",
        "own",
    ],
)
def test_alert_that_contradicts_its_cases_fails(
    changes: dict[str, object], verdict: str, promtool: str, tmp_path: Path
) -> None:
    """What a case expects is derived from the alert; its values and labels are stated."""
    feed = 'up{job="feed-service"}'
    given = {
        "summary": "{{ $labels.job }} has {{ $value | humanize }}.",
        "labels": {"service": "{{ $labels.job }}"},
        "cases": (
            fires(steady(feed, 0), value="0", job="feed-service", service="feed-service"),
            silent(steady(feed, 1)),
        ),
        **changes,
    }
    (said,) = cases.verdicts(promtool, tmp_path, [alert(**given)]).values()
    assert said.startswith(verdict), said


def test_each_severity_has_its_route_and_repeat_interval(amtool: str, tmp_path: Path) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_bytes(
        routing.alertmanager_config("http://127.0.0.1:3006/alerts", str(tmp_path / "token"))
    )
    assert "SUCCESS" in run(amtool, "check-config", path)
    wanted = {
        ("severity=P0",): "P0",
        ("severity=P1", "alertname=CacheDown"): "P1",
        ("severity=P2",): "P2",
        ("severity=P3",): "P3",
        ("severity=none", "alertname=Watchdog"): routing.WATCHDOG,
        ("severity=unheard-of",): routing.RECEIVER,
    }
    for labels, receiver in wanted.items():
        said = run(amtool, "config", "routes", "test", f"--config.file={path}", *labels)
        assert said.strip() == receiver, labels
    document = msgspec.json.decode(path.read_bytes())
    repeated = {
        route["receiver"]: route["repeat_interval"] for route in document["route"]["routes"]
    }
    assert repeated == {"watchdog": "50s", "P0": "1h", "P1": "1h", "P2": "4h", "P3": "24h"}
    assert document["route"]["group_by"] == ["alertname", "service"]
    for receiver in document["receivers"]:
        (webhook,) = receiver["webhook_configs"]
        assert webhook["url"] == "http://127.0.0.1:3006/alerts"
        assert webhook["send_resolved"]


def declared_labels(name: str, /, **labels: str) -> dict[str, str]:
    """An alert's labels: those declared, those of its series, and those from its templates."""
    (declared,) = [alert for alert in registry.alerts() if alert.name == name]
    fixed = {key: value for key, value in declared.all_labels.items() if "{{" not in value}
    return {"alertname": name, **fixed, **labels}


DOWN = {"job": "feed-service", "service": "feed-service", "instance": "10.0.0.5:3003"}
BURNS = "AvailabilityBurns"

INHIBITIONS = [
    # One subject, one family: the more severe one.
    ("DiskAlmostFull", {"mountpoint": "/"}, "DiskLow", {"mountpoint": "/"}, True),
    ("DiskAlmostFull", {"mountpoint": "/"}, "DiskLow", {"mountpoint": "/srv"}, False),
    ("BackupTooOld", {"kind": "dump"}, "BackupUnverified", {"kind": "dump"}, True),
    ("BackupTooOld", {"kind": "configuration"}, "BackupUnverified", {"kind": "dump"}, False),
    ("CertificateExpiresNow", {"name": "a:443"}, "CertificateExpires", {"name": "a:443"}, True),
    ("CertificateExpiresNow", {"name": "a:443"}, "CertificateExpires", {"name": "b:443"}, False),
    (
        "ReplicationFarBehind",
        {"application": "a"},
        "ReplicationBehind",
        {"application": "b"},
        False,
    ),
    # A component that is down misses its own objectives, not those of others.
    ("ServiceDown", DOWN, f"Service{BURNS}Fast", {"service": "feed-service"}, True),
    ("ServiceDown", DOWN, f"Service{BURNS}Fast", {"service": "auth-service"}, False),
    ("ServiceDown", DOWN, f"Edge{BURNS}Fast", {"service": "api-gateway"}, False),
    ("EdgeDown", {"component": "nginx"}, f"Edge{BURNS}Fast", {"service": "api-gateway"}, True),
    ("DatabaseDown", {}, f"Service{BURNS}Fast", {"service": "auth-service"}, True),
    # What is down explains that messages do not arrive, as far as they need it.
    ("DatabaseDown", {"component": "postgres"}, "MessagesUndelivered", {}, True),
    ("EdgeDown", {"component": "nginx"}, "MessagesUndelivered", {}, True),
    ("ServiceDown", {"job": "websocket", "service": "websocket"}, "MessagesUndelivered", {}, True),
    ("ServiceDown", DOWN, "MessagesUndelivered", {}, False),
    ("CacheDown", {"component": "redis"}, "MessagesUndelivered", {}, False),
    # A lock explains what waits for it, and Valkey what does without it.
    ("LocksWaiting", {}, "ServiceUnable", {"service": "feed-service"}, True),
    ("CacheDown", {"component": "redis"}, "WebsocketDeaf", {}, True),
    ("ServiceDown", DOWN, "ErrorsLogged", {"service": "feed-service"}, True),
    ("ServiceDown", DOWN, "ErrorsLogged", {"service": "auth-service"}, False),
    # A host takes down what is on it.
    ("HostDown", {"host": "10.0.0.5"}, "ServiceDown", {"host": "10.0.0.5", **DOWN}, True),
    ("HostDown", {"host": "10.0.0.5"}, "DatabaseDown", {"host": "10.0.0.5"}, True),
    ("HostDown", {"host": "10.0.0.6"}, "ServiceDown", {"host": "10.0.0.5", **DOWN}, False),
    ("HostDown", {"host": "10.0.0.6"}, "LoginsFail", {}, False),
    # A missing metric is explained once.
    ("MonitoringDown", {"job": "node", "service": "node"}, "MemoryLowUnseen", {}, True),
    ("MonitoringDown", {"job": "node", "service": "node"}, "MailsStuckUnseen", {}, False),
    ("DatabaseDown", {"component": "postgres"}, "MailsStuckUnseen", {}, True),
    ("CacheDown", {"component": "redis"}, "MailsStuckUnseen", {}, False),
]


@pytest.mark.parametrize(
    ("source", "by", "target", "of", "is_inhibited"),
    INHIBITIONS,
    ids=[f"{one[0]}-{one[2]}-{number}" for number, one in enumerate(INHIBITIONS)],
)
async def test_more_severe_alert_inhibits_what_it_explains(
    source: str,
    by: dict[str, str],
    target: str,
    of: dict[str, str],
    is_inhibited: bool,
    alertmanager: httpx.AsyncClient,
) -> None:
    """Only this pair fires, beside a pair that is certainly inhibited."""
    witness = {"family": "Witness"}
    sent = [
        declared_labels(source, **by),
        {"alertname": "Witnessed", "severity": "P0", **witness},
        declared_labels(target, **of),
        {"alertname": "Witness", "severity": "P1", **witness},
    ]
    answer = await alertmanager.post("/api/v2/alerts", json=[{"labels": one} for one in sent])
    assert answer.status_code == 200, answer.text

    async def inhibited_by() -> dict[str, list[str]]:
        listed = (await alertmanager.get("/api/v2/alerts")).json()
        return {one["labels"]["alertname"]: one["status"]["inhibitedBy"] for one in listed}

    async def is_judged() -> bool:
        return bool((await inhibited_by())["Witness"])

    await eventually(is_judged)
    found = await inhibited_by()
    assert bool(found[target]) == is_inhibited
    assert not found[source]


def test_alerts_of_one_family_are_distinguished_by_subject() -> None:
    """A label that SUBJECT lacks lets an alert on one thing inhibit an alert on another."""
    told_apart = {
        label
        for declared in registry.alerts()
        for case in declared.cases
        for expected in case.expected
        for label in expected.labels
    }
    # A mount point has one device, and it one kind of file system; of lines only errors are counted.
    assert told_apart - {"fstype", "level"} <= set(routing.SUBJECT)


@pytest.mark.parametrize("declared", registry.alerts(), ids=lambda declared: declared.name)
def test_each_alert_says_what_it_means_and_what_to_do(declared: Alert) -> None:
    assert declared.severity in {*routing.REPEAT, "none"}
    assert re.fullmatch(r"[^\n]+\.", declared.summary), "one sentence"
    assert declared.procedure in PROCEDURES
    assert any(case.expected for case in declared.cases)
    assert not all(case.expected for case in declared.cases)
    for field in ("severity", "family"):
        assert declared.rule["labels"][field]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"cases": ()}, "fires"),
        ({"cases": (silent(),)}, "fires"),
        ({"cases": (fires(SERIES),)}, "silent"),
        ({"cases": (fires(SERIES, value="7"), silent())}, "not shown"),
        ({"summary": "It is {{ $value }}."}, r"does not state \{\{ \$value"),
        ({"summary": "{{ $labels.job }} is down."}, r"does not state .*job"),
        ({"labels": {"service": "{{ $labels.job }}"}}, r"does not state .*job"),
        ({"absence": absent("up", through="the wall")}, "the wall"),
        ({"summary": " "}, "summary"),
        ({"procedure": ""}, "procedure"),
        ({"expr": ""}, "expr"),
        ({"name": "is down"}, "name"),
    ],
)
def test_incomplete_alert_cannot_be_declared(changes: dict[str, object], complaint: str) -> None:
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


def test_more_severe_alert_of_a_family_is_about_the_same_labels() -> None:
    """An inhibition compares labels; a family whose alerts differ in theirs would not inhibit."""
    families: dict[str, set[frozenset[str]]] = {}
    for declared in registry.alerts():
        family = declared.all_labels["family"]
        own = frozenset(declared.all_labels) - {"severity", "family"}
        families.setdefault(family, set()).add(own)
    doubled = {family for family, labels in families.items() if len(labels) > 1}
    assert doubled <= {"ComponentDown"}, "components are told apart on purpose"


def test_what_an_alert_stands_on_exists_and_is_as_severe() -> None:
    by_name = {declared.name: declared for declared in registry.alerts()}
    for declared in by_name.values():
        for cause in declared.stands_on:
            assert by_name[cause].severity <= declared.severity, (cause, declared.name)
            assert declared.name not in by_name[cause].stands_on


SLOW = {
    "DiskFillsWithinDay": "a forecast",
    "DeadlocksOften": "each is over at once",
    "CacheHitRatioLow": "few reads at night say nothing",
    "EtcdLeaderChanges": "one election after a failure is right, and each is over at once",
    "LeaseChangesOften": "one change after a failure is right, and each is over at once",
    "PushesFail": "a push service that is away for a moment is normal",
    "MailsRefused": "what is taken silences it",
    "MailsStuck": "what was sent within an hour silences it",
}
"""Alerts that look back further, and why."""


@pytest.mark.parametrize(
    "declared",
    # A burn rate has a short window, too.
    [one for one in registry.alerts() if "Burns" not in one.name and one.name not in SLOW],
    ids=lambda one: one.name,
)
def test_alert_ends_within_five_minutes_of_the_mend(declared: Alert) -> None:
    """What looks back over five minutes alone is red for six when all is well again."""
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    back = [int(n) * seconds[unit] for n, unit in re.findall(r"\[(\d+)([smhd])\]", declared.expr)]
    assert not back or min(back) <= 240


def test_page_lists_the_alerts_that_are_declared() -> None:
    assert (DOCS / "alerts.md").read_text() == registry.alerts_page(), "run: make docs"
