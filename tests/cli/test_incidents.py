"""``chitlaq incidents``: an incident from its opening to its postmortem, with nothing else running."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.ops.checks.model import Verdict
from tests import commands
from tests.ops.checks.run_check import run_check


class Operator:
    """Types commands for a home of its own."""

    def __init__(self, home: Path) -> None:
        self.environment = {**os.environ, "CHITLAQ_HOME": str(home)}

    def types(self, *words: str) -> str:
        answer = commands.run(["incidents", *words], self.environment)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def is_refused(self, *words: str) -> str:
        answer = commands.run(["incidents", *words], self.environment)
        assert answer.returncode == 1
        assert "Traceback" not in answer.stderr
        return answer.stderr

    def json(self, *words: str) -> Any:
        return json.loads(self.types(*words, "--json"))


@pytest.fixture
def ada(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


def test_incident_is_opened_taken_and_resolved(ada: Operator) -> None:
    assert "no incident" in ada.types()
    assert "Incident 1 is open" in ada.types("open", "Pictures are missing", "--severity", "P2")
    (listed,) = ada.json()
    assert listed.keys() >= {
        "id", "severity", "status", "title", "opened_at", "acknowledged_at", "acknowledged_by",
        "resolved_at", "escalation_level", "next_escalation_at", "alerts",
    }  # fmt: skip
    assert ada.json("ack", "1", "--as", "ada")["acknowledged_by"] == "ada"
    assert "already acknowledged by ada" in ada.is_refused("ack", "1", "--as", "bob")
    assert ada.json("ack", "1", "--as", "bob", "--take-over")["acknowledged_by"] == "bob"
    assert ada.json("severity", "1", "P0", "--why", "all of them")["severity"] == "P0"
    assert ada.json("resolve", "1", "--why", "the disk is back")["status"] == "resolved"
    assert ada.json("--status", "open") == []
    assert "reopen it first" in ada.is_refused("ack", "1")
    assert ada.json("reopen", "1")["status"] == "open"
    shown = ada.json("show", "1")
    assert [line["kind"] for line in shown["timeline"]] == [
        "opened", "acknowledged", "acknowledged", "severity", "resolved", "reopened",
    ]  # fmt: skip
    assert "There is no incident 7" in ada.is_refused("show", "7")


def test_who_acts_on_what_has_changed_since_is_refused(ada: Operator) -> None:
    seen = str(ada.json("open", "Slow", "--severity", "P2")["version"])
    ada.types("severity", "1", "P1", "--why", "slower")
    assert "has changed since you looked" in ada.is_refused("resolve", "1", "--version", seen)
    assert ada.json("show", "1")["status"] == "open"


def test_incident_that_is_merged_is_part_of_the_other_one(ada: Operator) -> None:
    for title in ("Feeds are slow", "The database is slow"):
        ada.types("open", title, "--severity", "P2")
    ada.types("note", "1", "it began with the deploy")
    ada.types("item", "1", "deploy by day", "--owner", "bob", "--due", "2999-01-01")
    assert "Incident 2 includes incident 1 now" in ada.types("merge", "1", "--into", "2")
    assert [one["id"] for one in ada.json()] == [2]
    shown = ada.types("show", "2")
    assert "it began with the deploy" in shown
    assert "deploy by day" in shown
    assert "merged into 2" in ada.is_refused("resolve", "1")
    assert "has no alert Nothing" in ada.is_refused("split", "2", "Nothing")


def test_postmortem_has_figures_timeline_and_what_is_to_be_done(ada: Operator) -> None:
    ada.types("open", "Feeds <script>alert(1)</script> | are slow", "--severity", "P1")
    ada.types("note", "1", "the graph showed it at once", "--helped")
    ada.types("note", "1", "nobody knew the password", "--hindered")
    ada.types("item", "1", "write the password down", "--owner", "bob", "--due", "2999-01-31")
    assert "is not a date" in ada.is_refused("item", "1", "x", "--owner", "b", "--due", "soon")
    assert "is over" in ada.is_refused("item", "1", "x", "--owner", "b", "--due", "2026-01-31")
    page = ada.types("postmortem", "1")
    assert "<script>" not in page.replace("\\<script>", "")
    parts = dict(part.split("\n", 1) for part in page.split("\n## ")[1:])
    assert list(parts) == [
        "Summary", "Impact", "Timeline", "What helped", "What hindered", "Action items",
    ]  # fmt: skip
    assert "not known, because there is no access log" in parts["Impact"]
    assert "the graph showed it at once" in parts["What helped"]
    assert "nobody knew the password" in parts["What hindered"]
    assert "| 1 | write the password down | bob | 2999-01-31 |" in parts["Action items"]


async def test_checks_ask_about_what_nobody_takes_care_of(ada: Operator, tmp_path: Path) -> None:
    async def verdict(check: str) -> Verdict:
        return (await run_check(Home(tmp_path), check)).verdict

    assert await verdict("incidents.unacknowledged") == Verdict.UNKNOWN
    ada.types("open", "Slow", "--severity", "P0")
    assert await verdict("incidents.unacknowledged") == Verdict.WARNING
    ada.types("ack", "1")
    assert await verdict("incidents.unacknowledged") == Verdict.OK

    assert await verdict("incidents.action_items") == Verdict.OK
    ada.types("item", "1", "later", "--owner", "bob", "--due", "2999-01-01")
    assert await verdict("incidents.action_items") == Verdict.OK
    ada.types("item", "1", "measure it", "--owner", "bob", "--due", "2999-01-01")
    with closing(sqlite3.connect(Home(tmp_path).ops_database)) as opened, opened:
        opened.execute("UPDATE action_items SET due_on = '2026-01-31' WHERE id = 2")
    assert await verdict("incidents.action_items") == Verdict.WARNING
    assert [one["owner"] for one in ada.json("items")] == ["bob", "bob"]
    assert "Done: measure it" in ada.types("done", "2")
    assert "no open action item 2" in ada.is_refused("done", "2")
    assert await verdict("incidents.action_items") == Verdict.OK
