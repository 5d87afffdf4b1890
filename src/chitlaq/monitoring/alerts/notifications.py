"""Alerts on what members are told: notifications that wait, pushes that fail, digests that do not come,
announcements that stand still.
"""

from __future__ import annotations

from chitlaq.monitoring.alerts.alert import Alert, InputSeries, above, absent, fires, rising, silent

_FAILED = 'sum(increase(notification_pushes_total{result=~"refused|unreachable"}[30m]))'
_PUSHES = "sum(increase(notification_pushes_total[30m]))"


def _pushes(delivered: float, failed: float) -> tuple[InputSeries, ...]:
    """Pushes per minute, by what became of them."""
    return (
        rising('notification_pushes_total{result="delivered"}', delivered),
        rising('notification_pushes_total{result="unreachable"}', failed),
    )


ALERTS = [
    Alert(
        name="NotificationsStuck",
        expr='jobs_oldest_seconds{kind="notify"} > 120',
        for_="5m",
        severity="P2",
        summary="What members are to be told has waited for {{ $value | humanizeDuration }}: see the log of"
        " websocket, and `chitlaq jobs list`.",
        procedure="WebSocket Service Health Check",
        cases=above('jobs_oldest_seconds{kind="notify"}', 120, "2m 12s", kind="notify"),
    ),
    Alert(
        name="PushesFail",
        # A browser's maker may be down, or this machine may not reach the internet.
        expr=f"{_FAILED} / {_PUSHES} > 0.5 and {_FAILED} > 20",
        for_="15m",
        severity="P3",
        summary="{{ $value | humanizePercentage }} of pushes within half an hour were not taken by their push"
        " services: `chitlaq logs websocket` names them. Members see what is new when they open ChitLaq.",
        procedure="WebSocket Service Health Check",
        cases=(
            fires(*_pushes(1, 3), value="75%"),
            silent(*_pushes(3, 1)),
            silent(*_pushes(0, 0.5)),
        ),
    ),
    Alert(
        name="DigestsOverdue",
        expr="digest_oldest_seconds > 3600",
        for_="10m",
        severity="P3",
        summary="A digest that a member asked for has been due for {{ $value | humanizeDuration }}: websocket"
        " does not write them. See its log.",
        procedure="WebSocket Service Health Check",
        cases=above("digest_oldest_seconds", 3600, "1h 6m 0s"),
        absence=absent("digest_oldest_seconds", through="postgres"),
    ),
    Alert(
        name="AnnouncementStandsStill",
        # A part takes about a second.
        expr="announcement_still_seconds > 120",
        for_="5m",
        severity="P3",
        summary="An announcement has not gone on for {{ $value | humanizeDuration }}: some members were told,"
        " others not. See the log of websocket, and `chitlaq announce list`; `chitlaq announce resume` lets"
        " it go on.",
        procedure="WebSocket Service Health Check",
        cases=above("announcement_still_seconds", 120, "2m 12s"),
        absence=absent("announcement_still_seconds", through="postgres"),
    ),
]
