"""Support gets a list of what is not urgent, once each morning."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from chitlaq.core.installation.settings import Operations
from chitlaq.ops.escalation import daily_list
from tests.ops.escalation.conftest import Escalation

MORNING = datetime(2030, 1, 7, 9, 0, tzinfo=UTC)


async def test_list_of_p3_is_sent_once_each_morning_to_support(escalation: Escalation) -> None:
    escalation.operations = Operations(timezone="UTC", morning="09:00")
    escalation.write(
        '[people.ada]\nchannels = [{ url = "ada@example.edu" }]\n'
        '[people.desk]\nchannels = [{ url = "bad@example.edu" }, { url = "desk@example.edu" }]\n'
        '[levels]\non-call = ["ada"]\nsupport = ["desk"]\n'
    )
    escalation.refuse("bad")

    async def look(at: datetime) -> list[str]:
        await daily_list.send_if_due(escalation.home, escalation.settings, escalation.database, at)
        return [
            subject for address, subject, _ in escalation.smtp.mails if address.startswith("desk")
        ]

    assert await look(MORNING - timedelta(days=1)) == []
    for number in range(2):
        await escalation.opened("P3", f"a typo {number}")
    await escalation.run()
    assert escalation.told() == [], "a P3 is no page"
    assert await look(MORNING - timedelta(minutes=1)) == []
    for _ in range(2):
        assert await look(MORNING) == ["2 incidents of severity P3 for support"]
    assert len(await look(MORNING + timedelta(days=1))) == 2
