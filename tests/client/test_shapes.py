"""The SDK reads what the services send, and imports none of their types: both are held together here."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from msgspec import inspect

from chitlaq.client import frames, shapes
from chitlaq.core.http.pictures import Picture
from chitlaq.services.feed import schemas as feed_schemas
from chitlaq.services.feed.discovery import schemas as discovery
from chitlaq.services.feed.media import schemas as media
from chitlaq.services.feed.members import schemas as members
from chitlaq.services.feed.suggestions import schemas as suggestions
from chitlaq.services.feed.threads import schemas as threads
from chitlaq.services.websocket import protocol
from chitlaq.services.websocket.chat import frames as chat_frames
from chitlaq.services.websocket.chat import schemas
from chitlaq.services.websocket.notifications import schemas as notifications
from chitlaq.services.websocket.sockets.frames import type_of

BODIES: dict[type[msgspec.Struct], type[msgspec.Struct]] = {
    shapes.Person: schemas.Person,
    shapes.Participant: schemas.Participant,
    shapes.Conversation: schemas.Conversation,
    shapes.Reaction: schemas.Reaction,
    shapes.Message: schemas.Message,
    shapes.Picture: Picture,
    shapes.MessagePage: schemas.MessagePage,
    shapes.Edit: schemas.Edit,
    shapes.Privacy: schemas.Privacy,
    shapes.Post: feed_schemas.Post,
    shapes.Poll: feed_schemas.Poll,
    shapes.PollOption: feed_schemas.PollOption,
    shapes.Place: threads.Place,
    shapes.Branch: threads.Branch,
    shapes.Thread: threads.Thread,
    shapes.TrendingTag: discovery.TrendingTag,
    shapes.Media: media.Media,
    shapes.Profile: members.Profile,
    shapes.Suggestion: suggestions.Suggestion,
    shapes.Actor: notifications.Actor,
    shapes.ConversationCard: notifications.ConversationCard,
    shapes.Excerpt: notifications.Excerpt,
    shapes.Notification: notifications.Notification,
    shapes.NotificationPage: notifications.NotificationPage,
}
SENT = {type_of(kind): kind for kind in get_args(protocol.Outgoing)}
# Of no use to an application.
LEFT_OUT = {
    shapes.MessagePage: {"page", "limit", "next_cursor"},
    shapes.NotificationPage: {"page", "limit"},
    frames.SignedIn: {"account_id"},
    shapes.Post: {"quote_detached"},
    shapes.Profile: {"bio_links", "fields"},
}
# Whoever wrote or shared a post is a person to the SDK.
NAMES = {"Author": "Person", "Reposter": "Person"}
PAIRS = [*BODIES.items(), *((kind, SENT[name]) for name, kind in frames.KINDS.items())]
"""The SDK's type, and the service's."""


def test_every_frame_is_known_to_the_sdk() -> None:
    """A pong is the answer to `pinging`; connections are kept by pings of RFC 6455."""
    assert set(SENT) - {"pong"} == set(frames.KINDS)


@pytest.mark.parametrize(("own", "theirs"), PAIRS, ids=lambda kind: kind.__name__)
def test_sdk_has_each_field_as_it_is_sent(
    own: type[msgspec.Struct], theirs: type[msgspec.Struct]
) -> None:
    expected = {one.name: one for one in msgspec.structs.fields(theirs)}
    found = {one.name: one for one in msgspec.structs.fields(own)}
    assert set(expected) - set(found) == LEFT_OUT.get(own, set())
    for name, field in found.items():
        if field.type is shapes.Post:
            continue  # Of the feed: passed through by the WebSocket as it is.
        kinds = kinds_of(inspect.type_info(expected[name].type))
        if msgspec.UnsetType in get_args(expected[name].type):
            kinds |= {"NoneType"}  # What is left out reads as null.
        assert kinds_of(inspect.type_info(field.type)) == kinds, name


def kinds_of(info: Any) -> frozenset[Any]:
    """What a type is in JSON."""
    match info:
        case inspect.UnionType():
            return frozenset().union(*map(kinds_of, info.types))
        case inspect.LiteralType() | inspect.StrType():
            return frozenset({"str"})
        case inspect.CollectionType() | inspect.ListType() | inspect.VarTupleType():
            return frozenset({("list", kinds_of(info.item_type))})
        case inspect.DictType():
            return frozenset({("dict", kinds_of(info.key_type), kinds_of(info.value_type))})
        case inspect.StructType():
            return frozenset({NAMES.get(info.cls.__name__, info.cls.__name__)})
        case _:
            return frozenset({type(info).__name__})


def test_frames_of_messages_are_messages() -> None:
    """What `test_sdk_has_each_field` compares for one holds for all three."""
    for kind in (chat_frames.MessageFrame, chat_frames.MessageChanged):
        assert issubclass(kind, schemas.Message)
