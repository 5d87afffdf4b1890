"""Alerts on who does not answer, and the one that always fires."""

from __future__ import annotations

from chitlaq.ops.alerts.alert import Alert, Unseen, fires, rising, silent, steady

_SERVING = ("api-gateway", "websocket", "feed-service", "search-service", "auth-service")
_WATCHING = ("ops-service", "prometheus", "alertmanager", "node")
_DOWN = "ComponentDown"


def _component(component: str) -> str:
    return f'component_up{{component="{component}"}}'


def alerts() -> list[Alert]:
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
