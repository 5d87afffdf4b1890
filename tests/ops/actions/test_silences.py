"""A silence is shown first, confirmed and recorded, and ends when it says or when an operator says."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from chitlaq.core.errors import OperatorError
from chitlaq.monitoring.alerts import registry
from chitlaq.ops.actions import silences
from tests.conftest import Stack


def do(stack: Stack, url: str, *words: str) -> str:
    answer = stack.command("ops", "do", *words, env={"ALERTMANAGER_URL": url})
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


async def test_silence_is_shown_made_and_ended(
    stack: Stack, alertmanager: httpx.AsyncClient, alertmanager_url: str
) -> None:
    host = secrets.token_hex(4)
    alert = {
        "labels": {"alertname": "DiskFull", "host": host, "severity": "P1"},
        "annotations": {"summary": f"The disk of {host} is full."},
    }
    assert (await alertmanager.post("/api/v2/alerts", json=[alert])).status_code == 200
    target = f"DiskFull host={host} for 2h"

    shown = do(stack, alertmanager_url, "silence", target)
    assert f"The disk of {host} is full." in shown
    assert "Nothing was done." in shown
    assert host not in (await alertmanager.get("/api/v2/silences")).text

    why = ("--yes", "--why", "a disk is on its way", "--as", "ada")
    made = do(stack, alertmanager_url, "silence", target, *why)
    found = re.search(r"unsilence ([0-9a-f-]{36})", made)
    assert found
    silence = (await alertmanager.get(f"/api/v2/silence/{found[1]}")).json()
    assert (silence["createdBy"], silence["comment"]) == ("ada", "a disk is on its way")
    left = datetime.fromisoformat(silence["endsAt"]) - datetime.now(UTC)
    assert timedelta(hours=1, minutes=50) < left <= timedelta(hours=2)
    (held,) = (await alertmanager.get("/api/v2/alerts", params={"filter": f"host={host}"})).json()
    assert held["labels"]["alertname"] == "DiskFull"

    ended = do(stack, alertmanager_url, "unsilence", found[1], *why)
    assert "made by ada: a disk is on its way" in ended
    silence = (await alertmanager.get(f"/api/v2/silence/{found[1]}")).json()
    assert silence["status"]["state"] == "expired"
    assert "nothing to do" in do(stack, alertmanager_url, "unsilence", found[1], *why)
    recorded = [one["action"] for one in stack.json("ops", "actions") if found[1] in str(one)]
    assert recorded == ["unsilence", "silence"]


async def test_name_of_no_alert_is_pointed_out(
    stack: Stack, alertmanager: httpx.AsyncClient, alertmanager_url: str
) -> None:
    shown = do(stack, alertmanager_url, "silence", "DiskFul for 1h")
    assert "ChitLaq has no alert DiskFul" in shown
    assert "no alert that fires now is among them" in shown


@pytest.mark.parametrize(
    "target",
    [
        "DiskFull", "DiskFull for", "for 2h", "DiskFull 2h", "DiskFull for 2", "DiskFull for 0h",
        "DiskFull for 31d", "DiskFull for 2w", "DiskFull for -2h", "a b= for 2h", "'DiskFull for 2h",
        "=x for 1h", "Disk-Full for 1h", "DiskFull for ٢h", "alertname=~.* for 1h", "severity=~.+ for 1h",
        "nosuch=~.* for 1h", "alertname!=Watchdog for 1h", "alertname=~[A-Za-z]+ service!~x|y for 1h",
    ],
)  # fmt: skip
def test_unclear_silence_is_refused(target: str) -> None:
    with pytest.raises(OperatorError, match=r"for 2h|from 1m to 30d"):
        silences.understood(target)


def test_examples_silence_alerts_that_exist() -> None:
    with pytest.raises(OperatorError) as refused:
        silences.understood("DiskLow")
    examples = re.findall(
        r'"(\w+ [^"]*for \w+)"', " ".join((str(refused.value), *silences.SILENCE.commands))
    )
    assert len(examples) == 3
    named = {silences.understood(example).matchers[0].value for example in examples}
    assert named <= {alert.name for alert in registry.alerts()}


@pytest.mark.parametrize("target", ["service=~feed.* for 1h", "alertname=~Disk.* for 1h"])
def test_silence_of_some_alerts_may_be_a_pattern(target: str) -> None:
    assert silences.understood(target).matchers


def test_conditions_are_those_of_alertmanager() -> None:
    wish = silences.understood("""DiskFull host!=a job=~"b|c d" path!~'/x=y' for 90m""")
    assert list(map(str, wish.matchers)) == [
        'alertname="DiskFull"', 'host!="a"', 'job=~"b|c d"', 'path!~"/x=y"'
    ]  # fmt: skip
    assert wish.lasts == timedelta(minutes=90)


def test_silent_alertmanager_is_named(stack: Stack) -> None:
    answer = stack.command(
        "ops", "do", "silence", "DiskFull for 1h", env={"ALERTMANAGER_URL": "http://127.0.0.1:9"}
    )
    assert answer.returncode == 1
    assert "Alertmanager: no answer from http://127.0.0.1:9" in answer.stderr
