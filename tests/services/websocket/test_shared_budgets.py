"""Sockets of a process: who shares a budget (strangers, those of an account), and how all are sent away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from websockets.frames import CloseCode

from chitlaq.core.http.identity import Identity
from chitlaq.services.websocket.sockets import hub as hub_module
from chitlaq.services.websocket.sockets.frames import Pong
from chitlaq.services.websocket.sockets.hub import Hub
from chitlaq.services.websocket.sockets.socket import Socket
from tests.conftest import eventually
from tests.services.websocket.flood import TEXT, frame
from tests.services.websocket.test_connection import Client, Server, close_of

# Of its own, each socket may send more than twice as many at once.
AT_ONCE = 40
PER_SECOND = 20


class AbortableSocket(Socket):
    def __init__(self, hub: Hub) -> None:
        # Who is signed in, the test says.
        super().__init__(hub, cast(Any, None), cast(Any, None), "0" * 32, None)
        self.connections = set()

    def abort(self) -> None:
        self._transport.abort()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    monkeypatch.setattr(hub_module, "STRANGERS_FRAMES_PER_SECOND", PER_SECOND)
    monkeypatch.setattr(hub_module, "ACCOUNT_FRAMES_PER_SECOND", PER_SECOND)
    return Hub()


@pytest.fixture
def server(tmp_path: Path, hub: Hub) -> Iterator[Server]:
    server = Server(tmp_path / "socket", partial(AbortableSocket, hub))
    yield server
    server.close()


async def sign_in(server: Server, hub: Hub, client: Client, account: UUID) -> None:
    who = Identity(account, uuid4(), time.time(), int(time.time()) + 60, "key")
    server.call(lambda: hub.sign_in(client.server, who))
    await eventually(lambda: client.server.identity is not None)


async def expire(server: Server, hub: Hub, client: Client) -> None:
    """The token of a signed-in client expires: the next event tells it so."""
    who = client.server.identity
    expired = Identity(who.account_id, who.session_id, 0.0, 0, "key")
    server.call(lambda: hub.sign_in(client.server, expired))
    server.call(lambda: hub.send([who.account_id], Pong(datetime.now(UTC))))
    assert b"expired" in bytes((await client.next_frame()).data)


async def test_client_is_told_over_how_many_seconds_to_come_again(server: Server, hub: Hub) -> None:
    client = await Client(server).connect()
    server.call(client.server.shutdown)
    told, said = await client.frames()
    assert bytes(told.data) == b'{"type":"reconnect","within_seconds":5}'
    assert close_of([said])[0] == CloseCode.SERVICE_RESTART
    client.writer.close()


ADA, BOB = uuid4(), uuid4()


@pytest.mark.parametrize(
    ("accounts", "is_expired", "is_shared"),
    [
        pytest.param([None, None], False, True, id="two strangers"),
        pytest.param([ADA, ADA], False, True, id="two sockets of one account"),
        pytest.param([ADA, BOB], False, False, id="two members"),
        pytest.param([None, BOB], False, False, id="a stranger and a member"),
        pytest.param([ADA, BOB], True, True, id="two members whose tokens have expired"),
    ],
)
async def test_budget_is_shared_by(
    server: Server, hub: Hub, accounts: list[UUID | None], is_expired: bool, is_shared: bool
) -> None:
    clients = [await Client(server).connect() for _ in accounts]
    for client, account in zip(clients, accounts, strict=True):
        if account is not None:
            await sign_in(server, hub, client, account)
        if is_expired:
            await expire(server, hub, client)
    began = perf_counter()
    for client in clients:
        client.send(frame(TEXT, b'{"type":"ping"}') * AT_ONCE)
    for client in clients:
        for _ in range(AT_ONCE):
            assert b"pong" in bytes((await client.next_frame()).data)
    # Of twice as many as the budget allows at once, the rest come as it refills: in two seconds.
    assert (perf_counter() - began > 0.75 * AT_ONCE / PER_SECOND) is is_shared
    for client in clients:
        client.writer.close()
