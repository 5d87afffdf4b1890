"""Acting through the console: a plan is good for one use, for two minutes, for what was seen."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home
from chitlaq.ops.actions.model import ActionContext
from chitlaq.ops.actions.registry import ACTIONS
from chitlaq.ops.console.access.sessions import Sessions
from chitlaq.ops.console.acting import plans
from chitlaq.ops.console.acting.plans import Plans
from chitlaq.ops.database.database import OpsDatabase
from tests.conftest import Stack, eventually
from tests.ops.console.conftest import Visitor

Visitors = Callable[[], Visitor]


def old_log(stack: Stack, number: int) -> Path:
    """A file that is safe to delete."""
    path = stack.home / "logs" / f"feed.log.{number}"
    path.parent.mkdir(exist_ok=True)
    path.write_text("old")
    path.parent.chmod(0o777)
    os.utime(path, (time.time() - 30 * 86_400,) * 2)
    return path


async def planned(one: Visitor, action: str, target: str = "") -> str:
    """Plan an action, and return the plan's page."""
    answer = await one.send("/ops/actions/plans", action=action, target=target)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def test_action_is_planned_confirmed_carried_out_and_recorded(
    alone: Stack, visitor: Visitors
) -> None:
    one = visitor()
    await one.use_link(alone, "ada")
    file = old_log(alone, 3)
    plan = await planned(one, "prune")
    assert f"remove {file}" in (await one.get(plan)).text
    assert "Say why" in (await one.send(plan, why=" ", name="prune")).text
    assert "Type prune" in (await one.send(plan, why="full disk", name="purge")).text
    assert file.exists()

    begun = await one.send(plan, why="full disk", name="prune")
    assert begun.status_code == 303
    done = begun.headers["location"]
    await eventually(lambda: not file.exists())

    async def is_told() -> bool:
        return "removed 1 file" in (await one.get(done)).text

    await eventually(is_told)
    assert "removed 1 file, 3 B" in (await one.client.get(f"{done}/output")).text
    (recorded, *_) = alone.json("ops", "actions")
    assert (recorded["action"], recorded["operator"], recorded["reason"]) == (
        "prune",
        "ada",
        "full disk",
    )
    assert recorded["succeeded"]
    audit = (await one.get("/ops/audit")).text
    assert re.search(r"ada</b> · <a href=\"/ops/actions/[^\"]+\">prune", audit)

    again = await one.send(plan, why="full disk", name="prune")
    assert again.status_code == 409
    assert "no longer good" in again.text


async def test_plan_is_refused_to_another_session_and_when_the_state_has_changed(
    alone: Stack, visitor: Visitors
) -> None:
    one, other = visitor(), visitor()
    await one.use_link(alone, "ada")
    await other.use_link(alone, "ada")
    file = old_log(alone, 4)
    plan = await planned(one, "prune")
    assert (await other.send(plan, why="forged", name="prune")).status_code == 409
    assert (await other.get(plan)).status_code == 409
    later = old_log(alone, 5)
    refused = await one.send(plan, why="full disk", name="prune")
    assert refused.status_code == 409
    assert "The state has changed" in refused.text
    assert f"remove {later}" in refused.text
    assert file.exists()
    (anew,) = re.findall(r'action="(/ops/actions/plans/[^"]+)"', refused.text)
    assert (await one.send(anew, why="full disk", name="prune")).status_code == 303
    await eventually(lambda: not file.exists() and not later.exists())


async def test_plan_is_good_for_two_minutes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = Home(tmp_path)
    file = tmp_path / "logs" / "feed.log.3"
    file.parent.mkdir()
    file.touch()
    os.utime(file, (0, 0))
    now = 1000.0
    monkeypatch.setattr(plans, "monotonic", lambda: now)
    context = ActionContext(home, settings_loading.load(home))
    with OpsDatabase(home) as database:
        session = await Sessions(database).begin("ada", is_by_link=True, address="127.0.0.1")
    kept = Plans()
    made = await kept.make(session, ACTIONS["prune"], "", context)
    now += plans.LASTS_SECONDS - 1
    assert kept.find(session, made.id) is made
    now += 1
    with pytest.raises(OperatorError, match="no longer good"):
        await kept.take(session, made.id, context)


async def test_reading_never_acts(alone: Stack, visitor: Visitors) -> None:
    one = visitor()
    await one.use_link(alone)
    file = old_log(alone, 6)
    plan = await planned(one, "prune")
    for path in (
        f"{plan}?why=x&name=prune",
        f"{plan}/confirm",
        "/ops/actions/plans?action=prune",
        "/ops/sign-out",
        "/ops/sign-out-everywhere",
        "/ops/incidents/1/acknowledge?version=1",
        "/ops/incidents/1/note?text=x",
        "/ops/oncall/overrides",
    ):
        assert (await one.get(path)).status_code in {200, 404, 405}, path
    assert file.exists()
    assert await one.is_signed_in()


async def test_action_that_cannot_be_planned_says_why(alone: Stack, visitor: Visitors) -> None:
    one = visitor()
    await one.use_link(alone)
    for action, target, said in (
        ("restart", "postgres", "ChitLaq is not running here"),
        ("vacuum", "feed.posts", "PostgreSQL is not reachable"),
        ("vacuum", "posts; DROP", "is not a table name"),
        ("restart", "", "restart needs a component"),
        ("explode", "", "There is no action explode"),
    ):
        answer = await one.send("/ops/actions/plans", action=action, target=target)
        assert answer.status_code == 409
        assert said in answer.text


def test_what_cannot_be_undone_asks_for_the_name_of_what_it_is_done_to() -> None:
    assert {name for name, one in ACTIONS.items() if one.is_destructive} == {
        "kill",
        "prune",
        "restore",
        "rollback",
        "vacuum",
    }
