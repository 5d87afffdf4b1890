"""A component is as bad as the worst that checks and alerts say of it, and no other's trouble is its own."""

from __future__ import annotations

import pytest

from chitlaq.monitoring.alerts import registry
from chitlaq.ops.checks.model import Section, Value, Verdict
from chitlaq.ops.checks.registry import CHECKS
from chitlaq.ops.checks.runner import Result
from chitlaq.ops.statuspage import components, measuring
from chitlaq.ops.statuspage.components import COMPONENTS, State


def result(name: str, verdict: Verdict = Verdict.OK, seconds: float = 0.01) -> Result:
    values = {"answer": Value(seconds, "seconds", 0.5, 2.0)}
    return Result(name, name, Section.SERVICES, verdict, "", values, [], "", 0.1)


def shown(*alerts: dict[str, str], edge: bool = True, **checks: Result) -> dict[str, State]:
    found = {name: result(name) for one in COMPONENTS.values() for name in one.checks}
    found |= {one.check: one for one in checks.values()}
    states = measuring.combined(edge, found, alerts)
    return {name: state for name, state in states.items() if state is not State.OPERATIONAL}


def test_everything_works() -> None:
    assert shown() == {}


def test_every_check_and_alert_that_is_named_exists() -> None:
    names = {alert.name for alert in registry.alerts()}
    for one in COMPONENTS.values():
        assert set(one.checks) <= CHECKS.keys()
        assert set(one.alerts) <= names
    assert {*components.EVERYWHERE, *components.OF_A_SERVICE, *components.AT_EDGE} <= names


def test_without_nginx_members_reach_nothing() -> None:
    assert shown(edge=False) == dict.fromkeys(COMPONENTS, State.MAJOR_OUTAGE)


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (result("feed.home", Verdict.CRITICAL), State.MAJOR_OUTAGE),
        (result("feed.home", Verdict.CRITICAL, seconds=3), State.DEGRADED_PERFORMANCE),
        (result("feed.home", Verdict.WARNING), State.DEGRADED_PERFORMANCE),
        # What could not be looked at is not called good.
        (result("feed.home", Verdict.UNKNOWN), State.DEGRADED_PERFORMANCE),
    ],
)
def test_check_is_of_its_component_only(found: Result, state: State) -> None:
    assert shown(home=found) == {"feed": state}


@pytest.mark.parametrize(
    ("alert", "wanted"),
    [
        ({"alertname": "ServiceDown", "service": "websocket"}, {"chat": State.MAJOR_OUTAGE}),
        (
            {"alertname": "ServiceAvailabilityBurnsFast", "service": "search-service"},
            {"search": State.PARTIAL_OUTAGE},
        ),
        (
            {"alertname": "ServiceLatencyBurnsFast", "service": "feed-service"},
            {"feed": State.DEGRADED_PERFORMANCE},
        ),
        ({"alertname": "MailsStuck"}, {"mail": State.PARTIAL_OUTAGE}),
        (
            {"alertname": "MailsStuck", "service": "auth-service"},
            {"mail": State.PARTIAL_OUTAGE},
        ),
        ({"alertname": "DatabaseDown"}, dict.fromkeys(COMPONENTS, State.MAJOR_OUTAGE)),
        ({"alertname": "ServiceDown", "service": "ops-service"}, {}),
        ({"alertname": "BackupTooOld"}, {}),
        ({"alertname": "Watchdog"}, {}),
    ],
)
def test_alert_says_what_members_feel(alert: dict[str, str], wanted: dict[str, State]) -> None:
    assert shown(alert) == wanted


def test_alert_with_a_part_of_its_own_is_about_no_other() -> None:
    assert components.about({"alertname": "MailsStuck", "service": "auth-service"}) == ["mail"]
    assert components.about({"service": "auth-service"}) == ["sign-in", "mail"]


def test_objective_of_all_requests_counts_where_nothing_says_which_part() -> None:
    edge = {"alertname": "EdgeAvailabilityBurnsFast", "service": "api-gateway"}
    assert shown(edge) == dict.fromkeys(COMPONENTS, State.DEGRADED_PERFORMANCE)
    one = {"alertname": "ServiceDown", "service": "websocket"}
    assert shown(edge, one) == {"chat": State.MAJOR_OUTAGE}
