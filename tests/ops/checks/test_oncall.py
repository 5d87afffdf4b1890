"""Checks say who is told, what is missing, which channel is dead and when nobody has a duty."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import Secret
from chitlaq.core.installation.settings import Operations, Settings
from chitlaq.ops.checks.model import Verdict
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.escalation import metrics
from chitlaq.ops.oncall import current, overrides
from chitlaq.ops.watchdog.heartbeat_sender import CHANNEL, SENDER
from tests.ops.checks.run_check import run_check

PLAN = """
timezone = "UTC"
[people.ada]
name = "Ada"
channels = [{ url = "ada@example.edu" }, { url = "slack://a/b/c" }]
[people.grace]
channels = [{ url = "grace@example.edu" }]
[rotations.primary]
layers = [{ people = ["ada"], first_day = 2026-01-01, every = "day" }]
[levels]
on-call = "primary"
lead = ["grace"]
cto = ["ada"]
support = ["grace"]
"""
CHANNELS = (("ada", "mail"), ("ada", "slack"), ("grace", "mail"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.oncall_file.write_text(PLAN)
    home.oncall_file.chmod(0o600)
    return home


@pytest.fixture
async def database(home: Home) -> OpsDatabase:
    database = OpsDatabase(home)
    await database.rows("overrides", datetime.now(UTC))
    return database


def replace(home: Home, right: str, wrong: str) -> None:
    assert right in PLAN
    home.oncall_file.write_text(PLAN.replace(right, wrong))


async def delivered(
    database: OpsDatabase, outcome: str, days: int = 0, *of: tuple[str, str]
) -> None:
    at = datetime.now(UTC) - timedelta(days=days)
    for person, channel in of or CHANNELS:
        await database.write(statement("keep_delivery", person, channel, at, outcome, "said"))


async def test_who_is_on_call_is_named_and_what_is_missing(
    home: Home, database: OpsDatabase
) -> None:
    result = await run_check(home, "oncall.now")
    assert (result.verdict, result.summary) == (Verdict.OK, "Ada")
    replace(home, "2026-01-01", "2099-01-01")
    result = await run_check(home, "oncall.now")
    assert (result.verdict, result.summary) == (
        Verdict.CRITICAL,
        "nobody. The plan has a gap now: `chitlaq oncall override add` fills it.",
    )
    home.oncall_file.unlink()
    result = await run_check(home, "oncall.now")
    assert result.verdict == Verdict.SKIPPED
    assert "a decision of the operator" in result.summary
    home.oncall_file.touch()
    result = await run_check(home, "oncall.now")
    assert result.verdict == Verdict.WARNING
    assert "Neither oncall.toml nor operations.report_to names anybody" in result.summary
    result = await run_check(home, "oncall.now", CHITLAQ_OPERATIONS_REPORT_TO="ops@example.edu")
    assert "only the recipients of reports" in result.summary


@pytest.mark.parametrize(
    ("right", "wrong", "verdict", "said"),
    [
        ("", "", Verdict.OK, "no gap within four weeks"),
        ("people = ", "peple = ", Verdict.CRITICAL, "peple is unknown: did you mean people?"),
        ("2026-01-01", "2099-01-01", Verdict.CRITICAL, "nobody has primary from"),
        (
            'cto = ["ada"]\n',
            "",
            Verdict.WARNING,
            "P0 names levels that [levels] does not have: cto",
        ),
        (
            'lead = ["grace"]',
            'lead = ["ada"]',
            Verdict.WARNING,
            "two levels of P0 that follow each other",
        ),
        (
            '"day" }]',
            '"day" }, { people = ["ada"], first_day = 2026-01-01, every = "day" }]',
            Verdict.WARNING,
            "the layer of ada is covered by a later one always",
        ),
    ],
)
async def test_plan_is_checked_for_mistakes_gaps_and_what_nobody_wants(
    home: Home, database: OpsDatabase, right: str, wrong: str, verdict: Verdict, said: str
) -> None:
    replace(home, right, wrong)
    result = await run_check(home, "oncall.roster")
    assert result.verdict == verdict, result.summary
    assert said in result.summary


async def test_overrides_that_overlap_and_a_file_that_others_read_are_named(
    home: Home, database: OpsDatabase
) -> None:
    now = datetime.now(UTC)
    roster = current.read(home, Operations()).roster
    for person in ("ada", "grace"):
        period = (now + timedelta(days=2), now + timedelta(days=3))
        await overrides.add(database, roster, "primary", person, period, "tester", "")
    home.oncall_file.chmod(0o644)
    result = await run_check(home, "oncall.roster")
    assert result.verdict == Verdict.WARNING
    assert "both stand in for primary" in result.summary
    assert result.summary.endswith("; 1 more")


async def test_channel_is_alive_if_its_last_message_was_taken_lately(
    home: Home, database: OpsDatabase
) -> None:
    for outcome, days, of, verdict, said in (
        (None, 0, (), Verdict.WARNING, "2 channels of ada: never tried"),
        ("sent", 36, (), Verdict.WARNING, "not tried for long"),
        ("sent", 1, (), Verdict.OK, "all 3 work"),
        ("failed", 0, (("ada", "slack"),), Verdict.WARNING, "1 channel of ada: failed"),
        ("failed", 0, (("grace", "mail"),), Verdict.CRITICAL, "no channel of grace works"),
    ):
        if outcome:
            await delivered(database, outcome, days, *of)
        result = await run_check(home, "oncall.channels")
        assert result.verdict == verdict, result.summary
        assert said in result.summary


async def test_heartbeat_that_was_not_sent_is_critical(home: Home, database: OpsDatabase) -> None:
    assert (await run_check(home, "oncall.heartbeat")).verdict == Verdict.SKIPPED
    url = {"CHITLAQ_OPERATIONS_HEARTBEAT_URL": "https://watch.example.edu/s3cret"}
    assert (await run_check(home, "oncall.heartbeat", **url)).verdict == Verdict.CRITICAL
    await delivered(database, "sent", 0, (SENDER, CHANNEL))
    result = await run_check(home, "oncall.heartbeat", **url)
    assert result.verdict == Verdict.OK
    await delivered(database, "failed", 0, (SENDER, CHANNEL))
    result = await run_check(home, "oncall.heartbeat", **url)
    assert result.verdict == Verdict.CRITICAL
    assert "s3cret" not in result.summary


async def test_metrics_say_what_alerts_watch(home: Home, database: OpsDatabase) -> None:
    settings = Settings(operations=Operations(heartbeat_url=Secret("https://watch.example.edu")))

    async def read() -> dict[str, float]:
        found = await metrics.metrics(home, settings, database)
        return {one.name: one.samples[0].value for one in found}

    assert await read() == {
        "oncall_roster_valid": 1, "oncall_people_on_call": 1,
        "escalation_pages_failed": 0, "escalation_page_overdue_seconds": 0,
    }  # fmt: skip
    await delivered(database, "sent", 0, (SENDER, CHANNEL))
    replace(home, "people = ", "peple = ")
    seen = await read()
    assert seen["oncall_roster_valid"] == 0
    assert seen["heartbeat_sent_timestamp_seconds"] > 0
