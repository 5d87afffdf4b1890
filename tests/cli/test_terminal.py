"""Nothing that somebody else wrote acts on an operator's terminal, whichever command prints it."""

from __future__ import annotations

import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
import unicodedata
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import ProofResult, Record
from chitlaq.cli import terminal
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.core.visible import is_visible, one_line, visible
from chitlaq.logs import parsing
from chitlaq.ops import routines
from chitlaq.ops.checks import registry
from chitlaq.ops.checks.model import Evidence, Lines, Section, Table, Verdict
from chitlaq.ops.checks.runner import Result, Run
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.history import run_history
from chitlaq.ops.report import publish
from tests.cli.test_commands import COMMANDS, Words
from tests.conftest import Stack

# Sets the title, clears the screen, deletes, reverses, breaks lines; markup and links of rich.
HOSTILE = (
    "\x1b]0;pwned\x07\x1b[31m\x1b[8m\x9b2J\x9d52;c;eA==\x9c\x7f\x08\x0c\r\u202epwned\u2066\u2028\u200b\ufeff"
    "\U000e0041[/pwned][red][link=http://evil.example]pwned"
)
ID = "01a215c3-d838-7b64-8f12-33c2e1c22400"
RUN = UUID("01a215c3-d838-7b64-8f12-33c2e1c22401")

SHOWN: dict[str, Words] = {
    "mail show": (),
    "mail list": (),
    "jobs list": (),
    "jobs discard": ("--kind", HOSTILE),
    "universities list": (),
    "alerts": (),
    "ops notes": ("host.disk",),
    "ops actions": (),
    "ops history": (),
    "ops show": (str(RUN), "--details"),
    "logs": ("--grep", "pwned"),
    "backup list": (),
}
"""Commands that print what is planted, and the arguments with which they do."""


@pytest.fixture(scope="module")
async def planted(stack: Stack) -> AsyncIterator[Stack]:
    """A stack whose tables and logs have hostile texts wherever a command looks."""
    await stack.sql(
        # The newest for an hour, whatever is mailed meanwhile.
        "INSERT INTO mail.messages (to_address, subject, text, html, request_id, created_at)"
        " VALUES ($1, $1, $1, $1, '-', now() + interval '1 hour')",
        HOSTILE,
    )
    await stack.sql(
        "INSERT INTO jobs.jobs (id, kind, state, payload, request_id, reason)"
        " VALUES ($2, $1, 'dead', '{}', $1, $1)",
        HOSTILE,
        ID,
    )
    await stack.sql("INSERT INTO auth.universities (name) VALUES ($1)", HOSTILE)
    await stack.sql(
        "INSERT INTO auth.university_domains"
        " SELECT 'hostile.edu', id FROM auth.universities WHERE name = $1",
        HOSTILE,
    )
    now = datetime.now(UTC)
    evidence: list[Evidence] = [
        Lines(HOSTILE, [HOSTILE]),
        Table(HOSTILE, [HOSTILE], [[HOSTILE]]),
    ]
    result = Result(
        "host.disk", HOSTILE, Section.CHECKLIST, Verdict.WARNING, HOSTILE, {}, evidence, HOSTILE, 1,
    )  # fmt: skip
    run = Run(RUN, "morning", now, 1, Verdict.WARNING, HOSTILE, HOSTILE, [result])
    with OpsDatabase(Home(stack.home)) as history:
        await history.write(
            statement("keep_alert", HOSTILE, HOSTILE, HOSTILE, "{}", HOSTILE, HOSTILE, now, None),
            statement("add_note", ID, "host.disk", "note", HOSTILE, HOSTILE, now, None),
            statement("store_action", ID, HOSTILE, HOSTILE, HOSTILE, HOSTILE, now, None, None, ""),
            *run_history.statements(run),
        )
    for service in ("feed-service", "postgres"):
        with (stack.home / "logs" / f"{service}.log").open("a", newline="") as log:
            fields = {"level": "error", "event": HOSTILE, HOSTILE: HOSTILE, "exception": HOSTILE}
            log.write(json.dumps(fields, ensure_ascii=False) + "\n" + HOSTILE + "\n")
    backups = Home(stack.home).root / "backups"
    failed = ProofResult(now, False, HOSTILE, 1)
    # A file's name has no slashes.
    name = HOSTILE.replace("/", "|")
    records.write(backups, Record(name, "dump", now, 1, HOSTILE, 1, "", verified=failed))
    unusable = backups / "records" / f"damaged{name}.json"
    unusable.write_text("")
    for path in (backups, unusable.parent, unusable, unusable.with_name(f"{name}.json")):
        # Commands of root run as the home's owner.
        os.chown(path, stack.home.stat().st_uid, -1)
    yield stack
    unusable.unlink()
    unusable.with_name(f"{name}.json").unlink()
    await stack.sql("DELETE FROM mail.messages WHERE subject = $1", HOSTILE)
    await stack.sql("DELETE FROM jobs.jobs WHERE id = $1", ID)
    await stack.sql("DELETE FROM auth.universities WHERE name = $1", HOSTILE)
    with sqlite3.connect(Home(stack.home).ops_database) as opened:
        opened.execute("DELETE FROM alerts WHERE fingerprint = ?", [HOSTILE])
        opened.execute("DELETE FROM notes WHERE id = ?", [ID])
        opened.execute("DELETE FROM actions WHERE id = ?", [ID])
        opened.execute("DELETE FROM results WHERE run_id = ?", [str(RUN)])
        opened.execute("DELETE FROM runs WHERE id = ?", [str(RUN)])


