"""Chat through kills, stops and losses: what was acknowledged is seen by everybody, once and in order."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

import httpx
import psutil
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from chitlaq.client import Chat, Message, RefusedError, Session, Tokens
from tests.conftest import (
    Member,
    Stack,
    become_member,
    eventually,
    short_form,
    start_stack,
    stop_stack,
)
from tests.services.websocket.chat.history import Record, faults
from tests.services.websocket.chat.talking import received

WORKERS = 2
SERVICE = "websocket"


@pytest.fixture(scope="module")
def pair_of_processes() -> Iterator[Stack]:
    stack = start_stack(CHITLAQ_WORKERS_WEBSOCKET=str(WORKERS))
    try:
        stack.up()
        yield stack
    finally:
        stop_stack(stack)


@pytest.fixture
async def members(pair_of_processes: Stack, name: Callable[[], str]) -> AsyncIterator[list[Member]]:
    async with httpx.AsyncClient(base_url=pair_of_processes.gateway, timeout=20) as client:
        yield [await become_member(pair_of_processes, client, name()) for _ in range(4)]


def processes(stack: Stack) -> list[int]:
    """The websocket processes, each with a socket of its own."""
    return [row["pid"] for row in stack.json("ps", "--json") if row["service"].startswith(SERVICE)]


class Client:
    """A device that writes down what it did and saw; it reaches one process, or any through nginx."""

    def __init__(self, stack: Stack, member: Member, worker: int | None, record: Record) -> None:
        self.name = f"{member.username}@{'nginx' if worker is None else worker}"
        self.username = member.username
        self.conversations: list[str] = []
        self._record = record
        path = stack.home / "run" / f"{SERVICE}.{worker}.sock"
        self.chat = Chat(
            Session(stack.gateway, Tokens(member.token, member.refresh_token)),
            self._see,
            seen={},
            socket=None if worker is None else path,
        )

    def _see(self, message: Message) -> None:
        seen = self._record.seen[self.name, str(message.conversation_id)]
        seen.append((message.seq, message.text))

    async def send(self, conversation: str, number: int) -> None:
        """Send until it is acknowledged or refused."""
        text = f"{self.name}/{number}"
        try:
            stored = await self.chat.send(UUID(conversation), text)
        except RefusedError:
            self._record.refused.add(text)
        else:
            self._record.acknowledged[text] = (conversation, stored.seq)


async def begun(members: Sequence[Member]) -> str:
    """A conversation of these members."""
    for other in members[1:]:
        # Else the conversation would be a request.
        await other.put(f"/api/users/{members[0].username}/follow")
    kind = {"kind": "direct"} if len(members) == 2 else {"kind": "group", "name": "all"}
    body = kind | {"members": [member.username for member in members[1:]]}
    answer = await members[0].post("/api/conversations", body)
    assert answer.status_code == 201, answer.text
    found: str = answer.json()["id"]
    return found


@asynccontextmanager
async def load(
    stack: Stack,
    groups: Sequence[Sequence[Member]],
    devices: Sequence[int | None] = (*range(WORKERS), None),
    pause_seconds: float = 0.05,
) -> AsyncIterator[tuple[Record, list[Client]]]:
    """Everybody writes to all their conversations, from several devices, until the block ends.

    Then all messages are sent to their end, and everybody has seen what was acknowledged.
    """
    record = Record()
    everybody = {member.username: member for group in groups for member in group}
    clients = [
        Client(stack, member, worker, record) for member in everybody.values() for worker in devices
    ]
    for group in groups:
        conversation = await begun(group)
        names = {member.username for member in group}
        for client in clients:
            if client.username in names:
                client.conversations.append(conversation)
    is_over = asyncio.Event()

    async def write(client: Client) -> None:
        for number in itertools.count():
            if is_over.is_set():
                return
            await client.send(client.conversations[number % len(client.conversations)], number)
            await asyncio.sleep(pause_seconds)

    async with asyncio.TaskGroup() as group_of_tasks:
        running = [group_of_tasks.create_task(client.chat.run()) for client in clients]
        writing = [group_of_tasks.create_task(write(client)) for client in clients]
        await eventually(lambda: len(record.acknowledged) > 3 * len(clients))
        yield record, clients
        is_over.set()
        # Some may wait for the longest pause before they connect again.
        await asyncio.wait_for(asyncio.gather(*writing), 90)

        def have_all_seen_all() -> bool:
            latest: dict[str, int] = {}
            for of, seq in record.acknowledged.values():
                latest[of] = max(seq, latest.get(of, 0))
            return all(
                len(record.seen[client.name, one]) >= latest.get(one, 0)
                for client in clients
                for one in client.conversations
            )

        with suppress(TimeoutError):
            await asyncio.wait_for(eventually(have_all_seen_all), 60)
        for task in running:
            task.cancel()


async def pid_of(stack: Stack, component: str) -> int:
    """Its process: of what was killed a moment ago, as soon as there is another."""

    def pid() -> int | None:
        found: int | None = (
            processes(stack)[0] if component == SERVICE else stack.ps()[component]["pid"]
        )
        return found

    return await eventually(pid)


def kill(component: str) -> Callable[[Stack], Any]:
    async def killed(stack: Stack) -> None:
        os.kill(await pid_of(stack, component), signal.SIGKILL)

    return killed


def freeze(component: str) -> Callable[[Stack], Any]:
    async def frozen(stack: Stack) -> None:
        process = psutil.Process(await pid_of(stack, component))
        stopped = [process, *process.children(recursive=True)]
        for one in stopped:
            with suppress(psutil.NoSuchProcess):
                one.suspend()
        try:
            await asyncio.sleep(2)  # how long it stands still, not a wait for anything
        finally:
            for one in stopped:
                with suppress(psutil.NoSuchProcess):
                    one.resume()

    return frozen


def restart_service(stack: Stack) -> None:
    stack.command("restart", SERVICE)


def cut_off_valkey(stack: Stack) -> None:
    for kind in ("normal", "pubsub"):
        stack.redis("CLIENT", "KILL", "TYPE", kind)


async def cut_off_postgres(stack: Stack) -> None:
    await stack.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE usename = 'chitlaq_websocket' AND backend_type = 'client backend'"
    )


DISTURBANCES = {
    "kill a process": kill(SERVICE),
    "freeze a process": freeze(SERVICE),
    "kill Valkey": kill("redis"),
    "freeze Valkey": freeze("redis"),
    "cut off Valkey": cut_off_valkey,
    "kill PostgreSQL": kill("postgres"),
    "freeze PostgreSQL": freeze("postgres"),
    "cut off PostgreSQL": cut_off_postgres,
    "kill nginx": kill("nginx"),
    "freeze nginx": freeze("nginx"),
    "restart the service": restart_service,
}


async def disturb(stack: Stack, what: str) -> None:
    # What is down has no process, and psutil takes none for the caller's own.
    await eventually(stack.is_healthy)
    if asyncio.iscoroutinefunction(disturbance := DISTURBANCES[what]):
        await disturbance(stack)
    else:
        await asyncio.to_thread(disturbance, stack)


async def stop_valkey(stack: Stack) -> int:
    pid = await pid_of(stack, "redis")
    os.kill(pid, signal.SIGSTOP)
    return pid


async def test_message_reaches_other_processes_while_valkey_stands_still(
    pair_of_processes: Stack, members: list[Member]
) -> None:
    """Nothing follows it that would show that it was missed."""
    record = Record()
    conversation = await begun(members[:2])
    clients = [
        Client(pair_of_processes, members[worker], worker, record) for worker in range(WORKERS)
    ]
    async with asyncio.TaskGroup() as group:
        for client in clients:
            client.conversations = [conversation]
        running = [group.create_task(client.chat.run()) for client in clients]
        await eventually(lambda: all(client.chat.is_online for client in clients))
        seen = record.seen[clients[1].name, conversation]
        await clients[0].send(conversation, 1)
        await eventually(lambda: len(seen) == 1)
        frozen = await stop_valkey(pair_of_processes)
        try:
            for count in range(2, 5):
                await clients[0].send(conversation, count)
                await eventually(lambda: len(seen) == count, 20)  # noqa: B023 - it is awaited here
        finally:
            os.kill(frozen, signal.SIGCONT)
            for task in running:
                task.cancel()
    assert list(faults(record))[:5] == []


@asynccontextmanager
async def at_process(stack: Stack, worker: int, member: Member) -> AsyncIterator[ClientConnection]:
    path = stack.home / "run" / f"{SERVICE}.{worker}.sock"
    async with websockets.unix_connect(str(path), "ws://localhost/ws") as socket:
        await socket.send(json.dumps({"type": "auth", "token": member.token}))
        assert (await received(socket, "signed_in"))["account_id"] == member.id
        yield socket


async def test_notifications_arrive_and_go_while_valkey_stands_still(
    pair_of_processes: Stack, members: list[Member]
) -> None:
    """Each process looks what its members have missed, whichever of them ran the job."""
    ada, ben = members[:2]
    post = (await ada.post("/api/posts", {"text": "Hello"})).json()
    async with (
        at_process(pair_of_processes, 0, ada) as first,
        at_process(pair_of_processes, 1, ada) as second,
    ):
        frozen = await stop_valkey(pair_of_processes)
        try:
            assert (await ben.put(f"/api/posts/{post['id']}/like")).status_code == 204
            for socket in (first, second):
                notification = (await received(socket, "notification"))["notification"]
                assert notification["post"]["id"] == post["id"]
            await ada.post("/api/notifications/read", {"until": notification["id"]})
            for socket in (first, second):
                assert (await received(socket, "notifications_read"))["unread"] == 0
            assert (await ben.delete(f"/api/posts/{post['id']}/like")).status_code == 204
            for socket in (first, second):
                gone = await received(socket, "notification_removed")
                assert gone["id"] == notification["id"]
        finally:
            os.kill(frozen, signal.SIGCONT)


async def test_what_is_not_stored_reaches_other_processes(
    pair_of_processes: Stack, members: list[Member]
) -> None:
    ada, ben = members[:2]
    await ben.put(f"/api/users/{ada.username}/follow")
    body = {"kind": "direct", "members": [ben.username]}
    conversation = (await ada.post("/api/conversations", body)).json()["id"]
    async with at_process(pair_of_processes, 0, ada) as first:
        await first.send(json.dumps({"type": "watch", "usernames": [ben.username]}))
        assert not (await received(first, "presence"))["online"]
        async with at_process(pair_of_processes, 1, ben) as second:
            assert (await received(first, "presence"))["online"]
            await first.send(json.dumps({"type": "typing", "conversation_id": conversation}))
            assert (await received(second, "typing"))["username"] == ada.username
        assert not (await received(first, "presence"))["online"]


async def test_changes_and_ends_of_sessions_arrive_while_valkey_stands_still(
    pair_of_processes: Stack, members: list[Member]
) -> None:
    ada, ben = members[:2]
    await ben.put(f"/api/users/{ada.username}/follow")
    body = {"kind": "group", "members": [ben.username], "name": "before"}
    conversation = (await ada.post("/api/conversations", body)).json()["id"]
    path = f"/api/conversations/{conversation}"
    await ada.post(f"{path}/messages", {"text": "one", "client_id": "one"})
    async with (
        at_process(pair_of_processes, 0, ben) as first,
        at_process(pair_of_processes, 1, ben) as second,
    ):
        frozen = await stop_valkey(pair_of_processes)
        try:
            assert (await ada.patch(f"{path}/messages/1", {"text": "two"})).status_code == 200
            for socket in (first, second):
                assert (await received(socket, "message_changed"))["text"] == "two"
            assert (await ada.patch(path, {"name": "after"})).status_code == 200
            for socket in (first, second):
                await received(socket, "conversation_changed")
            assert (await ben.post(f"{path}/read", {"seq": 1})).status_code == 204
            for socket in (first, second):
                read = await received(socket, "read")
                assert (read["username"], read["seq"]) == (ben.username, 1)
            await pair_of_processes.sql(
                "UPDATE auth.sessions SET ended_at = now() WHERE account_id = $1", ben.id
            )
            async with asyncio.timeout(60):
                for socket in (first, second):
                    await socket.wait_closed()
        finally:
            os.kill(frozen, signal.SIGCONT)
    assert (first.close_code, second.close_code) == (1008, 1008)


@pytest.mark.parametrize(
    "what",
    short_form(DISTURBANCES, "kill a process", "kill Valkey", "kill PostgreSQL", "kill nginx"),
)
async def test_acknowledged_messages_survive(
    pair_of_processes: Stack, members: list[Member], what: str
) -> None:
    async with load(pair_of_processes, [members, members[:2]]) as (record, _):
        await disturb(pair_of_processes, what)
        before = len(record.acknowledged)
        await eventually(lambda: len(record.acknowledged) > before + 50)
    assert list(faults(record))[:5] == []
    await eventually(pair_of_processes.is_healthy)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_history_is_sound_after_two_minutes_of_everything(
    pair_of_processes: Stack, name: Callable[[], str]
) -> None:
    """200 clients in 50 conversations, while one thing after the other fails."""
    stack = pair_of_processes
    async with httpx.AsyncClient(base_url=stack.gateway, timeout=60) as client:
        everybody = [await become_member(stack, client, name()) for _ in range(100)]
        # Everybody is in two of them, with others in each.
        groups = [everybody[n::25] for n in range(25)]
        groups += [everybody[4 * n : 4 * n + 4] for n in range(25)]
        async with load(stack, groups, (0, None), pause_seconds=1) as (record, clients):
            assert len(clients) == 200
            end = time.monotonic() + 120
            for what in itertools.cycle(DISTURBANCES):
                if time.monotonic() > end:
                    break
                await disturb(stack, what)
                before = len(record.acknowledged)
                await eventually(lambda: len(record.acknowledged) > before + 100)  # noqa: B023
        assert list(faults(record))[:5] == []
    await eventually(stack.is_healthy)
