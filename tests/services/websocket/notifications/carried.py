"""What leaves the house: what browsers are pushed and mails say of what members were told so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from tests.conftest import Stack, eventually
from tests.services.websocket.notifications import push_service
from tests.services.websocket.notifications.push_service import PushService


@dataclass(frozen=True)
class Carried:
    """For one member: what their browser could decrypt, and the whole of each digest."""

    pushes: list[bytes]
    mails: list[str]

    @property
    def lines(self) -> list[str]:
        """What the digests count, one kind in each."""
        return [line for mail in self.mails for line in mail.splitlines() if line.startswith("- ")]


NOTHING = Carried([], [])


def push_of(notification_id: str) -> bytes:
    return f'{{"id":"{notification_id}"}}'.encode()


async def carried(
    stack: Stack, service: PushService, members: Mapping[str, str | UUID]
) -> dict[str, Carried]:
    """Open both channels to members, by username and id, once all that happened to them was looked at.

    Each gets a browser that was never pushed to, and a digest that is due.
    """

    async def notify_is_done() -> bool:
        return not await stack.sql(
            "SELECT FROM jobs.jobs WHERE kind = 'notify' AND due_at < now() + interval '10 s'"
        )

    await eventually(notify_is_done)
    browsers = {name: service.browser() for name in members}
    for name, own in members.items():
        subscription = browsers[name].subscription
        await stack.sql(
            "WITH device AS (INSERT INTO auth.sessions (account_id, refresh_hash, user_agent, expires_at)"
            " VALUES ($1, sha256(uuidv4()::text::bytea), '', now() + interval '1 day') RETURNING id"
            "), subscribed AS (INSERT INTO websocket.push_subscriptions"
            " (session_id, account_id, endpoint, public_key, secret, pushed_until)"
            " SELECT id, $1, $2, $3, $4, now() - interval '1 day' FROM device)"
            " INSERT INTO jobs.jobs (kind, payload, request_id)"
            " SELECT 'push', jsonb_build_object('session_id', id), 'test' FROM device",
            own,
            subscription["endpoint"],
            push_service.decoded(subscription["keys"]["p256dh"]),
            push_service.decoded(subscription["keys"]["auth"]),
        )
    ids = list(members.values())
    await stack.sql(
        "INSERT INTO websocket.notification_settings (account_id, digest, digest_due_at, digested_at)"
        " SELECT m, 'daily', now(), now() - interval '1 day' FROM unnest($1::uuid[]) m"
        " ON CONFLICT (account_id) DO UPDATE SET digest = excluded.digest,"
        " digest_due_at = excluded.digest_due_at, digested_at = excluded.digested_at",
        ids,
    )

    async def is_over() -> bool:
        rows = await stack.sql(
            "SELECT FROM jobs.jobs WHERE (kind = 'mail_digest' AND state <> 'dead') OR request_id = 'test'"
            " UNION ALL SELECT FROM websocket.notification_settings"
            " WHERE account_id = ANY ($1::uuid[]) AND digest_due_at <= now()",
            ids,
        )
        return not rows

    await eventually(is_over)
    found = await stack.sql(
        "SELECT a.username, m.subject || E'\\n' || m.text || E'\\n' || m.html AS said"
        " FROM auth.accounts a JOIN mail.messages m ON m.to_address = a.email"
        " WHERE a.id = ANY ($1::uuid[]) AND m.unsubscribe <> ''",
        ids,
    )
    return {
        name: Carried(
            [browsers[name].decrypted(one.body) for one in browsers[name].got],
            [row["said"] for row in found if row["username"] == name],
        )
        for name in members
    }
