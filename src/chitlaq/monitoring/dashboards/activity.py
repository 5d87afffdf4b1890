"""The dashboard on what members do: accounts, posts, searches, mail."""

from __future__ import annotations

from chitlaq.monitoring.dashboards.model import dashboard, graph, graphs, number, rates, row

ACTIVITY = dashboard(
    "chitlaq-business",
    "ChitLaq: member activity",
    row(
        "Accounts",
        number("Accounts", 'sum(accounts{state="verified"})'),
        number("Not verified", 'sum(accounts{state="unverified"})'),
        graph("Active members", "members_active", "within {{window}}"),
        graph("Registrations per day", "sum(increase(user_registrations_total[1d]))", "verified"),
    ),
    row(
        "Activity",
        graph("Posts per hour", "sum(increase(posts_created_total[1h]))", "posts"),
        graph(
            "Logins per hour", 'sum(increase(auth_attempts_total{result="success"}[1h]))', "logins"
        ),
        graph(
            "Messages and posts delivered live, per hour",
            'sum by (type) (increase(websocket_messages_total{direction="out"}[1h]))',
            "{{type}}",
            description="Outgoing WebSocket frames by type.",
        ),
        graph("Messages written per day", "delta(chat_messages[1d])", "messages"),
    ),
    row(
        "Delivery",
        rates("Deliveries", "jobs_total", "result", "eps", matchers='kind="deliver_post"'),
        graphs(
            "Waiting",
            "short",
            ("feed_deliveries_waiting", "deliveries"),
            ("mails_waiting", "mails"),
            ("digests_due", "digests"),
            ("announcements_under_way", "announcements"),
        ),
        graphs(
            "Oldest waiting",
            "s",
            ("feed_delivery_oldest_seconds", "delivery"),
            ("mail_oldest_seconds", "mail"),
            ("digest_oldest_seconds", "digest"),
            ("announcement_still_seconds", "announcement"),
        ),
        graph("Age of the ranking", "feed_ranking_age_seconds", "age", "s"),
        rates("Timelines read", "feed_timeline_reads_total", "source", "ops"),
        rates("Mails", "mails_total", "result", "eps"),
        rates("Pushes", "notification_pushes_total", "result", "eps"),
        rates("Digests", "notification_digests_total", "result", "eps"),
    ),
    span="now-7d",
)
