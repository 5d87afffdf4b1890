"""Alerts on a site of several machines: Patroni, etcd, Sentinel, certificates."""

from __future__ import annotations

from chitlaq.monitoring.alerts.alert import (
    Alert,
    InputSeries,
    below,
    fires,
    rising,
    silent,
    steady,
    zero,
)

_SCOPE = 'scope="chitlaq"'
_DAY = 86_400
_ENDPOINT = "10.0.0.21:5432"
_EXPIRY = f'site_certificate_expiry_seconds{{name="{_ENDPOINT}"}}'
_SENTINEL = '{}{{sentinel="10.0.0.21:26379"}}'


def _of(metric: str, name: str, value: float) -> InputSeries:
    return steady(f'{metric}{{{_SCOPE},name="{name}"}}', value)


def _primaries(first: int, second: int) -> tuple[InputSeries, ...]:
    return _of("patroni_primary", "db1", first), _of("patroni_primary", "db2", second)


def _behind(bytes_: float) -> tuple[InputSeries, ...]:
    return (
        _of("patroni_replica", "db1", 0),
        _of("patroni_replica", "db2", 1),
        _of("patroni_xlog_location", "db1", 1e9),
        _of("patroni_xlog_location", "db2", 0),
        _of("patroni_xlog_replayed_location", "db1", 0),
        _of("patroni_xlog_replayed_location", "db2", 1e9 - bytes_),
    )


def _up(job: str, value: int) -> InputSeries:
    return steady(f'up{{job="{job}",instance="10.0.0.21:2379"}}', value)


