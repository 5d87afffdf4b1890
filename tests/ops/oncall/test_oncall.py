"""Operators see who is on call, change that at short notice, test channels, and subscribe to calendars."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from chitlaq.core.installation.secret_values import Secret
from chitlaq.core.installation.settings import Smtp
from chitlaq.ops.oncall import channels
from chitlaq.ops.oncall.roster import Channel
from tests.conftest import Stack, remove_home, start_stack
from tests.ops.receivers import MailServer, WebService, mail_server, web_service

ROSTER = """
timezone = "Europe/Istanbul"
[people.ada]
name = "Ada, the first; of \\\\ them"
channels = [{{ url = "{web}" }}, {{ url = "ada@example.edu" }}, {{ url = "slakc://x/s3cretToken" }}]
[people.grace]
channels = [{{ url = "grace@example.edu" }}]
[rotations.primary]
layers = [{{ people = ["ada"], first_day = 2026-01-01, every = "day", handover = "09:00" }}]
[levels]
on-call = "primary"
lead = ["grace"]
"""


@pytest.fixture(scope="module")
def receivers() -> Iterator[tuple[WebService, MailServer]]:
    with web_service() as web, mail_server() as smtp:
        yield web, smtp


@pytest.fixture
def home(receivers: tuple[WebService, MailServer]) -> Iterator[Stack]:
    """An installation that does not run: all of this works while everything is down."""
    web, smtp = receivers
    stack = start_stack(
        CHITLAQ_SMTP_HOST="127.0.0.1",
        CHITLAQ_SMTP_PORT=str(smtp.port),
        CHITLAQ_SMTP_START_TLS="false",
    )
    (stack.home / "oncall.toml").write_text(ROSTER.format(web=web.url()))
    yield stack
    remove_home(stack.home)


def test_test_sends_to_every_channel_and_says_what_came_back(
    home: Stack, receivers: tuple[WebService, MailServer]
) -> None:
    answer = home.command("oncall", "test", "--as", "tester")
    assert answer.returncode == 3, "one channel is misspelt"
    web, smtp = receivers
    assert web.told() == ["ada"]
    assert sorted(smtp.told()) == ["ada", "grace"]
    assert "tester tests the channels" in smtp.mails[0][2]
    assert "accepted by 127.0.0.1" in answer.stdout
    assert "Apprise rejects this URL" in answer.stdout
    listed = {(one["person"], one["channel"]): one for one in home.json("oncall", "people")}
    assert listed["ada", "slakc"]["outcome"] == "failed"
    assert listed["grace", "mail"]["outcome"] == "sent"
    assert "s3cretToken" not in answer.stdout + answer.stderr + str(listed)


STRANGE = "@everyone @channel <@123> <users/all> @**all** [Acknowledge](http://evil) ada@example.edu x@here"


async def test_what_strangers_write_calls_nobody_in_a_room(
    receivers: tuple[WebService, MailServer],
) -> None:
    web, _ = receivers
    # Takes a text as it is, and reads Markdown and mentions in it, as Discord does.
    room = Channel(Secret(f"mmost://127.0.0.1:{web.port}/3ccdd113474722377935511fc85d3dd4"))
    await channels.send(room, Smtp(), STRANGE, STRANGE)
    (said,) = [body["text"] for word, body in web.came if word == "hooks"]
    assert re.findall("@.", said) == ["@e", "@e"], "only mail addresses"
    assert "](" not in said
    assert "<users" not in said


def test_override_stands_in_until_it_is_removed(home: Stack) -> None:
    def on_call() -> list[str]:
        (people,) = [
            one["people"] for one in home.json("oncall", "now") if one["level"] == "on-call"
        ]
        return list(people)

    assert on_call() == ["ada"]
    made = home.command(
        "oncall", "override", "add", "primary", "grace", "--until", "2099-01-01 10:00"
    )
    assert made.returncode == 0, made.stderr
    assert on_call() == ["grace"]
    identifier = made.stdout.split()[-1].strip("`")
    (listed,) = home.json("oncall", "override", "list")
    assert listed["id"].endswith(identifier)
    assert home.command("oncall", "override", "remove", identifier).returncode == 0
    assert on_call() == ["ada"]
    for words, said in (
        (("nobody", "grace"), "there is no rotation 'nobody'"),
        (("primary", "grac"), "Did you mean grace?"),
        (
            ("primary", "grace", "--from", "2026-01-01 10:00", "--until", "2026-01-02 10:00"),
            "future",
        ),
    ):
        refused = home.command("oncall", "override", "add", "--until", "2099-01-01 10:00", *words)
        assert refused.returncode == 1
        assert said in refused.stderr


def test_handover_note_is_shown_to_whoever_has_the_duty(home: Stack) -> None:
    assert home.command("oncall", "handover", "primary", "--note", "db1's disk").returncode == 0
    assert "db1's disk" in home.command("oncall", "now").stdout


def test_broken_file_is_named_and_shown(home: Stack) -> None:
    (home.home / "oncall.toml").write_text("[people.ada]\nchanels = []")
    answer = home.command("oncall", "show")
    assert answer.returncode == 3
    said = "line 2 (people.ada.chanels): chanels is unknown: did you mean channels?"
    assert said in answer.stderr
    now = home.command("oncall", "now").stdout
    assert now.startswith(f"Nobody is told of incidents. oncall.toml, {said}")
    assert now.endswith(
        "There is no earlier version that was valid: nobody is told of incidents.\n"
    )


def test_example_is_written_once_and_for_its_owner_only(home: Stack) -> None:
    path = home.home / "oncall.toml"
    assert "exists already" in home.command("oncall", "init").stderr
    path.unlink()
    assert "chitlaq oncall init" in home.command("oncall", "show").stdout
    assert home.command("oncall", "init").returncode == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shown = home.command("oncall", "show")
    assert shown.returncode == 0
    # It is in effect at once.
    assert "a gap" not in shown.stdout


def test_calendar_is_served_to_whoever_has_its_address(stack: Stack) -> None:
    path = stack.home / "oncall.toml"
    path.write_text(ROSTER.format(web="json://localhost"))
    try:
        url = stack.command("oncall", "calendar", "ada", "--url").stdout.strip()
        answer = httpx.get(url)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/calendar")
        lines = answer.content.split(b"\r\n")
        assert max(map(len, lines)) <= 75
        assert rb"X-WR-CALNAME:On call: Ada\, the first\; of \\ them" in lines
        assert any(line.startswith(b"DTSTART:") for line in lines)
        assert lines.count(b"BEGIN:VEVENT") == lines.count(b"END:VEVENT") >= 1
        for wrong in (url.replace(".ics", "x"), url[:-12], url.replace("/oncall/", "/oncall/%00")):
            assert httpx.get(wrong).status_code == 404
        shown = stack.command("oncall", "calendar", "ada").stdout
        assert "BEGIN:VCALENDAR" in shown
        assert httpx.get(f"{stack.edge}/oncall/{Path(url).name}").status_code == 404
    finally:
        path.unlink()
        (stack.home / "ops" / "oncall.toml").unlink(missing_ok=True)
