"""ops-service shows moments in the time zone of those on call."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chitlaq.core import local_time
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Operations, Settings
from chitlaq.ops.oncall import zone

ROTATION = """
[people.ada]
channels = [{ url = "ada@example.edu" }]
[rotations.one]
timezone = "Asia/Kathmandu"
[[rotations.one.layers]]
people = ["ada"]
first_day = 2026-01-01
handover = "mon 09:00"
[levels]
on-call = "one"
"""


@pytest.fixture(autouse=True)
def _machine_again() -> Iterator[None]:
    yield
    local_time.use(None)


@pytest.mark.parametrize(
    ("roster", "setting", "used"),
    [
        ('timezone = "Europe/Istanbul"', "Europe/Vienna", "Europe/Istanbul"),
        (ROTATION, "", "Asia/Kathmandu"),
        ("", "Europe/Vienna", "Europe/Vienna"),
        ("", "", None),
        ("", "Europe/Wien", None),
    ],
)
def test_roster_s_zone_goes_before_the_settings(
    tmp_path: Path, roster: str, setting: str, used: str | None
) -> None:
    home = Home(tmp_path)
    home.oncall_file.write_text(roster)
    zone.use(home, Settings(operations=Operations(timezone=setting)))
    assert (str(local_time.zone()) if local_time.zone() else None) == used
    assert local_time.zone_name(datetime.now(UTC)).startswith(used or "")
