"""Alerts on the services' work: errors in logs, logins, queues, pools, event loops."""

from __future__ import annotations

from chitlaq.monitoring.alerts.alert import Alert, Series, Unseen, fires, rising, silent, steady

_ERRORS = 'log_lines_total{{service="{}",level="error"}}'
_SERVICE = {"service": "feed-service"}


def _logins(failed: float, succeeded: float) -> tuple[Series, ...]:
    return (
        rising('auth_attempts_total{result="failure"}', failed),
        rising('auth_attempts_total{result="success"}', succeeded),
    )


def _lag(short: float, long: float) -> tuple[Series, ...]:
    """So many measurements a minute that were below 0.1 s, and between 0.1 and 0.5 s."""
    labels = 'service="feed-service"'
    return (
        rising(f'event_loop_lag_seconds_bucket{{{labels},le="0.1"}}', short),
        rising(f'event_loop_lag_seconds_bucket{{{labels},le="0.5"}}', short + long),
        rising(f'event_loop_lag_seconds_bucket{{{labels},le="+Inf"}}', short + long),
    )


def alerts() -> list[Alert]:
    return [*_trouble_alerts(), *_queue_alerts(), *_process_alerts()]


def _trouble_alerts() -> list[Alert]:
    failed = 'sum(increase(auth_attempts_total{result=~"failure|limited"}[10m]))'
    return [
        Alert(
            name="ErrorsLogged",
            expr='sum by (service) (increase(log_lines_total{level="error"}[10m])) > 50',
            for_="2m",
            severity="P2",
            summary="{{ $labels.service }} logged {{ $value | humanize }} errors within ten minutes.",
            procedure="Application Logs",
            cases=(
                fires(
                    rising('log_lines_total{service="feed-service",level="error"}', 10),
                    labels=_SERVICE,
                    summary="feed-service logged 100 errors within ten minutes.",
                ),
                fires(
                    rising(_ERRORS.format("postgres"), 20),
                    labels={"service": "postgres"},
                    summary="postgres logged 200 errors within ten minutes.",
                ),
                silent(
                    rising('log_lines_total{service="feed-service",level="error"}', 1),
                    rising('log_lines_total{service="feed-service",level="info"}', 900),
                ),
            ),
            # A service that answers has counted its lines, too; ops-service counts for those that keep
            # no metrics, of which nginx is here whatever the settings say.
            unseen=Unseen(
                tuple(_ERRORS.format(one) for one in ("nginx", "ops-service")), "ops-service"
            ),
        ),
        Alert(
            name="LoginsFail",
            # Mornings have many logins, and some of them fail: it takes both number and share.
            expr=f"{failed} > 100 and {failed} > 0.5 * sum(increase(auth_attempts_total[10m]))",
            for_="2m",
            severity="P2",
            summary="{{ $value | humanize }} logins failed within ten minutes, more than succeeded:"
            " somebody guesses passwords, or logging in is broken.",
            procedure="Authentication Monitoring",
            cases=(
                fires(
                    *_logins(20, 2),
                    summary="200 logins failed within ten minutes, more than succeeded: somebody"
                    " guesses passwords, or logging in is broken.",
                ),
                silent(*_logins(20, 60)),
                silent(*_logins(2, 0)),
            ),
        ),
    ]


def _queue_alerts() -> list[Alert]:
    return [
        Alert(
            name="DeliveriesStuck",
            expr="feed_delivery_oldest_seconds > 60",
            for_="5m",
            severity="P2",
            summary="A post has waited {{ $value | humanizeDuration }} to reach its followers'"
            " feeds.",
            procedure="Feed Service Health Check",
            cases=(
                fires(
                    steady("feed_delivery_oldest_seconds", 300),
                    summary="A post has waited 5m 0s to reach its followers' feeds.",
                ),
                silent(steady("feed_delivery_oldest_seconds", 2)),
            ),
            unseen=Unseen(("feed_delivery_oldest_seconds",), "postgres"),
        ),
        Alert(
            name="MailsStuck",
            expr="mail_oldest_seconds > 900",
            for_="5m",
            severity="P2",
            summary="A mail that could not be sent is {{ $value | humanizeDuration }} old: nobody"
            " can register or reset a password.",
            procedure="Auth Service Health Check",
            cases=(
                fires(
                    steady("mail_oldest_seconds", 1_800),
                    summary="A mail that could not be sent is 30m 0s old: nobody can register or"
                    " reset a password.",
                ),
                silent(steady("mail_oldest_seconds", 0)),
            ),
            unseen=Unseen(("mail_oldest_seconds",), "postgres"),
        ),
    ]


def _process_alerts() -> list[Alert]:
    return [
        Alert(
            name="PoolWaiting",
            expr="avg_over_time(postgresql_pool_waiting[5m]) > 1",
            for_="5m",
            severity="P2",
            summary="Requests of {{ $labels.service }} wait for a connection to PostgreSQL,"
            " {{ $value | humanize }} at a time.",
            procedure="Database Performance Monitoring",
            cases=(
                fires(
                    steady('postgresql_pool_waiting{service="feed-service"}', 4),
                    labels=_SERVICE,
                    summary="Requests of feed-service wait for a connection to PostgreSQL, 4 at a"
                    " time.",
                ),
                silent(steady('postgresql_pool_waiting{service="feed-service"}', 0)),
            ),
        ),
        Alert(
            name="EventLoopLags",
            expr=(
                "histogram_quantile(0.95,"
                " sum by (service, le) (rate(event_loop_lag_seconds_bucket[5m]))) > 0.1"
            ),
            for_="10m",
            severity="P2",
            summary="{{ $labels.service }} comes to its work {{ $value | humanizeDuration }} late:"
            " something blocks its processes, or they want more of the processor.",
            procedure="Performance Issues",
            cases=(
                fires(
                    *_lag(0, 60),
                    labels=_SERVICE,
                    summary="feed-service comes to its work 480ms late: something blocks its"
                    " processes, or they want more of the processor.",
                ),
                silent(*_lag(60, 1)),
                silent(*_lag(0, 0)),
            ),
        ),
    ]
