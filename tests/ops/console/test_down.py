"""The console while what it shows hangs, and while its own database cannot be read or written."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from tests.browser.alerts import report
from tests.conftest import Stack, eventually
from tests.lone_service import lone_service
from tests.ops.checks.planted_logs import access, plant
from tests.ops.console.conftest import Visitor

Visitors = Callable[[], Visitor]


@pytest.fixture(scope="module")
def alone() -> Iterator[Stack]:
    """Of its own: its database is broken."""
    with lone_service("ops-service", "ops") as stack:
        yield stack


async def test_what_hangs_is_unknown_with_the_reason(alone: Stack, visitor: Visitors) -> None:
    one = visitor()
    await one.use_link(alone)
    path = alone.home / "run" / "supervisor.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as hanging:
        hanging.bind(str(path))
        path.chmod(0o777)
        hanging.listen()
        text = (await one.get("/ops/")).text
    path.unlink()
    assert "What runs is unknown" in text
    assert "no answer within 0.6 s" in text
    assert "What members feel is unknown</b>: the access log cannot be read" in text


async def test_figures_from_before_nginx_died_are_not_what_members_feel(
    alone: Stack, visitor: Visitors
) -> None:
    one = visitor()
    await one.use_link(alone)
    now = datetime.now(UTC)
    home = Home(alone.home)
    home.logs.mkdir(exist_ok=True)
    plant(
        home, "nginx-access.log", access("10.0.0.1", time=(now - timedelta(minutes=2)).isoformat())
    )
    try:
        text = (await one.get("/ops/")).text
        assert "1 request since" in text
        assert ", none since" in text
        await report(alone, "EdgeDown", "P0", "nginx is not responding.", component="nginx")

        async def is_unknown() -> bool:
            return "nginx does not answer, so no request arrives" in (await one.get("/ops/")).text

        await eventually(is_unknown)
        await report(
            alone, "EdgeDown", "P0", "nginx is not responding.", component="nginx", is_over=True
        )
        await eventually(lambda: _has_figures(one))
    finally:
        home.access_log.unlink()


async def _has_figures(one: Visitor) -> bool:
    return "1 request since" in (await one.get("/ops/")).text


async def test_operator_signs_in_and_looks_while_the_database_is_gone(
    alone: Stack, visitor: Visitors
) -> None:
    known, new = visitor(), visitor()
    await known.use_link(alone, "ada")
    folder = alone.home / "ops" / "database"
    aside = folder.with_name("aside")
    files.durable_rename(folder, aside)
    # A file where the folder was: nothing can be opened or made there.
    folder.write_text("")
    try:
        assert (await known.get("/ops/")).status_code == 200
        assert (await new.use_link(alone, "bob")).status_code == 303
        now = await new.get("/ops/")
        assert now.status_code == 200
        assert "Whether there is an incident is unknown" in now.text
        for path in ("/ops/alerts", "/ops/incidents", "/ops/audit", "/ops/actions", "/ops/oncall"):
            answer = await new.get(path)
            assert answer.status_code == 200, path
            assert "Unknown" in answer.text, path
        cookie = {"Cookie": f"chitlaq-console={known.client.cookies['chitlaq-console']}"}
        assert (await known.send("/ops/sign-out")).status_code == 303
        assert (await known.client.get("/ops/audit", headers=cookie)).status_code == 303
    finally:
        folder.unlink()
        files.durable_rename(aside, folder)
    # Nor when the database is back, which does not know of it yet.
    assert (await known.client.get("/ops/audit", headers=cookie)).status_code == 303
    assert await new.is_signed_in()


async def test_first_screen_says_why_nobody_is_on_call(alone: Stack, visitor: Visitors) -> None:
    one = visitor()
    await one.use_link(alone)
    roster = Home(alone.home).oncall_file
    roster.write_text("[people.ada")
    try:
        text = (await one.get("/ops/")).text
        assert "nobody</span>. oncall.toml is not valid TOML" in text
        assert "Nobody is configured" not in (await one.get("/ops/oncall")).text
    finally:
        roster.unlink()
