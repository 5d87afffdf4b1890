"""The screens on the system: what they show, and why something is unknown."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from html import unescape

import pytest

from chitlaq.backups.catalog import records
from chitlaq.backups.catalog.records import ProofResult, Record
from chitlaq.core import ids
from chitlaq.monitoring.dashboards.all_dashboards import DASHBOARDS
from chitlaq.ops.routines import ROUTINES
from tests.conftest import Stack, eventually
from tests.ops.console.conftest import Visitor

Visitors = Callable[[], Visitor]

SCREENS = (
    "/ops/services",
    "/ops/services/programs",
    "/ops/routines",
    "/ops/routines/runs/01a216b3-3fde-74d9-86da-915a17037628",
    "/ops/backups",
    "/ops/capacity",
    "/ops/dashboards",
    "/ops/dashboards/chitlaq-overview",
    "/ops/dashboards/chitlaq-overview/panels/0",
    "/ops/logs",
    "/ops/logs/lines",
)


async def text_of(visitor: Visitor, path: str) -> str:
    answer = await visitor.get(path)
    assert answer.status_code == 200, answer.text
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


@pytest.fixture
async def ada(alone: Stack, visitor: Visitors) -> Visitor:
    """Somebody signed in to the console of which nothing else runs."""
    one = visitor()
    await one.use_link(alone)
    return one


@pytest.fixture
async def on_stack(stack: Stack, visitor: Visitors) -> Visitor:
    """Somebody signed in to the console of a whole installation."""
    one = visitor()
    one.client.base_url = f"http://localhost:{stack.ports['ops']}"
    await one.use_link(stack)
    return one


@pytest.mark.parametrize("path", SCREENS)
async def test_screen_is_for_operators_who_are_signed_in(visitor: Visitors, path: str) -> None:
    answer = await visitor().client.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/ops/sign-in")


async def test_everything_down_is_said_on_each_screen(ada: Visitor) -> None:
    assert "Unknown : ChitLaq is not running here" in await text_of(ada, "/ops/services")
    routines = await text_of(ada, "/ops/routines")
    assert routines.count("Last run never") == len(ROUTINES)
    assert "There are no backups in" in await text_of(ada, "/ops/backups")
    capacity = await text_of(ada, "/ops/capacity")
    assert capacity.count("UNKNOWN") >= 4
    assert "there is no prometheus" in capacity
    assert "No such lines." in await text_of(ada, "/ops/logs?service=redis")
    table = await text_of(ada, "/ops/dashboards/chitlaq-overview?view=table")
    (overview,) = [one for one in DASHBOARDS if one.uid == "chitlaq-overview"]
    assert table.count("Unknown: there is no prometheus") == len(overview.panels)
    data = (await ada.get("/ops/dashboards/chitlaq-overview/panels/0")).json()
    assert data["drawn"] is None
    assert data["unknown"].startswith("there is no prometheus")


async def test_console_answers_on_the_second_port_while_nothing_else_runs(
    alone: Stack, visitor: Visitors
) -> None:
    one = visitor()
    one.client.base_url = f"http://localhost:{alone.ports['console']}"
    assert (await one.get("/")).headers["location"] == "/ops/"
    await one.use_link(alone)
    assert "Overview" in await text_of(one, "/ops/dashboards")


async def test_each_dashboard_is_listed_and_draws_all_its_panels(ada: Visitor) -> None:
    listed = (await ada.get("/ops/dashboards")).text
    assert DASHBOARDS
    for one in DASHBOARDS:
        assert f'href="/ops/dashboards/{one.uid}"' in listed
        page = (await ada.get(f"/ops/dashboards/{one.uid}")).text
        assert page.count("data-panel=") == len(one.panels)
        number = len(one.panels)
        assert (await ada.get(f"/ops/dashboards/{one.uid}/panels/{number}")).status_code == 404
    assert (await ada.get("/ops/dashboards/nothing")).status_code == 404


async def test_logs_are_text_and_followed_from_where_the_page_ended(
    alone: Stack, ada: Visitor
) -> None:
    log = alone.home / "logs" / "feed-service.log"
    log.parent.mkdir(exist_ok=True)

    def write(event: str) -> None:
        stamp = datetime.now(UTC).isoformat()
        with log.open("a") as file:
            file.write(f'{{"timestamp":"{stamp}","level":"error","event":"{event}"}}\n')

    write("<img src=x>")
    page = (await ada.get("/ops/logs?service=feed-service&level=error")).text
    assert "&lt;img src=x&gt;" in page
    assert "<img" not in page
    found = re.search(r'data-positions="([^"]+)"', page)
    assert found
    positions = unescape(found[1])
    write("later")
    answer = await ada.client.get(
        "/ops/logs/lines", params={"service": "feed-service", "positions": positions}
    )
    assert [row["text"] for row in answer.json()["rows"]] == ["later"]
    assert answer.json()["positions"] != positions
    for wrong in ("[]", "{", '{"feed-service.log": {"x": -1}}'):
        refused = await ada.client.get("/ops/logs/lines", params={"positions": wrong})
        assert refused.status_code == 422, wrong


async def test_log_that_hangs_holds_up_no_other_screen(alone: Stack, ada: Visitor) -> None:
    """A pipe that nobody writes to is like a file on a dead file system."""
    log = alone.home / "logs" / "auth-service.log"
    log.parent.mkdir(exist_ok=True)
    os.mkfifo(log)
    try:
        # More than a pool of threads has places.
        *pages, lines = await asyncio.gather(
            *(ada.client.get("/ops/logs") for _ in range(40)), ada.client.get("/ops/logs/lines")
        )
        # They still hang.
        assert "There are no backups in" in await text_of(ada, "/ops/backups")
        assert all("no answer within 3 s" in page.text for page in pages)
        assert lines.json()["unknown"] == "no answer within 3 s"
    finally:
        log.unlink()


async def test_first_run_of_a_routine_has_none_to_compare_with(alone: Stack, ada: Visitor) -> None:
    run = alone.json("ops", "midday")
    shown = await text_of(ada, f"/ops/routines/runs/{run['id']}")
    assert "no earlier run of midday is recorded" in shown
    # Its commands are elements of their own.
    summary = run["results"][0]["summary"].replace("`", " ")
    assert " ".join(summary.split()) in shown


async def test_catalogue_of_backups_shows_what_was_proven(alone: Stack, ada: Visitor) -> None:
    at = datetime.now(UTC)
    good = ProofResult(at, is_good=True, detail="", seconds=1.0)
    bad = ProofResult(at, is_good=False, detail="a page is damaged", seconds=1.0)
    folder = alone.home / "backups"
    (folder / "records").mkdir(parents=True)
    for name, drilled in (("chitlaq_1", good), ("chitlaq_2", bad)):
        (folder / f"{name}.sql").write_bytes(bytes(1_500_000))
        records.write(
            folder,
            Record(name, "dump", at, 1.0, f"{name}.sql", 1_500_000, "0", verified=good, drilled=drilled),
        )  # fmt: skip
    shown = await text_of(ada, "/ops/backups")
    assert "chitlaq_1" in shown
    assert re.search(r"chitlaq_2 .* 1\.5 MB .* bad .*: a page is damaged", shown)
    assert "Kept 2, 3 MB" in shown
    assert "Bad 1" in shown


async def test_services_are_shown_as_the_supervisor_knows_them(
    stack: Stack, on_stack: Visitor
) -> None:
    shown = await text_of(on_stack, "/ops/services")
    statuses = stack.ps()
    for name, row in statuses.items():
        pid = row["pid"] or ""
        assert re.search(rf"\b{name} .*?{row['state']}.*?\b{pid}\b", shown), name
    assert re.search(r"postgres healthy .*? MB Restart postgres …", shown)
    programs = await text_of(on_stack, "/ops/services/programs")
    assert re.search(r"postgres 18\.\d", programs) or "Unknown" in programs


async def test_routine_is_run_through_a_plan_and_its_run_is_shown_and_compared(
    stack: Stack, on_stack: Visitor
) -> None:
    await on_stack.get("/ops/routines")
    refused = await on_stack.send("/ops/actions/plans", action="run", target="nightly")
    assert refused.status_code == 409
    assert "There is no routine nightly" in refused.text
    for why in ("once", "again"):
        planned = await on_stack.send("/ops/actions/plans", action="run", target="midday")
        assert planned.status_code == 303, planned.text
        plan = planned.headers["location"]
        assert "which only read" in await text_of(on_stack, plan)
        confirmed = await on_stack.send(plan, why=why)
        assert confirmed.status_code == 303, confirmed.text
        action = confirmed.headers["location"]

        async def is_over(path: str = action) -> bool:
            return "done" in await text_of(on_stack, path)

        await eventually(is_over, seconds=90)
    runs = [one for one in stack.json("ops", "history") if one["routine"] == "midday"]
    assert runs[0]["started_by"] == "ada"
    assert f"/ops/routines/runs/{runs[0]['id']}" in (await on_stack.get("/ops/routines")).text
    shown = await text_of(on_stack, f"/ops/routines/runs/{runs[0]['id']}")
    for check in ROUTINES["midday"].checks:
        assert check in shown
    assert "Changes since the run before" in shown
    assert "no earlier run" not in shown
    assert (await on_stack.get(f"/ops/routines/runs/{ids.new()}")).status_code == 404
