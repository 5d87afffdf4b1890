"""Who gets into the console, for how long, and what a page of somebody else cannot do."""

from __future__ import annotations

import asyncio
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from chitlaq.core.installation.home import Home
from chitlaq.ops.console.access import attempts as limits
from chitlaq.ops.console.access import links
from chitlaq.ops.console.access.attempts import Attempts
from chitlaq.ops.console.access.links import Links
from chitlaq.ops.console.access.sessions import IDLE, LASTS, Sessions
from chitlaq.ops.database import database as ops_database
from chitlaq.ops.database import overflow
from chitlaq.ops.database.database import OpsDatabase, moment
from tests.conftest import Stack
from tests.ops.console.conftest import PASSWORD, Authenticator, Visitor

Visitors = Callable[[], Visitor]


def edit(stack: Stack, statement: str, *values: object) -> None:
    with sqlite3.connect(
        stack.home / "ops" / "database" / "operations.sqlite", timeout=30
    ) as opened:
        assert opened.execute(statement, values).rowcount == 1
    opened.close()


async def test_operator_signs_in_with_password_and_code_and_each_code_counts_once(
    visitor: Visitors, operator: Authenticator
) -> None:
    first, second = visitor(), visitor()
    code = operator.code()
    assert (
        await first.sign_in(operator.name, operator.code(), "something else")
    ).status_code == 403
    assert (await first.sign_in(operator.name, "000000")).status_code == 403
    assert not await first.is_signed_in()
    entered = await first.sign_in(operator.name, code)
    assert entered.status_code == 303
    assert await first.is_signed_in()
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/ops" in cookie

    assert (await second.sign_in(operator.name, code)).status_code == 403
    assert not await second.is_signed_in()
    assert (await second.sign_in(operator.name, operator.code(steps=1))).status_code == 303


async def test_code_that_several_send_at_once_lets_one_in(
    visitor: Visitors, operator: Authenticator, tmp_path: Path
) -> None:
    code = operator.code()
    together = await asyncio.gather(
        *(visitor().sign_in(operator.name, code) for _ in range(limits.FREE))
    )
    assert sorted(answer.status_code for answer in together) == [303, 403, 403, 403, 403]

    # Whatever the order: each has read the same last code before one of them is in.
    with OpsDatabase(Home(tmp_path)) as database:
        sessions, since = Sessions(database), datetime.now(UTC)
        assert await sessions.last_step("ada", since) is None
        assert [sessions.claim_step("ada", 7, since) for _ in range(2)] == [True, False]
        assert await sessions.last_step("ada", since) == 7


async def test_session_that_waited_for_room_ends_when_somebody_else_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    try:
        with OpsDatabase(home) as database, OpsDatabase(home) as command:
            sessions = Sessions(database)
            await sessions.end_all("nobody")  # which makes the file
            with (
                monkeypatch.context() as shorter,
                closing(sqlite3.connect(home.ops_database)) as other,
            ):
                shorter.setattr(ops_database, "BUSY_SECONDS", 0.1)
                other.execute("BEGIN EXCLUSIVE")
                begun = await sessions.begin("ada", is_by_link=False, address="::1")
            assert await sessions.find(begun.token), "it works meanwhile"
            await Sessions(command).end_all("ada")
            assert await sessions.find(begun.token) is None
    finally:
        shutil.rmtree(overflow.folder(home), ignore_errors=True)


async def test_session_ends_when_it_is_idle_too_old_or_signed_out(
    alone: Stack, visitor: Visitors
) -> None:
    now = datetime.now(UTC)
    for column, at in (("seen_at", now - IDLE), ("started_at", now - LASTS)):
        one = visitor()
        who = f"ada-{column}"
        await one.use_link(alone, who)
        assert await one.is_signed_in()
        earlier = moment(at - timedelta(minutes=5))
        edit(alone, f"UPDATE console_sessions SET {column} = ? WHERE operator = ?", earlier, who)
        # Its process remembers that it was seen, unless it lasted too long.
        if column == "started_at":
            assert not await one.is_signed_in()

    here, there, other = visitor(), visitor(), visitor()
    for one, who in ((here, "bob"), (there, "bob"), (other, "cleo")):
        await one.use_link(alone, who)
    assert (await here.send("/ops/sign-out")).status_code == 303
    assert [await one.is_signed_in() for one in (here, there)] == [False, True]
    await here.use_link(alone, "bob")
    assert (await here.send("/ops/sign-out-everywhere")).status_code == 303
    assert [await one.is_signed_in() for one in (here, there, other)] == [False, False, True]


