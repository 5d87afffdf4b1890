"""One installation's escalation with a clock that a test sets, and receivers of its messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Operations, Settings, Smtp
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.escalation.clock import corrected
from chitlaq.ops.escalation.engine import Engine
from chitlaq.ops.history import alert_history
from chitlaq.ops.history.alert_history import AlertmanagerPayload
from chitlaq.ops.incidents import incidents, keeping, timeline
from chitlaq.ops.incidents.changes import Severity
from chitlaq.ops.incidents.incidents import Incident
from tests.ops.incidents.alerts import NOW, alert
from tests.ops.receivers import MailServer, WebService, mail_server, web_service


@dataclass
class SetClock:
    """A clock that stands still until a test lets time pass, or sets the wall clock."""

    begun: float = field(default_factory=time.monotonic)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: float = 1000.0
    boot: str = "one"

    def wall(self) -> datetime:
        return self.now

    def elapsed(self) -> float:
        return self.seconds

    def boot_id(self) -> str:
        return self.boot

    def pass_(self, **time_: float) -> None:
        self.now += timedelta(**time_)
        self.seconds += timedelta(**time_).total_seconds()

    def at(self, **later: float) -> datetime:
        return self.now + timedelta(**later)

    def set(self, **step: float) -> None:
        self.now += timedelta(**step)


@dataclass
class Escalation:
    home: Home
    database: OpsDatabase
    clock: SetClock
    web: WebService
    smtp: MailServer
    operations: Operations = field(default_factory=Operations)
    engines: list[Engine] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        smtp = Smtp(host="127.0.0.1", port=self.smtp.port, start_tls=False)
        return Settings(smtp=smtp, operations=self.operations)

    @property
    def engine(self) -> Engine:
        if not self.engines:
            self.engines.append(
                Engine(self.home, self.settings, self.database, asyncio.Event(), self.clock)
            )
        return self.engines[-1]

    def write(self, roster: str) -> None:
        self.home.oncall_file.write_text(roster)

    def write_people(self, *names: str) -> None:
        """Write a roster in which each level has one of these people, with their mail address."""
        people = "".join(
            f'[people.{name}]\nchannels = [{{ url = "{name}@example.edu" }}]\n' for name in names
        )
        levels = zip(("on-call", "lead", "cto"), names, strict=False)
        said = "".join(f'{level} = ["{name}"]\n' for level, name in levels)
        self.write(f"{people}[levels]\n{said}")

    async def opened(self, severity: Severity = "P0", title: str = "It burns") -> Incident:
        made = await incidents.open_by_hand(self.database, title, severity, "tester")
        # Of the clock that stands still: the incident is opened now.
        self.clock.now = max(self.clock.now, made.opened_at)
        return made

    def told(self) -> list[str]:
        """Who got mails, in their order."""
        return self.smtp.told()

    def refuse(self, *names: str) -> None:
        self.smtp.answers |= {f"{name}@example.edu": "554 refused" for name in names}

    async def run(self) -> None:
        """Do what is due now, to its end."""
        for _ in range(20):
            before = len(self.web.came), len(self.smtp.mails)
            await self.engine.tick()
            await self.engine.idle()
            await self.engine.tick()
            await self.engine.idle()
            if before == (len(self.web.came), len(self.smtp.mails)):
                return
        raise AssertionError("it never stops sending")

    async def settle(self) -> None:
        """Let acknowledgements expire, as ops-service does periodically."""
        await keeping.keep(self.database, partial(corrected, clock=self.clock))

    async def fires(self, since: datetime, *, is_over: bool = False, severity: str = "P0") -> None:
        """Let an alert that began at a moment fire, or end now, and ops-service take note."""
        at = (since - NOW).total_seconds()
        until = (self.clock.now - NOW).total_seconds() if is_over else None
        one = alert("CacheDown", at=at, until=until, severity=severity)
        await alert_history.store(self.database, AlertmanagerPayload([one]))
        await self.settle()
        await self.run()

    async def pause(self) -> None:
        await asyncio.sleep(0.02)

    async def lines(self, number: int) -> list[str]:
        return [entry.text for entry in await timeline.of(self.database, number)]


@pytest.fixture(scope="module")
def receivers() -> Iterator[tuple[WebService, MailServer]]:
    with web_service() as web, mail_server() as smtp:
        yield web, smtp


@pytest.fixture
def escalation(tmp_path: Path, receivers: tuple[WebService, MailServer]) -> Iterator[Escalation]:
    web, smtp = receivers
    web.came.clear()
    web.statuses.clear()
    smtp.mails.clear()
    smtp.answers.clear()
    home = Home(tmp_path)
    with OpsDatabase(home, is_keeper=True) as database:
        yield Escalation(home, database, SetClock(), web, smtp)
