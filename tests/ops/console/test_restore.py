"""Restoring through the console: signed in again, by name, and to an end that the record tells."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.point_in_time import shown
from chitlaq.ops.console.access.sessions import FRESH
from chitlaq.ops.database.database import moment
from chitlaq.stack.supervisor import control, leftovers
from tests.backups.backed_up_stack import newest, run, start_backed_up_stack
from tests.conftest import Stack, eventually, stop_stack
from tests.ops.console.conftest import Authenticator, Visitor

Visitors = Callable[[], Visitor]


@pytest.fixture(scope="module")
async def stack() -> AsyncIterator[Stack]:
    """An installation with a base backup, and a table of notes in it."""
    stack = start_backed_up_stack()
    try:
        await stack.sql("CREATE TABLE public.notes (text text)")
        await stack.sql("ALTER TABLE public.notes OWNER TO chitlaq")
        await asyncio.to_thread(run, stack, "run", "full")
        yield stack
    finally:
        stop_stack(stack)


@pytest.fixture
async def one(stack: Stack) -> AsyncIterator[Visitor]:
    """An operator who has just signed in."""
    url = f"http://localhost:{stack.ports['ops']}"
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        visitor = Visitor(client)
        await visitor.use_link(stack, "ada")
        yield visitor


async def write(stack: Stack, text: str) -> datetime:
    """Write a note, and return a moment at which it is the last one."""
    await stack.sql("INSERT INTO public.notes VALUES ($1)", text)
    (row,) = await stack.sql("SELECT clock_timestamp() AS now")
    now: datetime = row["now"]
    return now


def state(stack: Stack, name: str) -> str:
    return str(stack.ps()[name]["state"])


async def test_restore_to_a_moment_ends_truthfully_though_ops_service_is_killed_meanwhile(
    stack: Stack, one: Visitor
) -> None:
    target = shown(await write(stack, "wanted"))
    await write(stack, "by mistake")
    plan = (await one.send("/ops/actions/plans", action="restore", target=target)).headers[
        "location"
    ]
    text = (await one.get(plan)).text
    for said in (newest(stack, "full").id, "Lost: all changes after", "stop the services"):
        assert said in text
    assert f"Type {target} to confirm" in (await one.send(plan, why="x", name="restore")).text
    begun = await one.send(plan, why="a wrong delete", name=target)
    assert begun.status_code == 303, begun.text
    page = begun.headers["location"]

    await eventually(lambda: state(stack, "postgres") == "stopped")
    assert "for a restore" in stack.ps()["feed-service"]["reason"]
    assert "for a restore" in stack.command("restart", "postgres").stderr
    for path in (page, "/ops/", "/ops/backups"):
        assert (await one.get(path)).status_code == 200, path
    assert "checking the backup" in (await one.get(page)).text
    os.kill(stack.ps()["ops-service"]["pid"], signal.SIGKILL)

    async def record() -> dict[str, Any] | None:
        (found, *_) = stack.json("ops", "actions")
        return found if found["ended_at"] else None

    done = await eventually(record, 120)
    assert (done["action"], done["target"], done["operator"]) == ("restore", target, "ada")
    assert done["succeeded"], done["output"]
    assert "Restored from full_" in done["output"]
    await eventually(stack.is_healthy)
    assert [row["text"] for row in await stack.sql("SELECT text FROM public.notes")] == ["wanted"]
    assert done["output"].split("\n")[0] in (await one.get(page)).text


def restoring(target: str) -> tuple[str, ...]:
    return "ops", "do", "restore", target, "--yes", "--why", "to end it", "--as", "ada"


# When the plan is stored, and nothing else is done.
BEFORE_RECOVERY = ("shutil.rmtree", "postgres.restoring")


def kill_restore(stack: Stack, call: str, part: str) -> None:
    """Restore by command, which is killed at a system call after ChitLaq is stopped."""
    done = stack.command(*restoring(newest(stack, "full").id), killed_at=(call, part))
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    assert "are stopped" in done.stderr


def terminated_when_stopped(stack: Stack, target: str, meanwhile: Callable[[], None]) -> str:
    """Restore by command, and terminate it once ChitLaq is stopped; returns what it said."""
    with subprocess.Popen(
        [sys.executable, "-m", "chitlaq", *restoring(target)],
        env=stack.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stderr
        said = ""
        for line in command.stderr:
            said += line
            if "are stopped" in line:
                command.send_signal(signal.SIGSTOP)
                try:
                    meanwhile()
                finally:
                    command.terminate()
                    command.send_signal(signal.SIGCONT)
        assert command.wait(60) != 0, said
    return said


async def test_terminated_restore_leaves_chitlaq_running_with_the_present_data(
    stack: Stack,
) -> None:
    """And another one cannot begin meanwhile."""
    await write(stack, "later")
    before = await stack.sql("SELECT text FROM public.notes")
    backup = newest(stack, "full").id

    def begin_another() -> None:
        refused = stack.command(*restoring(backup))
        assert refused.returncode == 1
        assert f"Another backup job is running (restore {backup}" in refused.stderr
        assert state(stack, "postgres") == "stopped"

    said = terminated_when_stopped(stack, backup, begin_another)
    assert "ChitLaq runs again, with the previous data." in said
    await eventually(stack.is_healthy)
    assert await stack.sql("SELECT text FROM public.notes") == before
    (recorded, *_) = stack.json("ops", "actions")
    assert recorded["succeeded"] is False
    assert "interrupted" in recorded["output"]


async def test_restore_killed_before_its_plan_is_stored_leaves_chitlaq_running(
    stack: Stack,
) -> None:
    """Nobody else knows why ChitLaq is stopped, so the supervisor goes on."""
    before = await stack.sql("SELECT text FROM public.notes")
    server = stack.ps()["postgres"]["pid"]
    await asyncio.to_thread(kill_restore, stack, "os.rename", "backup/restore.json")
    await eventually(stack.is_healthy)
    assert stack.ps()["postgres"]["pid"] != server
    assert not (stack.home / "backup" / "restore.json").exists()
    assert await stack.sql("SELECT text FROM public.notes") == before


async def test_another_restore_takes_over_from_a_killed_one(stack: Stack) -> None:
    await write(stack, "latest")
    await asyncio.to_thread(kill_restore, stack, *BEFORE_RECOVERY)

    def says_what_to_do() -> bool:
        return "--resume" in str(stack.ps()["postgres"]["reason"])

    await eventually(says_what_to_do)
    done = await asyncio.to_thread(stack.command, *restoring(newest(stack, "full").id))
    assert done.returncode == 0, done.stdout + done.stderr
    await eventually(stack.is_healthy)
    rows = await stack.sql("SELECT text FROM public.notes")
    assert "latest" in [row["text"] for row in rows]


@pytest.mark.long
async def test_killed_restore_is_resumed(stack: Stack) -> None:
    await write(stack, "latest")
    before = await stack.sql("SELECT text FROM public.notes")
    await asyncio.to_thread(kill_restore, stack, *BEFORE_RECOVERY)
    assert state(stack, "postgres") == "stopped"
    run(stack, "restore", "--resume", "--yes")
    await asyncio.to_thread(stack.up)
    assert await stack.sql("SELECT text FROM public.notes") == before


async def test_damaged_backup_is_refused_before_anything_stops(stack: Stack, one: Visitor) -> None:
    backup = newest(stack, "full")
    before = stack.ps()["postgres"]["pid"]
    file = next((stack.home / "backups" / backup.path).rglob("pg_filenode.map"))
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    plan = (await one.send("/ops/actions/plans", action="restore", target=backup.id)).headers[
        "location"
    ]
    page = (await one.send(plan, why="to see", name=backup.id)).headers["location"]

    async def has_failed() -> bool:
        return ">failed<" in (await one.get(page)).text

    await eventually(has_failed)
    text = (await one.get(page)).text
    assert file.name in text
    assert stack.ps()["postgres"]["pid"] == before


async def test_backups_are_taken_now(stack: Stack, one: Visitor) -> None:
    assert "Back up now" in (await one.get("/ops/backups")).text
    plan = (await one.send("/ops/actions/plans", action="backup", target="")).headers["location"]
    assert "dump" in (await one.get(plan)).text
    page = (await one.send(plan, why="before a change")).headers["location"]

    async def is_done() -> bool:
        return ">done<" in (await one.get(page)).text

    await eventually(is_done)
    dump = newest(stack, "dump").id
    assert dump in (await one.get(page)).text
    assert f"Restore {dump}" in (await one.get("/ops/backups")).text


async def test_restore_asks_to_sign_in_again(
    alone: Stack, visitor: Visitors, operator: Authenticator
) -> None:
    someone = visitor()
    await someone.sign_in(operator.name, operator.code())
    await someone.get("/ops/actions")
    wish = {"action": "restore", "target": "full_20260101T000000"}
    fresh = await someone.send("/ops/actions/plans", **wish)
    assert "There is no backup" in fresh.text

    past = datetime.now(UTC) - FRESH - timedelta(seconds=1)
    # A session from before the account's last change would be over.
    accounts = alone.home / "secrets" / "operators.json"
    known = msgspec.json.decode(accounts.read_bytes())
    for one in known:
        one["changed_at"] = one["added_at"] = past - timedelta(hours=1)
    accounts.write_bytes(msgspec.json.encode(known))
    with sqlite3.connect(alone.home / "ops/database/operations.sqlite", timeout=30) as opened:
        opened.execute(
            "UPDATE console_sessions SET started_at = ? WHERE operator = ?",
            (moment(past), operator.name),
        )
    opened.close()
    assert await someone.is_signed_in()
    sent = await someone.send("/ops/actions/plans", **wish)
    assert sent.headers["location"].startswith("/ops/sign-in?again=1&next=%2Fops%2Factions%3F")
    assert "Sign in again" in (await someone.get(sent.headers["location"])).text
    old = {"Cookie": f"chitlaq-console={someone.client.cookies['chitlaq-console']}"}
    assert (await someone.sign_in(operator.name, operator.code(steps=1))).status_code == 303
    assert (await someone.client.get("/ops/audit", headers=old)).status_code == 303
    await someone.get("/ops/actions")
    assert "There is no backup" in (await someone.send("/ops/actions/plans", **wish)).text


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("10m", "another moment"),
        ("yesterday", "is not a point in time"),
        ("2999-01-01 00:00", "in the future"),
        ("config_20260101T000000", "There is no backup"),
        ("full_; rm", "is not a point in time"),
    ],
)
async def test_what_cannot_be_restored_is_refused_when_it_is_planned(
    alone: Stack, visitor: Visitors, target: str, said: str
) -> None:
    someone = visitor()
    await someone.use_link(alone)
    answer = await someone.send("/ops/actions/plans", action="restore", target=target)
    assert answer.status_code == 409
    assert said in answer.text


async def test_moment_of_the_form_has_the_zone_that_the_page_names(
    alone: Stack, visitor: Visitors
) -> None:
    someone = visitor()
    await someone.use_link(alone)
    wish = {"action": "restore", "moment": "2999-01-01T00:00:00"}
    answer = await someone.send("/ops/actions/plans", **wish)
    assert answer.status_code == 409
    assert f"{shown(datetime(2999, 1, 1).astimezone())}" in answer.text
    assert "in the future" in answer.text


async def test_restore_that_is_over_while_chitlaq_is_stopped_starts_nothing(stack: Stack) -> None:
    home = Home(stack.home)
    pausing = control.Connection(home)
    await asyncio.to_thread(pausing.ask, control.Pause("a restore"))
    with socket.socket(socket.AF_UNIX) as stopping:
        stopping.connect(str(home.control_socket))
        stopping.sendall(msgspec.json.encode(control.Stop()) + b"\n")
        stack.ps()  # it is served in turn
        with pytest.raises(OperatorError, match="ChitLaq is being stopped"):
            await asyncio.to_thread(pausing.ask, control.Continue())
        pausing.close()
        await eventually(lambda: control.supervisor_pid(home) is None)
    assert leftovers.marked(home) == {}
