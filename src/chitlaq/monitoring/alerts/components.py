"""Alerts on components that are down, and the watchdog that always fires."""

from __future__ import annotations

from chitlaq import inventory
from chitlaq.monitoring.alerts.alert import (
    Alert,
    InputSeries,
    absent,
    fires,
    rising,
    silent,
    steady,
    zero,
)

_SERVING = [row.job for row in inventory.FORWARDED]
_WATCHING = [row.job for row in inventory.BY_PORT if row.job and not row.is_for_members]
_DOWN = "ComponentDown"


# The host is what precedes the port in a target's address.
_BY_HOST = '"host", "$1", "instance", "(.+):[0-9]+"'


def _component(component: str) -> str:
    return f'component_up{{component="{component}"}}'


def _job(job: str) -> str:
    return f'up{{job="{job}"}}'


def _target(job: str, instance: str, value: float) -> InputSeries:
    return steady(f'up{{job="{job}",instance="{instance}"}}', value)


_DIFFERS = "component_version_differs"
_ERRORS = 'exporter_errors_total{source="queues"}'

ALERTS = (
    # A host that is down, as seen by a Prometheus on another host: node-exporter and everything else on it.
    #
    # Where everything runs on one machine, Prometheus goes down with it and this alert cannot fire. There an
    # external monitor must alarm when Watchdog falls silent.
    Alert(
        name="HostDown",
        expr=(
            f"max by (host) (label_replace(up, {_BY_HOST})) == 0"
            f' and on (host) label_replace(up{{job="node"}}, {_BY_HOST})'
        ),
        for_="1m",
        severity="P0",
        summary="Host {{ $labels.host }} is not responding, nor is anything on it.",
        procedure="Service Outage Response",
        labels={"host": "{{ $labels.host }}"},
        cases=(
            fires(
                _target("node", "10.0.0.5:9100", 0),
                _target("feed-service", "10.0.0.5:3003", 0),
                _target("node", "10.0.0.6:9100", 1),
                host="10.0.0.5",
            ),
            # Something on it responds; or only one service of it is known.
            silent(_target("node", "10.0.0.5:9100", 0), _target("websocket", "10.0.0.5:3002", 1)),
            silent(_target("feed-service", "10.0.0.5:3003", 0)),
        ),
    ),
    Alert(
        name="DatabaseDown",
        expr=f"{_component('postgres')} == 0",
        for_="1m",
        severity="P0",
        summary="PostgreSQL is not responding, or takes no writes: members cannot post, write or sign in."
        " `chitlaq ops check database.ready` says which.",
        procedure="Database Health",
        family=_DOWN,
        cases=(
            *zero(_component("postgres"), component="postgres"),
            silent(steady(_component("redis"), 0)),
        ),
        absence=absent(_component("postgres"), through="ops-service"),
    ),
    Alert(
        name="EdgeDown",
        expr=f"{_component('nginx')} == 0",
        for_="1m",
        severity="P0",
        summary="nginx is not responding: members cannot reach anything.",
        procedure="Service Outage Response",
        family=_DOWN,
        labels={"service": "api-gateway"},
        cases=zero(_component("nginx"), component="nginx"),
        absence=absent(_component("nginx"), through="ops-service"),
    ),
    Alert(
        name="CacheDown",
        expr=f"{_component('redis')} == 0",
        for_="1m",
        severity="P1",
        summary="Valkey is not responding, or takes no writes: feeds are slow, rate limits and live events"
        " are off. `chitlaq ops check redis.ready` says which.",
        procedure="Redis Health",
        family=_DOWN,
        cases=zero(_component("redis"), component="redis"),
        absence=absent(_component("redis"), through="ops-service"),
    ),
    Alert(
        name="ServiceDown",
        expr=f'up{{job=~"{"|".join(_SERVING)}"}} == 0',
        for_="1m",
        severity="P1",
        summary="{{ $labels.job }} is not responding.",
        procedure="Service Outage Response",
        family=_DOWN,
        labels={"service": "{{ $labels.job }}"},
        cases=(
            fires(
                steady(_job("feed-service"), 0),
                steady(_job("websocket"), 1),
                job="feed-service",
                service="feed-service",
            ),
            silent(*(steady(_job(job), 1) for job in _SERVING)),
        ),
        absence=absent(*map(_job, _SERVING), through="prometheus"),
    ),
    Alert(
        name="MonitoringDown",
        expr=f'up{{job=~"{"|".join(_WATCHING)}"}} == 0',
        for_="5m",
        severity="P2",
        summary="{{ $labels.job }} is not responding: nothing that it monitors is visible.",
        procedure="Monitoring Dashboard Review",
        family=_DOWN,
        labels={"service": "{{ $labels.job }}"},
        cases=(
            fires(steady(_job("node"), 0), job="node", service="node"),
            silent(*(steady(_job(job), 1) for job in _WATCHING)),
        ),
    ),
    Alert(
        name="SamplesNotStored",
        # A disk that fills quickly takes no sample that says so, and what was stored last seems to go on.
        # Prometheus still evaluates, and reports, what needs no new one. Of each target: what little space
        # others free takes the small ones, and not those that tell of the disk. 25 s are an interval and a
        # scrape.
        expr="max(time() - timestamp(up)) > 30 or absent(up)",
        for_="1m",
        severity="P0",
        summary="Prometheus stores no samples of some targets any more, so other alerts do not see what"
        " happens now. Its disk is full or broken, or it reaches nothing:"
        " `chitlaq ops check host.disk services.targets`, then `chitlaq logs prometheus --tail 50`.",
        procedure="Disk Cleanup",
        cases=(
            fires(InputSeries(_job("node"), "1x28"), at="31m"),
            fires(InputSeries(_job("node"), "1x5"), at="31m"),
            fires(InputSeries(_job("node"), "1x28"), steady(_job("prometheus"), 1), at="31m"),
            silent(steady(_job("node"), 0)),
            # A target that is no longer one.
            silent(
                InputSeries(_job("node"), "1x28 stale"), steady(_job("prometheus"), 1), at="31m"
            ),
            # Stored again since a minute.
            silent(InputSeries(_job("node"), "1x20 _x9 1x600"), at="31m"),
        ),
    ),
    Alert(
        name="VersionsDiffer",
        # A rollout with its proof takes minutes; what it has left behind stays.
        expr=f"sum({_DIFFERS}) > 0",
        for_="1h",
        severity="P3",
        summary="{{ $value | humanize }} processes run another version of ChitLaq than the supervisor, which"
        " starts its own the next time: `chitlaq ops check services.versions` says which, and what to do.",
        procedure="Docker Services",
        cases=(
            fires(
                steady(f'{_DIFFERS}{{component="auth-service"}}', 1),
                steady(f'{_DIFFERS}{{component="feed-service"}}', 1),
                steady(f'{_DIFFERS}{{component="websocket"}}', 0),
                value="2",
            ),
            silent(steady(f'{_DIFFERS}{{component="feed-service"}}', 0)),
            # A rollout that began 15 minutes ago.
            silent(InputSeries(f'{_DIFFERS}{{component="feed-service"}}', "0x60 1x60"), at="75m"),
        ),
    ),
    Alert(
        name="ExporterBlind",
        expr="increase(exporter_errors_total[2m]) > 1",
        for_="5m",
        severity="P2",
        summary="ops-service cannot read {{ $labels.source }}: its metrics are missing.",
        procedure="Monitoring Dashboard Review",
        stands_on=("DatabaseDown", "CacheDown", "EdgeDown"),
        cases=(
            fires(rising(_ERRORS, 0.6), source="queues"),
            silent(rising(_ERRORS, 0.2)),
            silent(steady(_ERRORS, 40)),
        ),
    ),
    Alert(
        name="Watchdog",
        # It is silent only in the first minute after Prometheus has started.
        expr="vector(1)",
        for_="1m",
        severity="none",
        summary="Alerts travel from Prometheus to ops-service; when this one stops, they no longer"
        " do.",
        procedure="Alert Response",
        cases=(fires(), silent(at="0m")),
    ),
)
