"""The mail server: away, silent, refusing, and what it did not take."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from chitlaq.ops.checks import mail
from chitlaq.ops.checks.model import Verdict
from tests.core.data.test_mail_refusals import STEPS, Server
from tests.ops.checks.conftest import RunOnStack
from tests.ops.checks.prometheus_history import serving


def smtp(port: int | str) -> Mapping[str, str]:
    return {
        "CHITLAQ_SMTP_HOST": "127.0.0.1",
        "CHITLAQ_SMTP_PORT": str(port),
        "CHITLAQ_SMTP_START_TLS": "false",
        "CHITLAQ_SMTP_USERNAME": "user",
        "CHITLAQ_SMTP_PASSWORD": "secret",
    }


async def test_installation_without_a_mail_server_is_skipped(run_on_stack: RunOnStack) -> None:
    assert (await run_on_stack("mail.server")).verdict is Verdict.SKIPPED


async def test_mail_server_that_is_away_is_critical(run_on_stack: RunOnStack, nobody: str) -> None:
    found = await run_on_stack("mail.server", **smtp(nobody))
    assert found.verdict is Verdict.CRITICAL
    assert f"127.0.0.1:{nobody} does not connect" in found.summary


@pytest.mark.parametrize("step", ["connect", "EHLO", "AUTH", "MAIL"])
@pytest.mark.parametrize("answer", [b"550 no\r\n", b"", None])
async def test_mail_server_that_takes_no_mail_is_critical_whatever_it_says(
    run_on_stack: RunOnStack, monkeypatch: pytest.MonkeyPatch, step: str, answer: bytes | None
) -> None:
    monkeypatch.setattr(mail, "ANSWER_SECONDS", 0.5)
    async with Server(step, answer).running() as port:
        found = await run_on_stack("mail.server", **smtp(port))
    assert found.verdict is Verdict.CRITICAL
    what = "take our sender" if step == "MAIL" else "connect"
    assert f"127.0.0.1:{port} does not {what}: " in found.summary
    assert "secret" not in str(found)


def lately(waiting: int, sent: int) -> str:
    """Mails that were refused, and taken, within the last minutes, as OpenMetrics."""
    times = [time.time() - 600 + 15 * step for step in range(60)]
    lines = ["# TYPE up gauge"]
    for job in ("ops-service", "auth-service"):
        lines += [f'up{{job="{job}"}} 1 {at:.3f}' for at in times]
    lines.append("# TYPE mails_waiting gauge")
    lines += [f"mails_waiting {waiting if n > 30 else 0} {at:.3f}" for n, at in enumerate(times)]
    lines.append("# TYPE mails counter")
    lines += [
        f'mails_total{{result="sent"}} {sent if n > 30 else 0} {at:.3f}'
        for n, at in enumerate(times)
    ]
    return "\n".join([*lines, "# EOF\n"])


async def test_mail_server_is_judged_by_the_mails_that_it_did_not_take(
    run_on_stack: RunOnStack,
) -> None:
    """A single address may be wrong; of several mails, none may be."""
    pasts = {"none": (0, 0), "one": (1, 0), "few": (4, 9), "all": (4, 0)}
    server = Server("", STEPS["QUIT"])
    async with (
        serving({name: lately(*past) for name, past in pasts.items()}) as addresses,
        server.running() as port,
    ):
        found = {
            name: await run_on_stack("mail.server", PROMETHEUS_URL=url, **smtp(port))
            for name, url in addresses.items()
        }
    assert {name: one.verdict for name, one in found.items()} == {
        "none": Verdict.OK,
        "one": Verdict.OK,
        "few": Verdict.OK,
        "all": Verdict.CRITICAL,
    }, found
    assert found["all"].summary.startswith("4 mails not taken within five minutes, 0 taken")
