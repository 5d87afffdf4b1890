"""A channel that hangs, refuses, fails or is misspelt loses no page: the next one is used at once."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import free_ports, short_form
from tests.ops.escalation.conftest import Escalation

FAULTS = (
    "refuses", "answers 500", "hangs", "is not there", "is misspelt", "is incomplete",
    "is a mail that is refused",
)  # fmt: skip


def faulty(escalation: Escalation, fault: str) -> str:
    match fault:
        case "refuses":
            escalation.web.statuses["bad"] = 403
            return escalation.web.url("bad")
        case "answers 500":
            escalation.web.statuses["bad"] = 500
            return escalation.web.url("bad")
        case "hangs":
            escalation.web.statuses["bad"] = 0
            # Apprise itself would wait for so long.
            return f"{escalation.web.url('bad')}?rto=60"
        case "is not there":
            (port,) = free_ports(1)
            return f"json://127.0.0.1:{port}/s3cret"
        case "is misspelt":
            return "slakc://T1JJ3T3L2/A1BRTD4JD/s3cret"
        case "is incomplete":
            return "slack://s3cret"
        case "is a mail that is refused":
            escalation.smtp.answers["bad@example.edu"] = "550 no such bad@example.edu"
            return "bad@example.edu"
    raise AssertionError(fault)


@pytest.mark.parametrize(
    "fault",
    short_form(FAULTS, "answers 500", "hangs", "is misspelt", "is a mail that is refused"),
)
async def test_next_channel_is_used_at_once_and_the_timeline_says_so(
    escalation: Escalation, fault: str
) -> None:
    escalation.engine.send_seconds = 3.0 if fault == "hangs" else 60.0
    url = faulty(escalation, fault)
    escalation.write(
        f"""
        [people.ada]
        channels = [
            {{ url = "{url}", name = "first" }},
            {{ url = "good@example.edu", name = "second", after_minutes = 3 }},
            {{ url = "third@example.edu", name = "third", after_minutes = 9 }},
        ]
        [levels]
        on-call = ["ada"]
        """
    )
    incident = await escalation.opened()
    await escalation.run()
    assert [name for name in escalation.told() if name != "bad"] == ["good"]
    lines = await escalation.lines(incident.id)
    (line,) = [line for line in lines if "by first" in line]
    assert "failed: " in line
    assert line.endswith("; second is next")
    assert "s3cret" not in line
    assert "bad@" not in line


async def test_level_of_which_no_channel_works_is_passed_over_at_once(
    escalation: Escalation,
) -> None:
    escalation.write_people("ada", "grace", "edsger")
    escalation.refuse("ada", "grace")
    incident = await escalation.opened()
    await escalation.run()
    assert escalation.told() == ["ada", "grace", "edsger"]
    assert any(
        "the next level is told at once" in line for line in await escalation.lines(incident.id)
    )


async def test_where_nobody_can_be_reached_the_next_round_waits(escalation: Escalation) -> None:
    escalation.write_people("ada", "grace")
    escalation.refuse("ada", "grace")
    await escalation.opened()
    await escalation.run()
    assert escalation.told() == ["ada", "grace"]
    escalation.clock.pass_(minutes=8)
    await escalation.run()
    assert escalation.told() == ["ada", "grace", "ada", "grace"]


async def test_hanging_channel_holds_up_nobody_else(escalation: Escalation) -> None:
    escalation.engine.send_seconds = 3.0
    escalation.write(
        f"""
        [people.ada]
        channels = [
            {{ url = "{escalation.web.url("hang")}", name = "hangs" }},
            {{ url = "ada@example.edu" }},
        ]
        [levels]
        on-call = ["ada"]
        """
    )
    escalation.web.statuses["hang"] = 0
    await escalation.opened()
    await escalation.engine.tick()
    while not escalation.smtp.mails:
        await escalation.pause()
    assert escalation.engine.is_sending, "the hanging one is still tried"
    await escalation.engine.idle()


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process can open nothing: no program starts, and no connection is made."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_fault_of_our_own_while_sending_tells_whoever_is_next(escalation: Escalation) -> None:
    channels = (
        f'{{ url = "{escalation.web.url()}" }}, {{ url = "ada@example.edu", after_minutes = 3 }}'
    )
    escalation.write(f'[people.ada]\nchannels = [{channels}]\n[levels]\non-call = ["ada"]\n')
    await escalation.run()
    incident = await escalation.opened("P2")
    with no_more_files():
        await escalation.engine.tick()
        await escalation.engine.idle()
    await escalation.run()
    assert escalation.told() == ["ada"]
    lines = await escalation.lines(incident.id)
    assert any("by json: failed: a fault of ChitLaq" in line for line in lines)