@pytest.mark.parametrize("command", SHOWN)
@pytest.mark.parametrize("form", ["for people", "--json"])
def test_command_prints_nothing_that_acts(planted: Stack, command: str, form: str) -> None:
    words = (*command.split(), *SHOWN[command])
    if form == "--json":
        if not any(option.name == "as_json" for option in COMMANDS[tuple(command.split())].params):
            pytest.skip("has no --json")
        words = (*words, "--json")
    answer = planted.command(*words)
    assert "Traceback" not in answer.stderr
    assert "pwned" in answer.stdout, answer.stderr
    for said in (answer.stdout, answer.stderr):
        assert is_visible(said)
    if form == "--json" and command != "logs":
        assert _has(json.loads(answer.stdout)), "a program reads what there was"


def _has(value: object) -> bool:
    """Whether the hostile text is anywhere in what a program reads."""
    if isinstance(value, dict):
        return any(map(_has, [*value, *value.values()]))
    return any(map(_has, value)) if isinstance(value, list) else value == HOSTILE


def on_a_terminal(stack: Stack, *words: str) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "chitlaq", *words],
        env=stack.environment | {"TERM": "xterm-256color", "COLUMNS": "200"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            said += os.read(ours, 65536)
        except OSError:  # the terminal's other side is closed
            break
    os.close(ours)
    process.wait(60)
    return said.decode().replace("\r\n", "\n")


async def test_report_that_quotes_strangers_acts_nowhere(
    planted: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Read in a terminal, in a mail program or in a browser."""
    monkeypatch.setattr(routines, "checks_of", lambda _: registry.select(["feed.log"]))
    home = Home(planted.home)
    settings = settings_loading.load(home, planted.environment)
    # It pins the process that it runs in.
    processors = os.sched_getaffinity(0)
    try:
        _, lines = await publish.publish(home, settings, HOSTILE, tmp_path, is_to_send=False)
    finally:
        os.sched_setaffinity(0, processors)
    assert len(lines) == 2
    texts = [file.read_text() for file in tmp_path.iterdir()]
    assert "pwned" in "".join(texts)
    assert all(is_visible(text) for text in texts)


@pytest.mark.parametrize("command", ["mail show", "jobs list", "ops show", "logs"])
def test_terminal_gets_only_our_own_colours(planted: Stack, command: str) -> None:
    said = on_a_terminal(planted, *command.split(), *SHOWN[command])
    assert "pwned" in said
    assert "\x1b[8m" not in said
    ours = re.compile(r"\x1b\[(?:[0-4]|3\d|[12];3\d)m")
    assert is_visible(ours.sub("", said))


def test_log_line_cannot_pose_as_another(planted: Stack) -> None:
    forged = "2026-01-01T00:00:00Z error everything is lost"
    fields = {"level": "info", "event": f"posepose\n{forged}", "exception": f"x\n{forged}"}
    with (planted.home / "logs" / "feed-service.log").open("a") as log:
        log.write(json.dumps(fields) + f"\nposepose\r{forged}\x85{forged}\u2028{forged}\n")
    said = planted.command("logs", "feed-service", "--grep", "posepose").stdout
    assert forged in said
    assert forged not in said.splitlines()


def test_address_of_a_request_cannot_pose_as_another_line() -> None:
    names = (
        "remote_addr",
        "method",
        "uri",
        "protocol",
        "referer",
        "user_agent",
        "route",
        "request_id",
    )
    fields = dict.fromkeys(names, f"\n{HOSTILE}") | {"time": "2026-01-01T00:00:00+00:00"}
    line = json.dumps(fields | {"status": 200, "bytes_sent": 1, "request_time": 0.1})
    shown = parsing.readable(line, is_coloured=True)
    assert "pwned" in shown
    assert one_line(shown) == shown


def test_whatever_a_terminal_obeys_is_escaped() -> None:
    for number in range(sys.maxunicode + 1):
        character = chr(number)
        acts = unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or (
            unicodedata.bidirectional(character)
            in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
        )
        if acts and character not in "\t\n":
            assert visible(character).isascii()
            assert len(visible(character)) > 1
            assert json.loads(f'"{visible(character)}"') == character
        assert one_line(character).count("\n") == 0
    persian = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    for text in ("Zoë Ümit", "עברית", persian, "\U0001f469\u200d\U0001f4bb", "a\tb\n"):
        assert visible(text) == text


def test_whatever_shows_nothing_is_escaped() -> None:
    """Unicode's Default_Ignorable_Code_Point, and format characters; without what texts need to be read."""
    ignorable = [
        (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5),
        (0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164),
        (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0x1BCA0, 0x1BCA3),
        (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
    ]  # fmt: skip
    needed = {
        chr(number)
        for first, last in [(0x180B, 0x180D), (0x180F, 0x180F), (0x200C, 0x200D), (0xFE00, 0xFE0F),
                            (0xE0100, 0xE01EF)]
        for number in range(first, last + 1)
    }  # fmt: skip
    for first, last in ignorable:
        for character in map(chr, range(first, last + 1)):
            assert is_visible(character) is (character in needed), hex(ord(character))


def test_streams_let_nobody_around_them() -> None:
    """Attacks the streams with every way of writing that a library may choose."""
    code = (
        "import sys, click, typer, warnings\n"
        "from chitlaq.cli import terminal\n"
        "terminal.protect()\n"
        "bad = '\\x1b]0;x\\x07\\x9b\\u202e\\udcff'\n"
        "print(bad); print(bad, file=sys.stderr); sys.stdout.writelines([bad, bad])\n"
        "click.echo(bad); click.secho(bad, fg='red'); typer.echo(bad, err=True)\n"
        "typer.echo(b'\\x1b]0;x\\x07\\xff')\n"
        "warnings.warn(bad)\n"
        "from rich.console import Console\n"
        "from rich.traceback import Traceback\n"
        "Console(force_terminal=True).print(bad); terminal.console().print(bad)\n"
        "assert not hasattr(sys.stdout, 'buffer')\n"
        "raise ValueError(bad)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=60, check=False,
        env=os.environ | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    )  # fmt: skip
    for said in (done.stdout, done.stderr):
        assert is_visible(said.decode()), said
    assert b"ValueError" in done.stderr


def test_colours_of_our_own_are_all_that_passes(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.write_styled("\x1b[31mred\x1b[0m\x1b[2J\x1b]0;x\x07\x1b[38;5;1mx")
    assert capsys.readouterr().out == (
        "\x1b[31mred\x1b[0m\\u001b[2J\\u001b]0;x\\u0007\\u001b[38;5;1mx"
    )