async def test_new_password_new_code_key_and_removal_end_sessions(
    alone: Stack, visitor: Visitors, operator: Authenticator
) -> None:
    passwords = {"password": PASSWORD, "totp": f"{PASSWORD} new", "remove": f"{PASSWORD} new"}
    other = visitor()
    await other.use_link(alone, "nobody-with-an-account")
    for word, password in passwords.items():
        one, by_link = visitor(), visitor()
        await by_link.use_link(alone, operator.name)
        assert await by_link.is_signed_in()
        # Of a new key or password, the code of this half minute counts anew.
        code = Authenticator(alone, operator.name).code()
        assert (await one.sign_in(operator.name, code, password)).status_code == 303
        assert await one.is_signed_in()
        done = alone.command("operators", word, operator.name, input=f"{PASSWORD} new\n")
        assert done.returncode == 0, done.stderr
        assert not await one.is_signed_in()
        assert not await by_link.is_signed_in()
    assert await other.is_signed_in()
    assert (await visitor().sign_in(operator.name, "123456")).status_code == 403


async def test_failures_make_who_guesses_wait_and_a_link_still_gets_in(
    alone: Stack, visitor: Visitors, operator: Authenticator
) -> None:
    one = visitor()
    for _ in range(limits.FREE):
        assert (await one.sign_in(operator.name, "000000")).status_code in {403, 429}
    refused = await one.sign_in(operator.name, operator.code())
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert "chitlaq console" in refused.text
    log = alone.home.with_suffix(".log").read_text()
    assert re.search(r'"event":"sign-in refused".*"address":"127\.0\.0\.1"', log)
    assert operator.name not in log
    assert (await one.use_link(alone, operator.name)).status_code == 303
    assert await one.is_signed_in()


def test_each_failure_doubles_the_wait_and_none_lasts_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr(limits, "monotonic", lambda: now)
    attempts, waits = Attempts(), []
    for _ in range(20):
        attempts.begin(["operator ada"])
        waits.append(attempts.wait_seconds(["operator ada", "address 192.0.2.1"]))
    assert waits[:7] == [0, 0, 0, 0, 1, 2, 4]
    assert waits[-1] == limits.LONGEST_SECONDS
    assert attempts.wait_seconds(["operator bob", "address 192.0.2.1"]) == 0
    now += limits.LONGEST_SECONDS
    assert attempts.wait_seconds(["operator ada"]) == 0
    attempts.succeed(["operator ada"])
    attempts.begin(["operator ada"])
    assert attempts.wait_seconds(["operator ada"]) == 0
    for number in range(limits.REMEMBERED + 10):
        attempts.begin([f"address {number}"])
    assert len(attempts._failures) == limits.REMEMBERED


def test_link_works_for_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(links, "monotonic", lambda: now)
    made = Links()
    first, second = made.make("ada"), made.make("bob")
    now += links.LASTS_SECONDS - 1
    assert made.use(first) == "ada"
    assert made.use(first) is None
    now += 2
    assert made.use(second) is None


async def test_link_works_once_and_opening_it_uses_nothing_up(
    alone: Stack, visitor: Visitors
) -> None:
    one, other = visitor(), visitor()
    link = alone.command("console").stdout.split()[0]
    assert link.startswith(f"http://localhost:{alone.ports['ops']}/ops/link?token=")
    for _ in range(2):
        assert "Sign in" in (await one.client.get(link)).text
    token = link.partition("token=")[2]
    assert (await one.send("/ops/link", link=token)).status_code == 303
    assert (await other.send("/ops/link", link=token)).status_code == 410
    assert (await other.client.get(link)).status_code == 410
    assert [await each.is_signed_in() for each in (one, other)] == [True, False]
    # Only who can read the operator token makes one.
    refused = await other.client.post("/console-links", json={"operator": "eve"})
    assert refused.status_code == 401


async def test_token_is_nowhere_but_in_the_browser(alone: Stack, visitor: Visitors) -> None:
    one = visitor()
    await one.use_link(alone)
    (token,) = [cookie.value for cookie in one.client.cookies.jar]
    assert token
    for path in (*alone.home.rglob("*"), alone.home.with_suffix(".log")):
        if path.is_file():
            assert token.encode() not in path.read_bytes(), path


async def test_page_of_another_origin_cannot_act(alone: Stack, visitor: Visitors) -> None:
    one, other = visitor(), visitor()
    await one.use_link(alone)
    await other.use_link(alone, "eve")
    port = alone.ports["ops"]
    form = {"form_token": one.form_token, "title": "forged", "severity": "P0"}

    async def post(headers: dict[str, str], **fields: str) -> httpx.Response:
        return await one.client.post("/ops/incidents/open", data=form | fields, headers=headers)

    own = {"Origin": f"http://localhost:{port}"}
    forged = [
        await post({}),
        await post({"Origin": f"http://localhost:{port + 1}"}),
        await post({"Origin": f"http://127.0.0.1:{port}"}),
        await post({"Origin": "null"}),
        await post({"Origin": "https://evil.example"}),
        await post(own | {"Sec-Fetch-Site": "same-site"}),
        await post(own | {"Sec-Fetch-Site": "cross-site"}),
        await post(own, form_token=other.form_token),
        await post(own, form_token=""),
    ]
    assert {answer.status_code for answer in forged} == {403}
    assert "forged" not in (await one.get("/ops/incidents")).text
    assert (await post(own)).status_code == 303


