"""Web Push: tells a device that there is something new, and not what.

A push goes through the servers of the browser's maker, and shows on a locked screen. So it carries an id and
nothing else; the application asks for the rest. What was seen meanwhile is not pushed: a push is a job that
looks, when it is due, for what the member has not seen. It waits for the end of quiet hours, and between
two pushes to a device there is a pause.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from chitlaq.core.data.jobs import Handler, Job, JobKind
from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.host import http_client
from chitlaq.core.host.http_client import NoAnswerError
from chitlaq.core.installation.settings import Notifications
from chitlaq.core.telemetry import logs
from chitlaq.services.websocket.notifications.channels import encryption, metrics, quiet_hours
from chitlaq.services.websocket.notifications.channels.encryption import Identification
from chitlaq.services.websocket.notifications.channels.settings import kinds_of, quiet_hours_of

KEPT_SECONDS = 86_400
"""How long a push service keeps a push for a device that is off."""
ANSWER_SECONDS = 10.0
ANSWER_BYTES = 10_000
COUNTED = {"delivered": 0, "unreachable": 1, "refused": 6}
MOST_FAILURES = 30
"""Failures in a row, counted as above, that end a subscription: a day of silence, or five refusals."""
FIRST_PAUSE_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 3600.0
"""The pause doubles with each failure in a row; whatever happens meanwhile waits for its end."""
GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
BUSY = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})

log = logs.get("push")


class Push(msgspec.Struct, frozen=True):
    """The device, by its session, that may have something to be told."""

    session_id: UUID


PUSH = JobKind("push", Push, timeout_seconds=30.0, max_attempts=8, first_pause_seconds=15.0)


class Pushes:
    """Pushes to subscriptions.

    Args:
        database: with the subscriptions.
        settings: pauses, and which endpoints are allowed.
        identification: who we are.
    """

    def __init__(
        self, database: Database, settings: Notifications, identification: Identification
    ) -> None:
        self._database = database
        self._settings = settings
        self._identification = identification

    @property
    def handler(self) -> Handler[Push]:
        return Handler(PUSH, self._push)

    async def enqueue(self, session: Session, accounts: Sequence[UUID]) -> None:
        """Let the devices of these accounts be pushed to, in the transaction that tells them something."""
        await session.execute(
            "enqueue_pushes", accounts, self._settings.push_delay_seconds, logs.request_id()
        )

    async def _push(self, job: Job, payload: Push) -> None:
        async with self._database.session() as session:
            row = await session.row("begin_push", payload.session_id)
        if row is None:
            return
        if not row["is_live"]:
            await self._end(payload.session_id)
            return
        told = kinds_of(row)
        wanted = [kind for kind, channels in told.items() if channels.push]
        latest = await self._database.row(
            "unpushed", row["account_id"], row["pushed_until"], wanted
        )
        if latest is None:
            return
        due = self._due(row)
        if due is not None:
            async with job.completing() as session:
                await session.execute("push_later", payload.session_id, due, logs.request_id())
            return
        result = await self._send(row, latest["id"])
        metrics.PUSHES.labels(result).inc()
        if result == "gone":
            await self._end(payload.session_id)
            return
        async with job.completing() as session:
            # What was not taken is pushed later, with what is new by then.
            position = latest["position"] if result != "unreachable" else None
            failures = await session.value(
                "note_push", payload.session_id, position, COUNTED[result]
            )
            if failures is not None and failures >= MOST_FAILURES:
                await session.execute("unsubscribe", payload.session_id)
            elif position is None:
                due = row["now"] + self._pause(failures or 1)
                await session.execute("push_later", payload.session_id, due, logs.request_id())

    def _due(self, row: Any) -> datetime | None:
        """Return when a push may be sent that may not be sent now, by PostgreSQL's clock."""
        now: datetime = row["now"]
        quiet = quiet_hours_of(row)
        if quiet is not None:
            where = quiet_hours.zone(quiet.time_zone)
            until = quiet_hours.quiet_until(now, *quiet.times, where)
            if until is not None:
                return until
        pushed_at: datetime | None = row["pushed_at"]
        after = pushed_at and pushed_at + self._pause(row["failures"])
        return after if after and now < after else None

    def _pause(self, failures: int) -> timedelta:
        """Return how long nothing is sent to a device after a push, or after so many failures in a row."""
        longer = FIRST_PAUSE_SECONDS * 2.0 ** (failures - 1) if failures else 0.0
        return timedelta(
            seconds=max(self._settings.push_pause_seconds, min(longer, LONGEST_PAUSE_SECONDS))
        )

    async def _send(self, row: Any, notification: UUID) -> str:
        """Send a push; return what became of it, as in the metric."""
        content = msgspec.json.encode({"id": notification})
        endpoint = row["endpoint"]
        try:
            answer = await http_client.request(
                "POST",
                endpoint,
                timeout_seconds=ANSWER_SECONDS,
                headers={
                    "Authorization": self._identification.header(endpoint),
                    "Content-Encoding": "aes128gcm",
                    "Content-Type": "application/octet-stream",
                    "TTL": str(KEPT_SECONDS),
                    # A push that waits for a device is replaced by the next one.
                    "Topic": "notifications",
                },
                body=encryption.encrypted(content, row["public_key"], row["secret"]),
                max_bytes=ANSWER_BYTES,
                only_public=not self._settings.push_anywhere,
            )
        except NoAnswerError as error:
            # Its message has the whole endpoint, which is a secret.
            log.warning("push service unreachable", host=_host(endpoint), error=_cause(error))
            return "unreachable"
        if answer.status in GONE:
            return "gone"
        if answer.status in BUSY or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.warning("push service busy", host=_host(endpoint), status=answer.status)
            return "unreachable"
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            log.warning("push refused", host=_host(endpoint), status=answer.status)
            return "refused"
        return "delivered"

    async def _end(self, session_id: UUID) -> None:
        async with self._database.session() as session:
            await session.execute("unsubscribe", session_id)


def _host(endpoint: str) -> str:
    return urlsplit(endpoint).hostname or "?"


def _cause(error: NoAnswerError) -> str:
    return type(error.__cause__ or error).__name__
