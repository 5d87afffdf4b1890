"""Digests by mail: the websocket service counts, and auth-service, which has the addresses, writes."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import msgspec

from chitlaq.core.data.jobs import JobKind


class MailDigest(msgspec.Struct, frozen=True):
    """What is new to a member, as numbers by kind of notification, and what ends their digests."""

    account_id: UUID
    counts: Mapping[str, int]
    unsubscribe_token: UUID


MAIL_DIGEST = JobKind("mail_digest", MailDigest)
UNSUBSCRIBE_PATH = "/unsubscribe"
