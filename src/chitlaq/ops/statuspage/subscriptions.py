"""Mail to those who asked for it: double opt-in, and one click to end it (RFC 8058).

Nothing is stored of an address before its owner confirms it: the link in the first mail carries the
request, signed. So the answer to a request depends on nothing that is stored about the address, and nobody
learns who is subscribed.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from chitlaq.core import addresses, ids
from chitlaq.core.data.mail import Mail
from chitlaq.core.data.postgres import Database
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.ops.database.database import OpsDatabase, Transaction, statement
from chitlaq.ops.report import delivery
from chitlaq.ops.statuspage import snapshot
from chitlaq.ops.statuspage.components import selected
from chitlaq.web.console.status import pages
from chitlaq.web.console.status.words import StatusWords, words

T = TypeVar("T", bound=msgspec.Struct)

CONFIRM_HOURS = 24
HOUR = timedelta(hours=1)
YEAR = timedelta(days=365)
TICK = timedelta(microseconds=1)
MOST_PER_MAILBOX = 2
"""Confirmation mails to one mailbox within an hour."""
MOST_PER_NETWORK = 20
"""Requests from one address, or /64 of IPv6, within an hour."""
BATCH = 100

log = logs.get("subscriptions")


class InvalidTokenError(Exception):
    """A link that was not made here, or has expired."""


class TooOftenError(Exception):
    """A network has asked as often as it may."""


class Wish(msgspec.Struct, frozen=True, tag="confirm"):
    """What somebody asks for, as the link in the first mail carries it."""

    address: str
    language: str
    components: list[str]
    expires_at: int


class Subscription(msgspec.Struct, frozen=True, tag="end"):
    """Which subscription a link ends."""

    id: UUID
    language: str


class Subscriptions:
    """Requests for mail, and the mails.

    Args:
        database: has the subscribers.
        mails: has the mail queue.
        settings: where the links lead.
        secrets: with the key that signs them.
    """

    def __init__(
        self, database: OpsDatabase, mails: Database, settings: Settings, secrets: Secrets
    ) -> None:
        self._database = database
        self._mails = mails
        self._settings = settings
        self._secrets = secrets

    async def ask(
        self, address: str, language: str, names: Sequence[str], network: str | None
    ) -> None:
        """Send the mail whose link confirms a subscription, unless its mailbox got several within the hour.

        Args:
            network: what counts as one asker; None for one that is exempt from limits.

        Raises:
            ValueError: it is not an address that is written to.
            OperatorError: there is no such component.
            TooOftenError: this network asked too often.
            OpsDatabaseUnavailableError: nothing can be counted, so nothing is sent.
        """
        now = datetime.now(UTC)
        wanted = Wish(
            addresses.checked(address.strip()),
            language,
            selected(names),
            int(now.timestamp()) + CONFIRM_HOURS * 3600,
        )
        asker = self._hidden(network) if network is not None else ""
        mailbox = self._hidden(_mailbox(wanted.address))

        def noted(transaction: Transaction) -> bool:
            if asker:
                (row,) = transaction.rows("requests_of_network", asker, now - HOUR)
                if row["requests"] >= MOST_PER_NETWORK:
                    raise TooOftenError
            since = now - HOUR
            made = (ids.new(), mailbox, asker, now, since, MOST_PER_MAILBOX)
            return bool(transaction.rows("note_subscription_request", *made))

        if await self._database.transact(noted):
            await delivery.queue(self._database, self._mails, self._confirmation(wanted))

    async def confirm(self, token: str) -> Wish:
        """Subscribe whoever has the link of the first mail, and return what was asked for.

        Raises:
            InvalidTokenError: the link is not ours, or has expired.
            OpsDatabaseUnavailableError: it cannot be stored.
        """
        wanted = self.wish(token)
        known = self._id(wanted.address)

        def stored(transaction: Transaction) -> None:
            at = _after(transaction.rows("last_wish", known, wanted.address))
            components = msgspec.json.encode(wanted.components).decode()
            row = (known, wanted.address, wanted.language, components, at)
            transaction.write(statement("subscribe", *row), statement("drop_end", known))

        await self._database.transact(stored)
        return wanted

    def wish(self, token: str) -> Wish:
        """Return what a link of a first mail asks for.

        Raises:
            InvalidTokenError: the link is not ours, or has expired.
        """
        wanted = self._verified(token, Wish)
        if wanted.expires_at < datetime.now(UTC).timestamp():
            raise InvalidTokenError
        return wanted

    async def end(self, token: str) -> Subscription:
        """End a subscription, and return which; again changes nothing.

        Raises:
            InvalidTokenError: the link is not ours.
            OpsDatabaseUnavailableError: it cannot be stored.
        """
        ending = self.subscription(token)

        def stored(transaction: Transaction) -> None:
            at = _after(transaction.rows("last_wish", ending.id, None))
            transaction.write(
                statement("unsubscribe", ending.id), statement("keep_end", ending.id, at)
            )

        await self._database.transact(stored)
        return ending

    def subscription(self, token: str) -> Subscription:
        """Return which subscription a link ends.

        Raises:
            InvalidTokenError: the link is not ours.
        """
        return self._verified(token, Subscription)

    async def send_waiting(self) -> int:
        """Hand the mails that wait to the mail queue, and return how many; the rest waits for PostgreSQL.

        Raises:
            OpsDatabaseUnavailableError: the waiting mails cannot be read.
        """
        sent = 0
        while rows := await self._database.rows("subscriber_mails", BATCH):
            for row in rows:
                known = mail_id(UUID(row["update_id"]), UUID(row["subscriber_id"]))
                if not await delivery.put(self._mails, self._update(row), known):
                    return sent
                await self._database.write(
                    statement("drop_subscriber_mail", row["update_id"], row["subscriber_id"])
                )
                sent += 1
        return sent

    async def tidy(self) -> None:
        """Forget requests that no limit counts any more, and ended subscriptions after a year.

        Raises:
            OpsDatabaseUnavailableError: they cannot be deleted.
        """
        now = datetime.now(UTC)
        await self._database.write(
            statement("forget_subscription_requests", now - HOUR, now + HOUR),
            statement("forget_ends", now - YEAR),
        )

    def _confirmation(self, wanted: Wish) -> Mail:
        spoken = words(wanted.language)
        link = self._link("confirm", wanted)
        text = spoken(
            "mail.confirm.text",
            components=spoken.components(wanted.components),
            hours=CONFIRM_HOURS,
            link=link,
        )
        subject = spoken("mail.confirm.subject")
        return Mail(
            wanted.address, subject, text, pages.mail(wanted.language, subject, text), [link]
        )

    def _update(self, row: sqlite3.Row) -> Mail:
        language = row["language"]
        is_turkish = language == "tr"
        spoken = words(language)
        link = self._link("unsubscribe", Subscription(UUID(row["subscriber_id"]), language))
        page = f"{self._settings.base_url}/status/{language}"
        told = row["text_tr"] if is_turkish else row["text"]
        if row["components"]:
            told = self._of_maintenance(row, spoken, told)
        text = f"{told}\n\n{spoken('mail.update.end', page=page, link=link)}"
        subject = spoken(
            "mail.update.subject",
            status=spoken(f"status.{row['status']}"),
            title=row["title_tr"] if is_turkish else row["title"],
        )
        return Mail(
            row["address"], subject, text, pages.mail(language, subject, text), [page, link], link
        )

    def _of_maintenance(self, row: sqlite3.Row, spoken: StatusWords, own: str) -> str:
        """Return what a mail about announced work says: of its end without the operator's own text."""
        where = snapshot.zone(self._settings)
        start, end = (
            spoken.moment(datetime.fromisoformat(row[name]).astimezone(where))
            for name in ("starts_at", "ends_at")
        )
        names = spoken.components(msgspec.json.decode(row["components"]))
        sentence = spoken(f"update.{row['status']}", components=names, start=start, end=end)
        is_ahead = row["status"] in {"scheduled", "in_progress"}
        return f"{sentence}\n\n{own}" if own and is_ahead else sentence

    def _link(self, action: str, carried: Wish | Subscription) -> str:
        query = urlencode({"token": self._token(carried)})
        return f"{self._settings.base_url}/status/{action}?{query}"

    def _token(self, carried: Wish | Subscription) -> str:
        content = msgspec.json.encode(carried)
        return _encoded(self._signature(content) + content)

    def _verified(self, token: str, kind: type[T]) -> T:
        try:
            raw = urlsafe_b64decode(token.encode("ascii") + b"=" * (-len(token) % 4))
            signature, content = raw[:32], raw[32:]
            # The decoder skips what is no letter of it, so compare what is read, too.
            is_ours = hmac.compare_digest(signature, self._signature(content))
            if not is_ours or _encoded(raw) != token:
                raise InvalidTokenError
            return msgspec.json.decode(content, type=kind)
        except (ValueError, msgspec.DecodeError):
            raise InvalidTokenError from None

    def _id(self, address: str) -> UUID:
        """Return the id of a new subscription: the same at each node, whose links end it everywhere."""
        return UUID(bytes=self._signature(b"subscriber " + address.encode())[:16])

    def _hidden(self, text: str) -> str:
        """Return what stands for an address while it is counted."""
        return self._signature(text.encode()).hex()

    def _signature(self, content: bytes) -> bytes:
        return hmac.digest(self._secrets.subscription_key.encode(), content, "sha256")


def mail_id(update: UUID, subscriber: UUID) -> UUID:
    """Return the id of the mail about an update to a subscriber: always the same, so it is queued once.

    It sorts by the update's time, as ids of mails do.
    """
    digest = hashlib.sha256(update.bytes + subscriber.bytes).digest()
    return UUID(bytes=update.bytes[:8] + bytes([0x80 | digest[0] & 0x3F]) + digest[1:8])


def _after(before: Sequence[sqlite3.Row]) -> datetime:
    """Return the moment of what somebody wants now: after what they said before, whatever clock that had."""
    now = datetime.now(UTC)
    return max([now, *(datetime.fromisoformat(row["at"]) + TICK for row in before)])


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _mailbox(address: str) -> str:
    """Return what counts as one mailbox: ``name+anything@`` is ``name@``."""
    local_part, _, domain = address.rpartition("@")
    return f"{local_part.partition('+')[0]}@{domain}"
