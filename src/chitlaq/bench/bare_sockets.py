"""A WebSocket server that does nothing but send what one client sends to all: ``python -m … PORT``.

What chat's fan-out is compared with: the same frames on the same transport, without knowing anybody.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
# As long as a message of chat.
FRAME = (
    '{{"type":"message","conversation_id":"0197a7a0-0000-7000-8000-000000000000","id":'
    '"0197a7a0-0000-7000-8000-000000000000","seq":1234,"sender":{{"username":"somebody","display_name":'
    '"Somebody Long","avatar_url":null}},"text":"{text}","sent_at":"2026-01-01T00:00:00.000000Z",'
    '"edited_at":null,"deleted":false,"reply_to":null,"reactions":{{}},"media":[]}}'
)
ACK = b'\x81\x0e{"type":"ack"}'

_all: set[asyncio.Transport] = set()


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self._is_open:
            self._is_open = True
            self._transport.write(ANSWER)
            _all.add(self._transport)
            return
        at = data.index(b'"text":"') + 8
        payload = FRAME.format(text=data[at : data.index(b'"', at)].decode()).encode()
        frame = b"\x81\x7e" + len(payload).to_bytes(2) + payload
        for one in _all:
            if one is not self._transport:
                one.write(frame)
        self._transport.write(ACK)

    def connection_lost(self, exc: Exception | None) -> None:
        _all.discard(self._transport)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
