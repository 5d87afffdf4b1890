"""Alerts on what tells people of alerts: the plan, the pages, the heartbeat."""

from __future__ import annotations

from chitlaq.monitoring.alerts.alert import (
    Alert,
    above,
    absent,
    fires,
    older,
    rising,
    silent,
    steady,
    zero,
)

ALERTS = (
    Alert(
        name="OncallRosterInvalid",
        expr="oncall_roster_valid == 0",
        for_="1m",
        severity="P1",
        summary="oncall.toml is not valid, or missing: the last valid version stays in effect."
        " `chitlaq oncall show` names the line.",
        procedure="Escalation Contacts",
        cases=zero("oncall_roster_valid"),
        absence=absent("oncall_roster_valid", through="ops-service"),
    ),
    Alert(
        name="NobodyOnCall",
        expr="oncall_people_on_call == 0",
        for_="5m",
        severity="P1",
        summary="Nobody is on call: incidents are told to the next level."
        " `chitlaq oncall override add` fills the gap.",
        procedure="Escalation Contacts",
        cases=zero("oncall_people_on_call"),
    ),
    Alert(
        name="PagesFail",
        expr="escalation_pages_failed > 0",
        for_="0m",
        severity="P2",
        summary="Messages on incidents that were not accepted within the last hour: {{ $value }}."
        " `chitlaq oncall people` names the channels.",
        procedure="Communication Channels",
        family="Pages",
        cases=above("escalation_pages_failed", 0, "1"),
    ),
    Alert(
        name="PagesStuck",
        expr="escalation_page_overdue_seconds > 180",
        for_="0m",
        severity="P1",
        summary="A message on an incident has been due for {{ $value | humanizeDuration }} and is not sent.",
        procedure="Communication Channels",
        family="Pages",
        cases=above("escalation_page_overdue_seconds", 180, "3m 18s"),
        absence=absent("escalation_page_overdue_seconds", through="ops-service"),
    ),
    Alert(
        name="HeartbeatNotAccepted",
        expr="time() - heartbeat_sent_timestamp_seconds > 300",
        for_="0m",
        severity="P2",
        summary="operations.heartbeat_url has taken no heartbeat for {{ $value | humanizeDuration }}.",
        procedure="Alert Response",
        cases=older("heartbeat_sent_timestamp_seconds", 300, "25m 0s"),
    ),
    Alert(
        name="NobodyHoldsTheLease",
        expr="min(operations_lease_left_seconds) < -30",
        for_="1m",
        severity="P1",
        summary="No ops-service holds the lease of operations: nobody runs routines."
        " `chitlaq ops lease` says who held it last.",
        procedure="Escalation Contacts",
        cases=(
            fires(steady("operations_lease_left_seconds", -31)),
            silent(steady("operations_lease_left_seconds", -30)),
        ),
        absence=absent("operations_lease_left_seconds", through="ops-service"),
    ),
    Alert(
        name="LeaseChangesOften",
        expr="max(changes(operations_lease_epoch[1h])) > 3",
        for_="1m",
        severity="P2",
        summary="Another ops-service has taken the lease of operations {{ $value }} times within an hour:"
        " their machines, their network or PostgreSQL are not well. `chitlaq ops check operations.lease` says"
        " more.",
        procedure="Escalation Contacts",
        cases=(
            fires(rising("operations_lease_epoch", 1), value="31"),
            silent(steady("operations_lease_epoch", 9)),
        ),
    ),
)
