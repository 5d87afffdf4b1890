"""Killed at any step, the engine sends each page once, or says that it may have been sent twice."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from chitlaq.ops.escalation import escalation as steps
from tests.conftest import eventually, short_form
from tests.ops.escalation.conftest import Escalation
from tests.ops.escalation.engine_process import STEPS

DURING = "during sending"
# Where the server has the mail when the process dies, nobody can know whether it was taken.
TWICE = {DURING, "after sending", "before the end is committed"}


@contextmanager
def engine(escalation: Escalation, *step: str) -> Iterator[subprocess.Popen[bytes]]:
    program = [sys.executable, "-m", "tests.ops.escalation.engine_process"]
    words = [str(escalation.home.root), str(escalation.smtp.port), *step]
    process = subprocess.Popen([*program, *words], stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


@pytest.mark.parametrize(
    "step", short_form([*STEPS, DURING], "before the claim is committed", "after the claim", DURING)
)
async def test_killed_at_any_step_no_page_is_lost_and_a_repeated_one_says_so(
    escalation: Escalation, step: str
) -> None:
    escalation.write_people("ada", "grace")
    if step == DURING:
        escalation.smtp.holds_back = True
    incident = await escalation.opened("P1")
    with engine(escalation, *([step] if step in STEPS else [])) as process:
        if step == DURING:
            await eventually(lambda: escalation.smtp.mails)
            process.kill()
            escalation.smtp.holds_back = False
        code = await eventually(process.poll)
        assert code == -signal.SIGKILL
    sent_before = len(escalation.smtp.mails)
    with engine(escalation):

        async def is_told() -> bool:
            return any("sent: " in line for line in await escalation.lines(incident.id))

        await eventually(is_told)
    texts = [text for _, _, text in escalation.smtp.mails]
    assert len(texts) == (2 if step in TWICE else 1)
    is_marked = ["may have been sent twice" in text for text in texts]
    # Claimed is not sent: whoever finds the claim cannot tell, so it says so rather than be silent.
    assert is_marked == ([False, True] if step in TWICE else [step == "after the claim"])
    lines = await escalation.lines(incident.id)
    assert any("may have been sent twice" in line for line in lines) == any(is_marked)
    assert sent_before <= 1
    assert escalation.told() == ["ada"] * len(texts), "the deadline of the next level has not moved"
    (step_after,) = await steps.next_steps(escalation.database, incident.id)
    assert abs((step_after.at - incident.opened_at).total_seconds() - 30 * 60) < 1


async def test_two_engines_of_one_installation_send_once(escalation: Escalation) -> None:
    escalation.write_people("ada")

    def has_told(names: list[str]) -> bool:
        return escalation.told() == names

    with engine(escalation), engine(escalation):
        for number in range(3):
            await escalation.opened("P2", f"number {number}")
            wanted = ["ada"] * (number + 1)
            await eventually(partial(has_told, wanted))
