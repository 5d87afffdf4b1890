"""``chitlaq ws`` and ``chitlaq chat``: what operators see and do at the WebSocket."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable

import httpx

from chitlaq.client import Chat, Session, Tokens
from tests.conftest import Member, Stack, eventually, free_ports
from tests.services.websocket.chat.talking import connected, conversation, say

Join = Callable[[], Awaitable[Member]]


def tailed(stack: Stack, token: str, count: int) -> list[str]:
    """The first lines of ``chitlaq chat tail``."""
    with subprocess.Popen(
        [sys.executable, "-m", "chitlaq", "chat", "tail", "--token", "-", "--lines", "5"],
        env=stack.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as tailing:  # fmt: skip
        assert tailing.stdin is not None
        assert tailing.stdout is not None
        # Whatever it waits for, the lines end.
        ending = threading.Timer(60, tailing.kill)
        ending.start()
        try:
            tailing.stdin.write(token)
            tailing.stdin.close()
            return [tailing.stdout.readline() for _ in range(count)]
        finally:
            ending.cancel()
            tailing.kill()


def test_ping_answers_or_says_why_not(stack: Stack) -> None:
    answer = stack.command("ws", "ping", "--count", "2")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("pong from ws://127.0.0.1:") == 2
    answer = stack.command("ws", "ping", "ws://127.0.0.1:1/ws")
    assert answer.returncode == 1
    assert "No pong from ws://127.0.0.1:1/ws" in answer.stderr
    assert "Traceback" not in answer.stderr
    answer = stack.command("ws", "ping", "http://127.0.0.1:1")
    assert (answer.returncode, "begins with ws:// or wss://" in answer.stderr) == (1, True)


async def test_sockets_are_those_that_the_processes_have(stack: Stack, join: Join) -> None:
    ada = await join()
    async with connected(stack, ada):
        (one,) = [row for row in stack.json("ws", "sockets") if row["username"] == ada.username]
        assert (one["unread_bytes"], one["held_messages"]) == (0, 0)
        assert one["pid"] in {row["pid"] for row in stack.json("ps")}
        assert ada.username in stack.command("ws", "sockets").stdout
    await eventually(lambda: ada.username not in stack.command("ws", "sockets").stdout)


async def test_who_is_connected_is_for_operators_only(stack: Stack, join: Join) -> None:
    ada = await join()
    assert (await ada.get("/api/sockets")).status_code == 404
    async with httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{stack.ports['websocket']}/sockets"
        answers = [await client.get(url), await client.get(url, headers=ada.headers)]
    assert [answer.status_code for answer in answers] == [401, 401]


async def test_earlier_messages_are_in_the_order_of_their_times(stack: Stack, join: Join) -> None:
    ada, ben, eve = await join(), await join(), await join()
    first, second = await conversation(ada, ben), await conversation(ada, eve)
    for number in range(3):
        await say(ada, first["id"], f"to ben {number}")
        await say(ada, second["id"], f"to eve {number}")
    shown = await asyncio.to_thread(tailed, stack, ada.token, 6)
    assert [line.rpartition(": ")[2].strip() for line in shown] == [
        f"to {who} {number}" for number in range(3) for who in ("ben", "eve")
    ]


async def test_recipient_who_is_not_there_is_named_with_what_to_do(
    stack: Stack, join: Join
) -> None:
    ada, ben = await join(), await join()
    answer = stack.command("chat", "send", "nobody_here", "x", "--token", "-", input=ada.token)
    assert (answer.returncode, "No conversation with nobody_here" in answer.stderr) == (1, True)
    answer = stack.command("chat", "send", f"@{ben.username}", "x", "--token", "-", input=ada.token)
    assert answer.returncode == 0, answer.stderr
    answer = stack.command("chat", "send", ben.username, "x", "--as", ada.username)
    assert (answer.returncode, "is no demo member" in answer.stderr) == (1, True)


def test_installation_that_is_down_is_said_with_the_command_that_shows_it(stack: Stack) -> None:
    (closed,) = free_ports(1)
    answer = stack.command(
        "chat", "send", "ada", "x", "--token", "-", input="x",
        env={"CHITLAQ_PORTS_GATEWAY": str(closed)},
    )  # fmt: skip
    assert (answer.returncode, "`chitlaq ps` shows" in answer.stderr) == (1, True)


async def test_message_is_sent_and_read_as_a_member(stack: Stack, join: Join) -> None:
    ada, ben, eve = await join(), await join(), await join()
    found = await conversation(ada, ben)
    # What a message keeps that a terminal must not get: Khmer needs it to break lines.
    text = "tonight\u200b?"
    answer = stack.command("chat", "send", ben.username, text, "--token", "-", input=ada.token)
    assert answer.returncode == 0, answer.stderr
    assert f"stored as message 1 of conversation {found['id']}" in answer.stdout
    seen: list[str] = []
    session = Session(stack.gateway, Tokens(ben.token))
    async with Chat(session, lambda one: seen.append(one.text), seen={}).connected():
        await eventually(lambda: seen == [text])
    (line,) = await asyncio.to_thread(tailed, stack, ben.token, 1)
    assert "\u200b" not in line
    assert f"{ada.username}: tonight\\u200b?" in line
    # Whoever takes no part sees nothing of it.
    answer = stack.command("chat", "send", ben.username, "x")
    assert (answer.returncode, "--as MEMBER" in answer.stderr) == (1, True)
    assert [one.id async for one in Session(stack.gateway, Tokens(eve.token)).conversations()] == []
