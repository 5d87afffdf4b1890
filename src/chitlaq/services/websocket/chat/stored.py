"""Messages as they are stored, and as each reader sees them."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from chitlaq.core.http.pictures import Picture
from chitlaq.core.text import tokens
from chitlaq.services.websocket.chat.schemas import Message, Person, Reaction

_reactors = msgspec.json.Decoder(dict[str, list[UUID]])
_Columns = tuple[UUID, int, int, str, str | None, bool]
_picture = msgspec.json.Decoder(_Columns)
_pictures = msgspec.json.Decoder(list[_Columns | None])


class Place(NamedTuple):
    """Which message: its conversation and its number."""

    conversation_id: UUID
    seq: int


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """A message with all that decides how somebody sees it.

    Args:
        message: with the sender's ``client_id``.
        folded_for: who blocks the sender, of those who take part.
        reactors: who reacted, by emoji.
    """

    message: Message
    sender_id: UUID | None
    folded_for: Collection[UUID] = ()
    reactors: Mapping[str, Collection[UUID]] = {}

    @classmethod
    def of(cls, row: Any) -> Stored:
        """Make one from a row of ``messages_between`` or ``messages_named``."""
        (conversation_id, id_, seq, sender_id, client_id, text, sent_at, edited_at, is_deleted, reply_to,
         event, subject, username, display_name, avatar_url, reactions, folded_for, media,
         *_) = row  # fmt: skip
        shown, lost = pictures(media)
        message = Message(
            conversation_id=conversation_id,
            id=id_,
            seq=seq,
            sender=Person(username, display_name, avatar_url) if username is not None else None,
            text=text,
            sent_at=sent_at,
            edited_at=edited_at,
            deleted=is_deleted,
            reply_to=reply_to,
            event=event,
            subject=subject,
            mentions=tokens.parsed(text).mentions if event is None else (),
            media=shown,
            lost_pictures=lost or msgspec.UNSET,
            client_id=client_id if client_id is not None else msgspec.UNSET,
        )
        reactors = _reactors.decode(reactions) if reactions is not None else {}
        return cls(message, sender_id, folded_for or (), reactors)

    def variant(self, reader: UUID) -> Hashable:
        """Return what differs in how this reader sees the message: readers with the same see the same."""
        is_own = reader == self.sender_id
        if not self.folded_for and not self.reactors:
            return is_own
        mine = tuple(emoji for emoji, accounts in self.reactors.items() if reader in accounts)
        return is_own, reader in self.folded_for, mine

    def seen_by(self, reader: UUID) -> Message:
        """Return the message as this reader sees it."""
        changes: dict[str, Any] = {}
        if reader != self.sender_id:
            changes["client_id"] = msgspec.UNSET
        if reader in self.folded_for:
            changes["folded"] = True
        if self.reactors:
            changes["reactions"] = {
                emoji: Reaction(len(accounts), reader in accounts)
                for emoji, accounts in self.reactors.items()
            }
        return msgspec.structs.replace(self.message, **changes) if changes else self.message


def pictures(encoded: str | None) -> tuple[Sequence[Picture], int]:
    """Return a message's pictures from the column ``media`` of ``websocket.complete_messages``.

    The number is of those that failed or were removed.
    """
    if encoded is None:
        return (), 0
    columns = _pictures.decode(encoded)
    shown = [Picture.of(*one) for one in columns if one is not None]
    return shown, len(columns) - len(shown)


def picture(encoded: str | None) -> Picture | None:
    """Return a group's picture from the column ``picture`` of ``websocket.conversation_pictures``."""
    return Picture.of(*_picture.decode(encoded)) if encoded is not None else None
