"""What happens to incidents as time passes: acknowledgements expire, and what is over is resolved."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from chitlaq.core.formatting import lasted
from chitlaq.ops.database.database import Transaction
from chitlaq.ops.incidents import changes, timeline
from chitlaq.ops.incidents.changes import CHITLAQ, State

QUIET = timedelta(minutes=5)
"""So long after its last alert ended, an incident is over."""
QUIET_AFTER_FLAPPING = timedelta(minutes=30)


def settle(transaction: Transaction, now: datetime) -> bool:
    """End acknowledgements and incidents that are over; return whether there were any."""
    expired = transaction.rows("expired_acknowledgements", now)
    for row in expired:
        state = _state(row)
        text = f"of {state.acknowledged_by}: nobody takes care of it now"
        transaction.write(
            changes.store(changes.open_again(state)),
            timeline.add(state.id, "expired", CHITLAQ, text, at=now),
        )
    over = transaction.rows(
        "incidents_that_are_over",
        now - QUIET,
        now - QUIET_AFTER_FLAPPING,
        timeline.FLAPPING,
        now + QUIET,
    )
    for row in over:
        state = _state(row)
        quiet = now - datetime.fromisoformat(row["last_ended"])
        text = f"its last alert ended {lasted(quiet.total_seconds())} ago"
        transaction.write(
            changes.store(changes.ended(state, now, CHITLAQ)),
            timeline.add(state.id, "resolved", CHITLAQ, text, at=now),
        )
    return bool(expired or over)


def _state(row: object) -> State:
    return msgspec.convert(dict(row), State, strict=False)  # type: ignore[call-overload]
