"""Whatever an operator changes in operations leaves a record of who, when and why."""

from __future__ import annotations

import json
import os
from pathlib import Path

from chitlaq.core.installation.home import Home
from chitlaq.ops.console.screens import audit
from chitlaq.ops.database.database import OpsDatabase
from tests import commands

ROSTER = """
timezone = "UTC"
[people.ada]
channels = [{ url = "ada@example.edu" }]
[rotations.primary]
layers = [{ people = ["ada"], first_day = 2026-01-01, every = "day", handover = "09:00" }]
[levels]
on-call = "primary"
"""
LATER = "2098-01-01 10:00"
CHANGES = {
    "oncall override add primary ada": ("--until", LATER, "--note", "Grace is ill"),
    "oncall override remove": (),
    "oncall handover primary": ("--note", "a new disk"),
    "oncall test ada": (),
    "status set feed degraded": (),
    "status set feed clear": (),
    "status maintenance add chat": ("--from", "2098-01-01 10:00", "--to", "2098-01-02 10:00", "--title", "x"),
    "status maintenance end 1": (),
    "heartbeat expect campus": (),
    "heartbeat forget campus": (),
    "operators add eve": (),
    "operators password eve": (),
    "operators totp eve": (),
    "operators remove eve": (),
}  # fmt: skip


async def test_each_change_of_an_operator_is_recorded(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.secrets.mkdir(mode=0o700)
    home.oncall_file.write_text(ROSTER)
    environment = {**os.environ, "CHITLAQ_HOME": str(tmp_path)}
    made = ""
    for words, more in CHANGES.items():
        last = [made] if words.endswith("override remove") else []
        answer = commands.run(
            [*words.split(), *last, *more, "--as", "grace"],
            environment,
            input="correct horse battery staple\n",
        )
        assert answer.returncode in {0, 3}, answer.stderr
        made = answer.stdout.split()[-1].strip("`")
    listed = json.loads(commands.run(["ops", "actions", "--json"], environment).stdout)
    assert {one["operator"] for one in listed} == {"grace"}
    done = [f"{one['action']} {one['target']}" for one in reversed(listed)]
    assert [one.replace("degraded_performance", "degraded") for one in done] == [
        "oncall override remove primary ada" if one.endswith("remove") else one for one in CHANGES
    ]
    assert listed[-1]["reason"] == "Grace is ill"
    assert "until 2098-01-01 10:00" in listed[-1]["output"]
    commands.run(["incidents", "open", "Slow", "--severity", "P2", "--as", "grace"], environment)
    item = ("incidents", "item", "1", "faster", "--owner", "ada", "--due", "2098-01-01")
    commands.run([*item, "--as", "grace"], environment)
    with OpsDatabase(home) as database:
        deeds = await audit.listed(database, 100)
    assert len(deeds) == len(CHANGES) + 2
    assert deeds[0].what == "item incident 1"