ALERTS = (
    Alert(
        name="NoPrimary",
        expr="max by (scope) (patroni_primary) == 0",
        for_="1m",
        severity="P0",
        summary="No PostgreSQL of {{ $labels.scope }} is the primary: members cannot post, write or sign in."
        " `chitlaq ops check site.patroni` says more.",
        procedure="Database Health",
        cases=(fires(*_primaries(0, 0), scope="chitlaq"), silent(*_primaries(0, 1))),
    ),
    Alert(
        name="TwoPrimaries",
        expr="sum by (scope) (patroni_primary) > 1",
        for_="1m",
        severity="P0",
        summary="{{ $value }} PostgreSQL of {{ $labels.scope }} are primaries: stop the one that"
        " `patronictl list` does not show as the leader.",
        procedure="Database Health",
        cases=(fires(*_primaries(1, 1), value="2", scope="chitlaq"), silent(*_primaries(1, 0))),
    ),
    Alert(
        name="NoSynchronousStandby",
        expr="max by (scope) (patroni_sync_standby) == 0",
        for_="5m",
        severity="P1",
        summary="No synchronous standby of {{ $labels.scope }} follows the primary: if that fails, nobody"
        " takes its place. `chitlaq ops check site.patroni` says more.",
        procedure="Database Health",
        cases=zero(f'patroni_sync_standby{{{_SCOPE},name="db2"}}', scope="chitlaq"),
    ),
    Alert(
        name="StandbyBehind",
        expr=(
            "max by (scope) (patroni_xlog_location) - on (scope) group_right ()"
            " (patroni_xlog_replayed_location and on (scope, name) patroni_replica == 1) > 1e8"
        ),
        for_="10m",
        severity="P2",
        summary="{{ $labels.name }} is {{ $value | humanize1024 }}B of WAL behind its primary.",
        procedure="Database Health Metrics",
        cases=(
            fires(*_behind(1.1e8), value="104.9Mi", scope="chitlaq", name="db2"),
            silent(*_behind(1e8)),
        ),
    ),
    Alert(
        name="StandbyOnOldTimeline",
        expr=(
            "patroni_postgres_timeline < on (scope) group_left ()"
            " max by (scope) (patroni_postgres_timeline)"
        ),
        for_="5m",
        severity="P1",
        summary="{{ $labels.name }} has not followed the last failover: it cannot take the primary's place."
        " `patronictl reinit` copies it anew.",
        procedure="Database Health Metrics",
        cases=(
            fires(
                _of("patroni_postgres_timeline", "db1", 2),
                _of("patroni_postgres_timeline", "db2", 3),
                scope="chitlaq",
                name="db1",
            ),
            silent(
                _of("patroni_postgres_timeline", "db1", 3),
                _of("patroni_postgres_timeline", "db2", 3),
            ),
        ),
    ),
    Alert(
        name="SiteServerDown",
        expr='up{job=~"patroni|etcd"} == 0',
        for_="1m",
        severity="P1",
        summary="{{ $labels.job }} at {{ $labels.instance }} is not responding: the next failure may be"
        " an outage.",
        procedure="Service Outage Response",
        family="ComponentDown",
        cases=(
            fires(
                _up("etcd", 0),
                _up("patroni", 1),
                job="etcd",
                instance="10.0.0.21:2379",
                host="10.0.0.21",
            ),
            silent(_up("etcd", 1), _up("patroni", 1)),
        ),
    ),
    Alert(
        name="EtcdHasNoLeader",
        expr="etcd_server_has_leader == 0",
        for_="1m",
        severity="P0",
        summary="etcd at {{ $labels.instance }} sees no majority: if it is so for all, PostgreSQL cannot fail"
        " over. `chitlaq ops check site.etcd` says more.",
        procedure="Database Health",
        cases=zero(
            'etcd_server_has_leader{instance="10.0.0.21:2379"}',
            instance="10.0.0.21:2379",
            host="10.0.0.21",
        ),
    ),
    Alert(
        name="EtcdLeaderChanges",
        expr="max(increase(etcd_server_leader_changes_seen_total[1h])) > 3",
        for_="1m",
        severity="P2",
        summary="etcd has elected more than 3 leaders within an hour: its network or its disks"
        " are slow, and PostgreSQL fails over for nothing.",
        procedure="Database Health",
        cases=(
            fires(rising('etcd_server_leader_changes_seen_total{instance="a"}', 1)),
            silent(steady('etcd_server_leader_changes_seen_total{instance="a"}', 9)),
        ),
    ),
    Alert(
        name="NodeCertificateExpiresNow",
        expr=f"site_certificate_expiry_seconds < {7 * _DAY}",
        for_="5m",
        severity="P1",
        summary="The certificate at {{ $labels.name }} expires in {{ $value | humanizeDuration }}: the other"
        " machines of the site will then refuse to talk to it. `chitlaq site render` makes another.",
        procedure="Security Metrics",
        family="NodeCertificateExpires",
        cases=below(_EXPIRY, 7 * _DAY, "6d 7h 12m 0s", name=_ENDPOINT),
    ),
    Alert(
        name="NodeCertificateExpires",
        expr=f"site_certificate_expiry_seconds < {30 * _DAY}",
        for_="5m",
        severity="P2",
        summary="The certificate at {{ $labels.name }} expires in {{ $value | humanizeDuration }}:"
        " `chitlaq site render` makes another.",
        procedure="Security Metrics",
        cases=below(_EXPIRY, 30 * _DAY, "27d 0h 0m 0s", name=_ENDPOINT),
    ),
    Alert(
        name="SentinelDown",
        expr="sentinel_up == 0",
        for_="1m",
        severity="P1",
        summary="Sentinel at {{ $labels.sentinel }} is not responding: after the next failure Valkey may not"
        " fail over. `chitlaq ops check site.sentinel` says more.",
        procedure="Service Outage Response",
        cases=zero(_SENTINEL.format("sentinel_up"), sentinel="10.0.0.21:26379"),
    ),
    Alert(
        name="SentinelNoQuorum",
        expr="max(sentinel_quorum) == 0",
        for_="1m",
        severity="P1",
        summary="No Sentinel reaches as many others as a failover takes: if Valkey's primary fails, nobody"
        " takes its place. `chitlaq ops check site.sentinel` says more.",
        procedure="Database Health",
        cases=zero(_SENTINEL.format("sentinel_quorum")),
    ),
    Alert(
        name="SentinelsDisagree",
        expr="sentinel_primaries_named > 1",
        for_="1m",
        severity="P1",
        summary="The Sentinels name {{ $value }} different primaries of Valkey: services may use either."
        " `chitlaq ops check site.sentinel` names them.",
        procedure="Database Health",
        cases=(
            fires(steady("sentinel_primaries_named", 2), value="2"),
            silent(steady("sentinel_primaries_named", 1)),
        ),
    ),
    Alert(
        name="ValkeyWithoutReplica",
        expr="max(sentinel_replicas_in_sync) == 0",
        for_="5m",
        severity="P1",
        summary="No replica follows Valkey's primary: if that fails, nobody takes its place."
        " `chitlaq ops check site.sentinel` says more.",
        procedure="Database Health",
        cases=zero(_SENTINEL.format("sentinel_replicas_in_sync")),
    ),
    Alert(
        name="ValkeyFailoverStuck",
        expr="min_over_time(sentinel_failover_in_progress[2m]) == 1",
        for_="1m",
        severity="P1",
        summary="Sentinel at {{ $labels.sentinel }} has been making another Valkey the primary for minutes:"
        " no replica can take its place. `chitlaq ops check site.sentinel` says more.",
        procedure="Database Health",
        cases=(
            fires(
                steady(_SENTINEL.format("sentinel_failover_in_progress"), 1),
                sentinel="10.0.0.21:26379",
            ),
            silent(steady(_SENTINEL.format("sentinel_failover_in_progress"), 0)),
        ),
    ),
)
