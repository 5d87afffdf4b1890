"""Alerts on who does not answer, and the one that always fires."""

from __future__ import annotations

from chitlaq.monitoring.alerts.alert import Alert, Series, Unseen, fires, rising, silent, steady

_SERVING = ("api-gateway", "websocket", "feed-service", "search-service", "auth-service")
_WATCHING = ("ops-service", "prometheus", "alertmanager", "node")
_DOWN = "ComponentDown"


# A host is what is before the port of the addresses that are asked.
_BY_HOST = '"host", "$1", "instance", "(.+):[0-9]+"'


def _component(component: str) -> str:
    return f'component_up{{component="{component}"}}'


def _target(job: str, host: str, port: int, value: float) -> Series:
    return steady(f'up{{job="{job}",instance="{host}:{port}"}}', value)


def alerts() -> list[Alert]:
    return [_host(), *_components(), *_watching()]


def _host() -> Alert:
    """A host that has gone, as a Prometheus elsewhere sees it: its node-exporter, and all else there.

    Where everything is on one machine Prometheus is gone with it, and this cannot fire: there the
    silence of Watchdog is the alarm, for somebody outside.
    """
    return Alert(
        name="HostDown",
        expr=(
            f"max by (host) (label_replace(up, {_BY_HOST})) == 0"
            f' and on (host) label_replace(up{{job="node"}}, {_BY_HOST})'
        ),
        for_="1m",
        severity="P0",
        summary="The host {{ $labels.host }} does not answer, nor does anything on it.",
        procedure="Service Outage Response",
        labels={"host": "{{ $labels.host }}"},
        cases=(
            fires(
                _target("node", "10.0.0.5", 9100, 0),
                _target("feed-service", "10.0.0.5", 3003, 0),
                _target("node", "10.0.0.6", 9100, 1),
                labels={"host": "10.0.0.5"},
                summary="The host 10.0.0.5 does not answer, nor does anything on it.",
            ),
            # One thing on it answers; or it is known by one service only.
            silent(
                _target("node", "10.0.0.5", 9100, 0), _target("feed-service", "10.0.0.5", 3003, 1)
            ),
            silent(_target("feed-service", "10.0.0.5", 3003, 0)),
        ),
    )


def _components() -> list[Alert]:
    return [
        Alert(
            name="DatabaseDown",
            expr=f"{_component('postgres')} == 0",
            for_="1m",
            severity="P0",
            summary="PostgreSQL does not answer: nothing can be written, and hardly anything read.",
            procedure="Database Health",
            family=_DOWN,
            cases=(
                fires(
                    steady(_component("postgres"), 0),
                    labels={"component": "postgres"},
                    summary="PostgreSQL does not answer: nothing can be written, and hardly anything"
                    " read.",
                ),
                silent(steady(_component("postgres"), 1), steady(_component("redis"), 0)),
            ),
            unseen=Unseen((_component("postgres"),), "ops-service"),
        ),
        Alert(
            name="EdgeDown",
            expr=f"{_component('nginx')} == 0",
            for_="1m",
            severity="P0",
            summary="nginx does not answer: members see nothing at all.",
            procedure="Service Outage Response",
            family=_DOWN,
            labels={"service": "api-gateway"},
            cases=(
                fires(
                    steady(_component("nginx"), 0),
                    labels={"component": "nginx"},
                    summary="nginx does not answer: members see nothing at all.",
                ),
                silent(steady(_component("nginx"), 1)),
            ),
            unseen=Unseen((_component("nginx"),), "ops-service"),
        ),
        Alert(
            name="CacheDown",
            expr=f"{_component('redis')} == 0",
            for_="2m",
            severity="P1",
            summary="Valkey does not answer: feeds are slow, limits and live events are off.",
            procedure="Redis Health",
            family=_DOWN,
            cases=(
                fires(
                    steady(_component("redis"), 0),
                    labels={"component": "redis"},
                    summary="Valkey does not answer: feeds are slow, limits and live events are off.",
                ),
                silent(steady(_component("redis"), 1)),
            ),
            unseen=Unseen((_component("redis"),), "ops-service"),
        ),
        Alert(
            name="ServiceDown",
            expr=f'up{{job=~"{"|".join(_SERVING)}"}} == 0',
            for_="1m",
            severity="P1",
            summary="{{ $labels.job }} does not answer.",
            procedure="Service Outage Response",
            family=_DOWN,
            labels={"service": "{{ $labels.job }}"},
            cases=(
                fires(
                    steady('up{job="feed-service"}', 0),
                    steady('up{job="websocket"}', 1),
                    labels={"job": "feed-service", "service": "feed-service"},
                    summary="feed-service does not answer.",
                ),
                silent(*(steady(f'up{{job="{job}"}}', 1) for job in _SERVING)),
            ),
            unseen=Unseen(tuple(f'up{{job="{job}"}}' for job in _SERVING), "prometheus"),
        ),
    ]


def _watching() -> list[Alert]:
    return [
        Alert(
            name="MonitoringDown",
            expr=f'up{{job=~"{"|".join(_WATCHING)}"}} == 0',
            for_="5m",
            severity="P2",
            summary="{{ $labels.job }} does not answer: we are blind to what it watches.",
            procedure="Monitoring Dashboard Review",
            family=_DOWN,
            labels={"service": "{{ $labels.job }}"},
            cases=(
                fires(
                    steady('up{job="node"}', 0),
                    labels={"job": "node", "service": "node"},
                    summary="node does not answer: we are blind to what it watches.",
                ),
                silent(*(steady(f'up{{job="{job}"}}', 1) for job in _WATCHING)),
            ),
        ),
        Alert(
            name="ExporterBlind",
            expr="increase(exporter_errors_total[10m]) > 3",
            for_="5m",
            severity="P2",
            summary="ops-service cannot read {{ $labels.source }}: what it says of it is missing.",
            procedure="Monitoring Dashboard Review",
            cases=(
                fires(
                    rising('exporter_errors_total{source="queues"}', 1),
                    labels={"source": "queues"},
                    summary="ops-service cannot read queues: what it says of it is missing.",
                ),
                silent(steady('exporter_errors_total{source="queues"}', 40)),
            ),
        ),
        Alert(
            name="Watchdog",
            # A minute of silence after Prometheus's start is the case in which it does not fire.
            expr="vector(1)",
            for_="1m",
            severity="none",
            summary="The way from Prometheus to ops-service works; its silence is the alarm.",
            procedure="Alert Response",
            cases=(
                fires(
                    summary="The way from Prometheus to ops-service works; its silence is the alarm."
                ),
                silent(at="0m"),
            ),
        ),
    ]
