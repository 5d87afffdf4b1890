"""What is down is an incident and a page, also when nothing is left that could tell; flickering is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from chitlaq.core import tasks
from chitlaq.core.installation import secrets
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Operations, Settings, Smtp
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.escalation import clock
from chitlaq.ops.escalation.engine import Engine
from chitlaq.ops.history.alert_history import AlertmanagerPayload, ReportedAlert
from chitlaq.ops.incidents import incidents, keeping, timeline
from chitlaq.ops.watchdog import probing
from chitlaq.ops.watchdog.alert_path import AlertPath
from chitlaq.ops.watchdog.probing import ALERTS, MISSES, PATIENCE_SECONDS, Watch
from chitlaq.stack.supervisor import probes
from tests.conftest import eventually
from tests.ops.receivers import MailServer, mail_server

ALL = frozenset(ALERTS)


def watched(*outcomes: str, answered: frozenset[str] = ALL) -> Watch:
    """A watch that saw these components down, once per outcome, ten seconds apart."""
    watch = Watch(ALL, answered)
    for number, outcome in enumerate(outcomes):
        for name in ALL:
            watch.saw(name, 10.0 * number, is_up=name not in outcome.split())
    return watch


def test_flickering_is_no_failure_and_one_answer_no_end() -> None:
    assert not watched("redis", "redis", "", "redis", "redis").is_down("redis")
    assert watched(*["redis"] * MISSES).is_down("redis")
    assert not watched(*["redis"] * MISSES, "").is_back("redis")
    assert watched(*["redis"] * MISSES, "", "").is_back("redis")


def test_what_never_answered_is_not_here() -> None:
    never = watched(*["prometheus"] * 5, answered=frozenset())
    assert not never.is_down("prometheus")


def test_what_alerts_tell_is_left_to_them_for_a_while() -> None:
    down = watched(*["postgres"] * MISSES)
    assert down.to_raise(30.0, alerts_arrive=True) == {}
    assert set(down.to_raise(PATIENCE_SECONDS, alerts_arrive=True)) == {"postgres"}
    assert set(down.to_raise(30.0, alerts_arrive=False)) == {"postgres"}
    both = watched(*["postgres alertmanager"] * MISSES)
    assert set(both.to_raise(30.0, alerts_arrive=True)) == {"postgres", "alertmanager"}


@pytest.fixture
def smtp() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@asynccontextmanager
async def ops_service(home: Home, smtp: MailServer) -> AsyncIterator[OpsDatabase]:
    """What ops-service does about probes, where nothing else answers; with the pauses of a test."""
    settings = Settings(
        smtp=Smtp(host="127.0.0.1", port=smtp.port, start_tls=False),
        operations=Operations(report_to=("ops@example.edu",)),
    )
    arrived, changed = asyncio.Event(), asyncio.Event()
    found = {
        "postgres": probes.postgres(home.postgres_socket, settings.port_of("postgres")),
        "redis": probes.redis(home),
        "nginx": probes.edge(home.nginx_probe),
        **{
            name: probes.observer(home, settings, name, "/-/ready")
            for name in ("prometheus", "alertmanager")
        },
    }
    with OpsDatabase(home, is_keeper=True) as database:
        for name in found:
            await database.write(statement("component_answered", name, "2026-01-01T00:00:00Z"))
        async with tasks.running(
            partial(probing.watch_forever, found, database, AlertPath(), arrived),
            partial(keeping.keep_forever, database, clock.now, arrived, changed),
            Engine(home, settings, database, changed).run_forever,
        ):
            yield database


async def test_everything_stopped_at_once_is_one_incident_and_one_page(
    tmp_path: Path, smtp: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "EVERY_SECONDS", 0.05)
    async with ops_service(Home(tmp_path), smtp) as database:
        await eventually(lambda: smtp.mails)
        (incident,) = await incidents.listed(database, limit=10)
        assert incident.severity == "P0"
        assert {one.name for one in incident.alerts} == {one.name for one in ALERTS.values()}
        fired = [one for one in await timeline.of(database, incident.id) if one.kind == "alert"]
        assert {one.actor for one in fired} == {"ops-service"}, "nobody else was there to tell"
        ((address, subject, _),) = smtp.mails
        assert address == "ops@example.edu"
        assert subject.startswith("P0 incident 1: ")


async def test_alert_of_a_probe_ends_when_the_component_answers_again(
    tmp_path: Path, smtp: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "EVERY_SECONDS", 0.05)
    home = Home(tmp_path)
    async with ops_service(home, smtp) as database:
        await eventually(lambda: smtp.mails)

        async def pong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1000)
            writer.write(b"+OK\r\n+PONG\r\n:1\r\n")
            writer.close()

        secrets.ensure(home)
        home.run.mkdir()
        async with await asyncio.start_unix_server(pong, str(home.redis_socket)):

            async def ended() -> set[str]:
                (incident,) = await incidents.listed(database, limit=10)
                return {one.name for one in incident.alerts if one.ended_at is not None}

            assert await eventually(ended) == {"CacheDown"}


def reported(name: str, status: str) -> AlertmanagerPayload:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return AlertmanagerPayload([ReportedAlert(status, {"alertname": name}, {}, at, at, name)])


def test_alert_path_works_while_the_watchdog_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("chitlaq.ops.watchdog.alert_path.monotonic", lambda: now[0])
    path = AlertPath()
    works = [path.works]
    for name, status in (("DiskFull", "firing"), ("Watchdog", "resolved"), ("Watchdog", "firing")):
        path.look(reported(name, status))
        works.append(path.works)
    assert works == [False, False, False, True]
    for seconds, still_works in ((149, True), (2, False)):
        now[0] += seconds
        assert path.works == still_works
    # Prometheus is down: Alertmanager ends the Watchdog after some minutes, and nothing else is heard.
    path.look(reported("Watchdog", "firing"))
    path.look(reported("DiskFull", "resolved"))
    assert path.works
    path.look(reported("Watchdog", "resolved"))
    assert not path.works
