"""Points in time as operators write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from chitlaq.backups.restore import point_in_time
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


def test_future_is_refused() -> None:
    with pytest.raises(OperatorError, match="in the future"):
        point_in_time.parse("2999-01-01 00:00Z", "--to-time")
