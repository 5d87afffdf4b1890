"""`chitlaq status` works with nothing running, and writes the page itself."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.incidents import incidents
from tests import commands

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    environment = os.environ | {"CHITLAQ_HOME": str(tmp_path)}
    return lambda *words: commands.run(words, environment)


def shown(home: Path) -> dict[str, Any]:
    return {
        one["id"]: one["status"]
        for one in json.loads((home / "status-page" / "status.json").read_text())["components"]
    }


def test_person_s_word_is_on_the_page_at_once(run: Run, tmp_path: Path) -> None:
    answer = run("status", "set", "feed", "chat", "degraded", "--as", "ada")
    assert answer.stdout == "feed\nchat: shown as degraded.\n", answer.stderr
    assert shown(tmp_path)["feed"] == "degraded_performance"
    assert "set by ada" in run("status").stdout
    assert b"(set by a person)" in (tmp_path / "status-page" / "en.html").read_bytes()
    assert run("status", "set", "all", "clear").returncode == 0
    assert set(shown(tmp_path).values()) == {"operational"}
    for words in (("feed", "broken"), ("feeds", "major"), ("degraded",)):
        answer = run("status", "set", *words)
        assert answer.returncode == 1
        assert "There is no" in answer.stderr or "Say what" in answer.stderr


async def test_incident_is_published(run: Run, tmp_path: Path, database: OpsDatabase) -> None:
    await incidents.open_by_hand(database, "x", "P1", "ada", subject="component:websocket")
    answer = run("status", "publish", "1", "investigating", "--text", "Soon more.", "--as", "ada")
    assert "Published: Problems with Chat" in answer.stdout, answer.stderr
    page = (tmp_path / "status-page" / "en.html").read_text()
    assert "We are investigating problems with Chat." in page
    assert "Soon more." in page
    assert run("status", "publish", "1", "done").returncode == 1


def test_maintenance_is_announced_listed_and_withdrawn(run: Run, tmp_path: Path) -> None:
    begins = datetime.now(UTC) + timedelta(days=1)
    times = [f"{at:%Y-%m-%d %H:%M}" for at in (begins, begins + timedelta(hours=1))]
    answer = run(
        "status", "maintenance", "add", "chat", "--from", times[0], "--to", times[1],
        "--title", "New disks", "--title-tr", "Yeni diskler", "--as", "ada",
    )  # fmt: skip
    assert answer.stdout == "Announced as maintenance 1.\n", answer.stderr
    assert "New disks" in (tmp_path / "status-page" / "en.html").read_text()
    (listed,) = json.loads(run("status", "maintenance", "list", "--json").stdout)
    assert (listed["title_tr"], listed["made_by"]) == ("Yeni diskler", "ada")
    assert run("status", "maintenance", "end", "1").stdout == "Maintenance 1 is withdrawn.\n"
    assert "New disks" not in (tmp_path / "status-page" / "en.html").read_text()
    assert run("status", "maintenance", "end", "1").returncode == 1


def test_copy_is_exported(run: Run, tmp_path: Path) -> None:
    answer = run("status", "export", str(tmp_path / "copy"))
    assert answer.returncode == 0, answer.stderr
    assert (tmp_path / "copy" / "index.html").is_file()
    answer = run("status", "export", "/proc/copy")
    assert answer.returncode == 1
    assert "No copy was written" in answer.stderr
