"""The check of the status page notices a page that grows old, and one that members do not get."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.checks.model import Verdict
from chitlaq.ops.checks.runner import Result
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.statuspage import current, site, snapshot
from chitlaq.ops.statuspage.components import State
from tests.conftest import eventually, free_ports
from tests.ops.checks.conftest import RunOnStack, answering
from tests.ops.checks.run_check import run_check

CHECK = "statuspage.fresh"


async def written(home: Home, age_seconds: float, *words: str) -> bytes:
    """Write a page as it was some time ago, and return what nginx serves of it."""
    with OpsDatabase(home) as database:
        if words:
            await current.set_by_person(database, [*words], State.PARTIAL_OUTAGE, "ada")
        then = datetime.now(UTC) - timedelta(seconds=age_seconds)
        found = site.content(await snapshot.taken(database, Settings(), then), Settings())
    site.put(home.status_page, found)
    return found["status.json"]


async def checked(home: Home, served: bytes) -> Result:
    with answering(served) as port:
        return await run_check(home, CHECK, CHITLAQ_PORTS_EDGE=port)


async def test_page_that_ops_service_writes_is_fresh(run_on_stack: RunOnStack) -> None:
    async def fresh() -> bool:
        return (await run_on_stack(CHECK)).verdict is Verdict.OK

    await eventually(fresh)


@pytest.mark.parametrize(
    ("age", "verdict"),
    [(100, Verdict.OK), (130, Verdict.WARNING), (610, Verdict.CRITICAL), (-90, Verdict.WARNING)],
)
async def test_page_that_is_no_longer_written_is_noticed(
    tmp_path: Path, age: float, verdict: Verdict
) -> None:
    home = Home(tmp_path)
    assert (await checked(home, await written(home, age))).verdict is verdict


async def test_page_that_was_never_written_is_noticed(tmp_path: Path) -> None:
    assert (await checked(Home(tmp_path), b"")).verdict is Verdict.CRITICAL


async def test_page_that_members_do_not_get_is_noticed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    older = await written(home, 60)
    await written(home, 1)
    found = await checked(home, older)
    assert (found.verdict, "serves another one" in found.summary) == (Verdict.CRITICAL, True)
    assert (await checked(home, b"<html>")).verdict is Verdict.CRITICAL
    (nobody,) = free_ports(1)
    found = await run_check(home, CHECK, CHITLAQ_PORTS_EDGE=str(nobody))
    assert (found.verdict, "members cannot read it" in found.summary) == (Verdict.CRITICAL, True)


async def test_page_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.status_page.mkdir()
    (home.status_page / "status.json").write_text("{")
    assert (await checked(home, b"")).verdict is Verdict.UNKNOWN


async def test_what_people_have_set_is_named(tmp_path: Path) -> None:
    home = Home(tmp_path)
    found = await checked(home, await written(home, 1, "feed"))
    assert "set by a person: Feed" in found.summary
    assert found.values["set_by_people"].value == 1
