"""Frames are what their types say, however they are encoded."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import msgspec
import pytest

from chitlaq.services.websocket.chat.frames import MessageChanged, MessageFrame
from chitlaq.services.websocket.chat.schemas import Message, Person
from chitlaq.services.websocket.sockets import frames


@pytest.mark.parametrize("kind", [MessageFrame, MessageChanged])
def test_frame_of_a_body_is_the_frame_with_its_fields(
    kind: type[MessageFrame] | type[MessageChanged],
) -> None:
    body = Message(
        conversation_id=uuid4(), id=uuid4(), seq=7, sender=Person("ada", "Ada", None),
        text='{"type":"ack"}', sent_at=datetime.now(UTC), client_id="x",
    )  # fmt: skip
    for one in (body, msgspec.structs.replace(body, client_id=msgspec.UNSET)):
        made = kind(**msgspec.structs.asdict(one))
        assert frames.encode_as(kind, one) == frames.encode(made)
