"""Points in time as operators write them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chitlaq.cli.app import app
from chitlaq.core import point_in_time
from chitlaq.core.errors import OperatorError


def test_time_without_a_date_means_today() -> None:
    now = datetime.now().astimezone()
    assert point_in_time.parse("00:00", "--to-time") == now.replace(
        hour=0, minute=0, second=0, microsecond=0
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02 03:04:05.5+01:00", datetime(2026, 1, 2, 2, 4, 5, 500_000, tzinfo=UTC)),
        ("2026-01-02T03:04Z", datetime(2026, 1, 2, 3, 4, tzinfo=UTC)),
        ("2026-01-02 03:04", datetime(2026, 1, 2, 3, 4).astimezone()),
    ],
)
def test_time_zone_is_the_given_one_or_local(text: str, expected: datetime) -> None:
    assert point_in_time.parse(text, "--to-time") == expected


@pytest.mark.parametrize("text", ["2026-01-02", "yesterday", "03:04 CET", "2026-02-30 03:04", ""])
def test_other_formats_are_refused_naming_the_option(text: str) -> None:
    with pytest.raises(OperatorError, match="--since"):
        point_in_time.parse(text, "--since")


@pytest.mark.parametrize(
    "text",
    ["999999d", "0001-01-01 00:00", "0001-01-01 00:00+14:00", "9999-12-31 23:59-14:00"],
)
def test_moment_beyond_the_calendar_is_refused_naming_the_option(text: str) -> None:
    with pytest.raises(OperatorError, match=r"--since .* is not a point in time"):
        point_in_time.parse(text, "--since")


def test_future_is_refused() -> None:
    with pytest.raises(OperatorError, match="in the future"):
        point_in_time.parse("2999-01-01 00:00Z", "--to-time")


@pytest.mark.parametrize(
    ("text", "ago"), [("10m", timedelta(minutes=10)), ("2d", timedelta(days=2))]
)
def test_how_long_ago_is_a_point_in_time(text: str, ago: timedelta) -> None:
    before = datetime.now(UTC)
    assert before - ago <= point_in_time.parse(text, "--since") <= datetime.now(UTC) - ago


# In the form of POSIX, so that no time zone database is needed: the offset is west of Greenwich.
VIENNA, LORD_HOWE = "CET-1CEST,M3.5.0,M10.5.0/3", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"
CHICAGO = "CST6CDT,M3.2.0,M11.1.0"


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


@pytest.mark.parametrize(
    ("zone", "text", "first", "second"),
    [
        (VIENNA, "2025-10-26 02:00", "2025-10-26 02:00:00+02:00", "2025-10-26 02:00:00+01:00"),
        (VIENNA, "2025-10-26 02:59:59.5",
         "2025-10-26 02:59:59.500000+02:00", "2025-10-26 02:59:59.500000+01:00"),
        (CHICAGO, "2025-11-02 01:30", "2025-11-02 01:30:00-05:00", "2025-11-02 01:30:00-06:00"),
        # The clock is set back by half an hour.
        (LORD_HOWE, "2025-04-06 01:45", "2025-04-06 01:45:00+11:00", "2025-04-06 01:45:00+10:30"),
    ],
    indirect=["zone"],
)  # fmt: skip
def test_time_that_a_clock_shows_twice_is_refused_naming_both(
    zone: str, text: str, first: str, second: str
) -> None:
    with pytest.raises(OperatorError, match="was twice") as refused:
        point_in_time.parse(text, "--to-time")
    assert f"'{first}' for the first" in str(refused.value)
    assert f"'{second}' for the second" in str(refused.value)
    # Each is accepted as it was said, and said again alike.
    moments = [point_in_time.parse(one, "--to-time") for one in (first, second)]
    assert moments[0] < moments[1]
    assert [point_in_time.shown(one) for one in moments] == [first, second]


@pytest.mark.parametrize(
    ("zone", "text"),
    [(VIENNA, "2025-03-30 02:30"), (CHICAGO, "2025-03-09 02:00")],
    indirect=["zone"],
)
def test_time_that_a_clock_never_showed_is_refused(zone: str, text: str) -> None:
    with pytest.raises(OperatorError, match="never was"):
        point_in_time.parse(text, "--to-time")


@pytest.mark.parametrize("zone", [VIENNA, CHICAGO, LORD_HOWE], indirect=True)
def test_every_other_time_of_a_year_is_one_moment(zone: str) -> None:
    """What is refused is as long as the clock changes, and each accepted time is shown as it was written."""
    refused = timedelta()
    written, step = datetime.fromisoformat("2025-01-01"), timedelta(minutes=15)
    while written.year == 2025:
        try:
            moment = point_in_time.parse(written.isoformat(" "), "--to-time")
        except OperatorError:
            refused += step
        else:
            assert moment.replace(tzinfo=None) == written
        written += step
    assert refused == (timedelta(hours=1) if zone == LORD_HOWE else timedelta(hours=2))


@pytest.mark.parametrize("zone", [VIENNA], indirect=True)
@pytest.mark.parametrize(
    "words", [["logs", "--since"], ["backup", "restore", "--to-time"], ["backup", "run", "--since"]]
)
def test_every_command_that_takes_a_time_asks_which_is_meant(
    zone: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHITLAQ_HOME", str(tmp_path))
    answer = CliRunner().invoke(app, [*words, "2025-10-26 02:30"])
    assert isinstance(answer.exception, OperatorError)
    assert "was twice" in str(answer.exception)