async def test_nothing_is_shown_or_done_without_a_session(visitor: Visitors) -> None:
    stranger = visitor()
    for path in ("/ops/", "/ops/now.json", "/ops/alerts", "/ops/incidents/1", "/ops/audit"):
        answer = await stranger.get(path)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/ops/sign-in")
    acted = await stranger.send("/ops/incidents/open", title="forged", severity="P0")
    assert acted.headers["location"] == "/ops/sign-in"
    asked = await stranger.get("/ops/status?incident=3&a=%26")
    assert parse_qs(urlsplit(asked.headers["location"]).query) == {
        "next": ["/ops/status?incident=3&a=%26"]
    }
    entered = await stranger.get("/ops/sign-in?next=//evil.example/ops/")
    assert "evil" not in entered.text
    assert (await stranger.client.get("/")).headers["location"] == "/ops/"


async def test_link_in_a_mail_opens_its_page_for_who_is_signed_in(
    alone: Stack, visitor: Visitors
) -> None:
    """Browsers keep a strict cookie back from the first request: the page asks again by itself."""
    answer = await visitor().client.get(
        "/ops/incidents/1", headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert answer.status_code == 200
    assert 'http-equiv="refresh" content="0"' in answer.text


async def test_pages_allow_no_script_but_their_own_and_no_frame(visitor: Visitors) -> None:
    headers = (await visitor().get("/ops/sign-in")).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert policy["trusted-types"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


async def test_nothing_that_an_operator_saw_is_kept_by_the_browser(
    alone: Stack, visitor: Visitors
) -> None:
    one = visitor()
    await one.use_link(alone)
    opened = await one.send("/ops/incidents/open", title="Feed is slow", severity="P2")
    postmortem = f"{opened.headers['location']}/postmortem"
    for path in ("/ops/", "/ops/now.json", "/ops/logs/lines", postmortem):
        headers = (await one.get(path)).headers
        assert headers.get_list("cache-control") == ["no-store"], path
        assert headers.get_list("x-content-type-options") == ["nosniff"], path


async def test_names_and_numbers_without_bounds_are_no_faults(
    alone: Stack, visitor: Visitors
) -> None:
    one = visitor()
    await one.use_link(alone)
    opened = await one.send("/ops/incidents/open", title="Feed is slow", severity="P2")
    merge = f"{opened.headers['location']}/merge"
    for number in (2**63, -(2**64)):
        refused = await one.send(merge, version="1", why="the same", into=str(number))
        assert refused.status_code == 409
        assert "too large" in refused.text
    assert (await one.get(f"/ops/static/{'a' * 5000}.css")).status_code == 404


async def test_mistyped_address_is_a_page_for_browsers_and_a_problem_for_programs(
    alone: Stack, visitor: Visitors
) -> None:
    one = visitor()
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for path, back, status in (
        ("/hoem", "", 404),
        ("/ops/hoem", "", 404),
        ("/ops/static", "", 404),
        ("/ops/incidents/hoem", "Back to Incidents", 404),
        ("/ops/incidents/1/2/3", "Back to Incidents", 404),
        ("/ops/oncall/overrides", "Back to On call", 405),
    ):
        shown = await one.client.get(path, headers=browser)
        assert shown.status_code == status, path
        assert shown.headers["content-type"].startswith("text/html"), path
        for part in ("<h1>Not found</h1>", back, 'href="/ops/"'):
            assert part in shown.text, path
        told = await one.client.get(path)
        assert told.status_code == status, path
        assert told.headers["content-type"] == "application/problem+json", path
        assert shown.headers.get("allow") == told.headers.get("allow")


async def test_console_is_not_reached_through_the_edge_unless_it_is_public(stack: Stack) -> None:
    async with httpx.AsyncClient() as client:
        for place in (stack.edge, stack.gateway):
            for path in ("/ops/", "/ops/sign-in", "/ops/static/console.css", "/ops"):
                assert (await client.get(place + path)).status_code == 404
        # Nor by whoever reaches the socket that nginx would use.
        socket = stack.home / "run" / "ops-service.0.sock"
    transport = httpx.AsyncHTTPTransport(uds=str(socket))
    async with httpx.AsyncClient(transport=transport, base_url="http://edge") as nginx:
        for path in ("/ops/sign-in", "/ops/hoem"):
            answer = await nginx.get(path, headers={"Accept": "text/html"})
            assert (answer.status_code, "Not found</h1>" in answer.text) == (
                404,
                path != "/ops/hoem",
            )
