"""Mail: whether the server takes what is sent, which members need to register and to get a new password."""

from __future__ import annotations

import time

from chitlaq.core.data import mail
from chitlaq.core.errors import NotApplicable
from chitlaq.core.formatting import count, duration
from chitlaq.ops.checks.model import CheckOutcome, Section, Value, Verdict, check, outcome
from chitlaq.ops.checks.sources.datastores import psql
from chitlaq.ops.checks.sources.prometheus import promql
from chitlaq.ops.checks.sources.system import SystemView

ANSWER_SECONDS = 3.0
MANY = 3
"""Of fewer, the addresses may be wrong."""

_SENT = 'sum(increase(mails_total{result="sent"}[5m])) or vector(0)'
_REFUSED = "mails_waiting - min_over_time(mails_waiting[5m])"


@check(
    "mail.server",
    "Mail server",
    section=Section.SERVICES,
    looks_at="a connection to `smtp.host`, with TLS, login and sender as a mail has them; what it did not"
    " take within five minutes, and what it took",
    commands=(
        "openssl s_client -starttls smtp -connect HOST:587",
        "chitlaq jobs list",
        psql("SELECT * FROM mail.backlog;"),
        promql(_REFUSED),
    ),
    remedy="Mails wait and are tried for five days; nobody can register meanwhile. `chitlaq jobs list` says"
    " what the server answered. Ask its operator, or correct `smtp` and run `chitlaq restart auth-service`.",
    is_timed=True,
)
async def server(system: SystemView) -> CheckOutcome:
    smtp = system.settings.smtp
    if not smtp.host:
        raise NotApplicable("smtp.host is not set: mails stay where `chitlaq mail` shows them")
    started = time.perf_counter()
    try:
        await mail.require_server(smtp, ANSWER_SECONDS)
    except mail.MailRefusedError as error:
        return outcome(str(error), least=Verdict.CRITICAL)
    seconds = time.perf_counter() - started
    # Last: whether the server answers is known without Prometheus.
    await system.prometheus.require_alive(("ops-service", "auth-service"))
    (row,) = await system.postgres.rows("mail_backlog")
    refused = await system.prometheus.number(_REFUSED)
    sent = await system.prometheus.number(_SENT)
    refuses = refused >= MANY and refused > sent
    said = f"answered in {duration(seconds)}"
    if row["waiting"]:
        said += f"; {count(row['waiting'], 'mail')} not taken, for up to {duration(row['oldest'])}"
    if refuses:
        said = f"{count(round(refused), 'mail')} not taken within five minutes, {sent:.0f} taken; {said}"
    return outcome(
        said,
        {
            "answer": Value(seconds, "seconds"),
            "waiting": Value(row["waiting"]),
            "oldest": Value(row["oldest"], "seconds"),
        },
        least=Verdict.CRITICAL if refuses else Verdict.OK,
    )
