"""The first screen names the cause of an incident, whichever alert was the first to arrive."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from chitlaq.monitoring.alerts import registry
from chitlaq.ops.console.now.situation import cause_of
from chitlaq.ops.incidents.incidents import IncidentAlert

NOW = datetime.now(UTC)
DECLARED = {one.name: one for one in registry.alerts()}


def fired(names: Sequence[str]) -> list[IncidentAlert]:
    """These alerts of feed-service, one after the other."""
    return [
        IncidentAlert(
            name, name, DECLARED[name].severity, "", {**DECLARED[name].all_labels,
            "service": "feed-service"}, NOW + timedelta(seconds=number), None, 1,
        )
        for number, name in enumerate(names)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "cause"),
    [
        (["ServiceUnable", "ErrorsLogged", "DatabaseDown"], "DatabaseDown"),
        (["PoolWaiting", "ServiceUnable", "LocksWaiting"], "LocksWaiting"),
        (["LocksWaiting", "ServiceUnable", "DatabaseDown"], "DatabaseDown"),
        (["WebsocketDeaf", "CacheDown"], "CacheDown"),
        (["MailsStuck", "JobsDead"], "MailsStuck"),
    ],
)
def test_cause_is_what_no_other_alert_explains(names: Sequence[str], cause: str) -> None:
    found = cause_of(fired(names))
    assert found
    assert found.name == cause


def test_what_has_ended_explains_nothing_that_fires() -> None:
    down, unable = fired(["DatabaseDown", "ServiceUnable"])
    found = cause_of([msgspec.structs.replace(down, ended_at=NOW), unable])
    assert found == unable
    assert cause_of([]) is None
