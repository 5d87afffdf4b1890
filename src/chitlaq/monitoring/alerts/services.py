"""Alerts on the services' work: logged errors, logins, queues, pools, event loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chitlaq.monitoring.alerts.alert import (
    Alert,
    InputSeries,
    above,
    absent,
    ended,
    fires,
    rising,
    silent,
    steady,
    zero,
)

_SERVICE = "feed-service"


def _goes_on(five_minutes: str, limit: float = 0) -> str:
    """What has to hold besides, so that what has ended wakes nobody: it happened within two minutes."""
    return f" and {five_minutes.replace('[5m]', '[2m]')} > {limit:g}"


def _lines(service: str, level: str = "error") -> str:
    return f'log_lines_total{{service="{service}",level="{level}"}}'


def _logins(failed: float, succeeded: float) -> tuple[InputSeries, ...]:
    return (
        rising('auth_attempts_total{result="failure"}', failed),
        rising('auth_attempts_total{result="success"}', succeeded),
    )


def _refusals(
    refused: float,
    answered: float,
    members: float = 150,
    grow: Callable[[str, float], InputSeries] = rising,
) -> tuple[InputSeries, ...]:
    """Refused requests and others per minute, and how many of 500 members are refused."""
    return (
        grow('rate_limited_total{service="nginx",limit="account"}', refused),
        grow('http_requests_total{service="api-gateway",status="429"}', refused),
        grow('http_requests_total{service="api-gateway",status="200"}', answered),
        steady('members_active{window="1d"}', 500),
        *(
            [steady('rate_limited_members{service="nginx",limit="account"}', members)]
            if members
            else []
        ),
    )


def _timed(
    bucket: str, short: float, long: float, bounds: Sequence[tuple[str, bool]], minutes: int
) -> tuple[InputSeries, ...]:
    """A histogram of so many short and long durations per minute; the long ones end after some minutes.

    Args:
        bucket: its series, without the bound.
        bounds: each with whether long durations are below it, too.
    """
    found = []
    for bound, has_long in bounds:
        many, few = short + long * has_long, short
        end = f" {many * minutes + few:.15g}{few:+.15g}x600"
        found.append(InputSeries(bucket % bound, f"0{many:+.15g}x{minutes}{end}"))
    return tuple(found)


def _lag(short: float, long: float, minutes: int = 600) -> tuple[InputSeries, ...]:
    """Measurements per minute below 0.1 s, and between 0.1 and 0.5 s, which end."""
    series = f'event_loop_lag_seconds_bucket{{service="{_SERVICE}",le="%s"}}'
    return _timed(series, short, long, (("0.1", False), ("0.5", True), ("+Inf", True)), minutes)


def _deliveries(short: float, long: float, minutes: int = 600) -> tuple[InputSeries, ...]:
    """Messages per minute that take below 0.1 s, and between 1 and 2.5 s, which end."""
    series = 'websocket_message_duration_seconds_bucket{type="message",le="%s"}'
    bounds = (("0.1", False), ("1.0", False), ("2.5", True), ("+Inf", True))
    return _timed(series, short, long, bounds, minutes)


_PROBED = f'probe_ok{{service="{_SERVICE}"}}'
_DAMAGED = "operations_database_damaged"
_STORE_FAILURES = "media_store_failures_total"
_UNSTORED = f"sum(increase({_STORE_FAILURES}[5m]))"
# A refused connection made no request.
_REFUSED = "sum by (service, limit) (increase(rate_limited_total[5m]))"
_ASKED = (
    '(sum(increase(http_requests_total{service="api-gateway"}[5m]))'
    ' + (sum(increase(rate_limited_total{limit="connections"}[5m])) or vector(0)))'
)
# More were refused than were active if PostgreSQL was asked before. NaN: it has not told.
_REFUSED_MEMBERS = (
    f"clamp_max((sum by (service, limit) (rate_limited_members) or {_REFUSED} * 0)"
    ' / on () group_left () clamp_min(max(members_active{window="1d"}), 1), 1)'
)
_DELIVERED = (
    "histogram_quantile(0.95, sum by (le)"
    ' (rate(websocket_message_duration_seconds_bucket{type="message"}[5m])))'
)
_LAG = "histogram_quantile(0.95, sum by (service, le) (rate(event_loop_lag_seconds_bucket[5m])))"
_REPAIRED = "sum(increase(websocket_messages_repaired_total[5m]))"
_LOGGED = 'sum by (service) (increase(log_lines_total{level="error"}[5m]))'
_FAILED = 'sum(increase(auth_attempts_total{result=~"failure|limited"}[5m]))'
_SENT = 'mails_total{result="sent"}'
_UNTAKEN = "(mails_waiting - min_over_time(mails_waiting[5m]))"
_MAILED = f"(sum(increase({_SENT}[5m])) or vector(0))"
_WORKING = ("auth-service", "feed-service", "search-service", "websocket")
_UNABLE = f'service_processes_unable{{service="{_SERVICE}"}}'
_WAITING = f'postgresql_pool_waiting{{service="{_SERVICE}"}}'


def _mails(refused: int, sent: float) -> tuple[InputSeries, ...]:
    """So many mails that the server refuses after half an hour, and those per minute that it takes."""
    return InputSeries("mails_waiting", f"1x30 {1 + refused}x100"), rising(_SENT, sent)


ALERTS = (
    Alert(
        name="OperationsDatabaseDamaged",
        expr=f"{_DAMAGED} > 0",
        for_="0m",
        severity="P1",
        summary="ops-service set a damaged operations database aside and began a new one: the history of"
        " runs, alerts and actions starts there. Look at the disk; then restore the file from a"
        " configuration backup, or remove ops/database.damaged-*.",
        procedure="Disk Monitoring",
        cases=above(_DAMAGED, 0),
    ),
    Alert(
        name="ErrorsLogged",
        expr=f"{_LOGGED} > 25{_goes_on(_LOGGED)}",
        for_="2m",
        severity="P2",
        summary="{{ $labels.service }} logged {{ $value | humanize }} errors within five minutes.",
        procedure="Application Logs",
        stands_on=("DatabaseDown", "CacheDown", "LocksWaiting", "ServiceDown", "ServiceUnable"),
        cases=(
            fires(rising(_lines(_SERVICE), 6), value="30", service=_SERVICE),
            fires(rising(_lines("postgres"), 20), value="100", service="postgres"),
            silent(rising(_lines(_SERVICE), 5), rising(_lines(_SERVICE, "info"), 900)),
            silent(ended(_lines(_SERVICE), 60, 27), at="30m"),
        ),
        # A service that is up has counted its lines, too. ops-service counts for the components that
        # keep no metrics; nginx is one of them in every installation.
        absence=absent(_lines("nginx"), _lines("ops-service"), through="ops-service"),
    ),
    Alert(
        name="PicturesNotStored",
        expr=f"{_UNSTORED} > 2.5{_goes_on(_UNSTORED)}",
        for_="2m",
        severity="P2",
        summary="{{ $value | humanize }} requests to the folder or the bucket of members' pictures failed"
        " within five minutes: pictures cannot be uploaded, rendered or shown."
        " `chitlaq ops check media.store` says why.",
        procedure="Application Logs",
        cases=(
            fires(
                rising(f'{_STORE_FAILURES}{{service="{_SERVICE}",purpose="upload"}}', 1), value="5"
            ),
            silent(rising(f'{_STORE_FAILURES}{{service="{_SERVICE}",purpose="upload"}}', 0.4)),
            silent(ended(f'{_STORE_FAILURES}{{service="{_SERVICE}"}}', 5, 27), at="30m"),
        ),
    ),
    Alert(
        name="PicturesMissing",
        # Of each picture its folder has several files; what is deleted meanwhile is missing, too.
        expr="media_files_missing > 0.5",
        for_="0m",
        severity="P1",
        summary="The folder of members' pictures lacks {{ $value | humanizePercentage }} of the files that"
        " were looked for: is its disk mounted? `chitlaq ops check media.store` says where it is.",
        procedure="Application Logs",
        stands_on=("DatabaseDown",),
        cases=above("media_files_missing", 0.5, "55%"),
    ),
    Alert(
        name="LimitReached",
        expr=f"({_REFUSED_MEMBERS} or {_REFUSED} * NaN)"
        f" and {_REFUSED} / on () group_left () {_ASKED} > 0.01 and {_REFUSED} > 25{_goes_on(_REFUSED)}",
        for_="1m",
        severity="P2",
        summary="The limit {{ $labels.limit }} of {{ $labels.service }} refused more than 1% of requests"
        " within five minutes, and {{ $value | humanizePercentage }} of the members who were active today:"
        " many people behind one address, or one client that asks too often.",
        procedure="API Performance Monitoring",
        cases=(
            fires(*_refusals(20, 180), value="30%", service="nginx", limit="account"),
            # Nobody was signed in, or nobody knows how many members there are.
            fires(*_refusals(20, 180, members=0), value="0%", service="nginx", limit="account"),
            fires(*_refusals(20, 180)[:3], value="NaN%", service="nginx", limit="account"),
            silent(*_refusals(4, 180)),
            silent(*_refusals(20, 2_100)),
            silent(*_refusals(60, 180, grow=lambda name, step: ended(name, step, 27)), at="30m"),
        ),
    ),
    Alert(
        name="LoginsFail",
        # Many people log in each morning, and some fail: require both a number and a share.
        expr=f"{_FAILED} > 50 and {_FAILED} > 0.5 * sum(increase(auth_attempts_total[5m]))"
        f"{_goes_on(_FAILED)}",
        for_="2m",
        severity="P2",
        summary="{{ $value | humanize }} logins failed within five minutes, more than succeeded:"
        " someone is guessing passwords, or login is broken.",
        procedure="Authentication Monitoring",
        cases=(
            fires(*_logins(20, 2), value="100"),
            silent(*_logins(20, 60)),
            silent(*_logins(2, 0)),
            silent(ended('auth_attempts_total{result="failure"}', 60, 27), at="30m"),
        ),
    ),
    Alert(
        name="DeliveriesStuck",
        expr="feed_delivery_oldest_seconds > 60",
        for_="5m",
        severity="P2",
        summary="A post has been waiting for {{ $value | humanizeDuration }} to reach its"
        " followers' feeds.",
        procedure="Feed Service Health Check",
        cases=above("feed_delivery_oldest_seconds", 60, "1m 6s"),
        absence=absent("feed_delivery_oldest_seconds", through="postgres"),
    ),
    Alert(
        name="RankingStopped",
        expr="feed_ranking_age_seconds > 900",
        for_="5m",
        severity="P3",
        summary="Explore and trending are {{ $value | humanizeDuration }} old: no process of feed-service"
        " ranks posts and tags, which is due every two minutes. `chitlaq logs feed-service --errors` says"
        " why.",
        procedure="Feed Service Health Check",
        cases=above("feed_ranking_age_seconds", 900, "16m 30s"),
        absence=absent("feed_ranking_age_seconds", through="postgres"),
    ),
    Alert(
        name="MailServerDown",
        # No absence alert: most installations begin without a mail server.
        expr="mail_server_up == 0",
        for_="1m",
        severity="P2",
        summary="The mail server takes no mail: nobody can register or reset a password."
        " `chitlaq ops check mail.server` says what it answers.",
        procedure="Auth Service Health Check",
        cases=zero("mail_server_up"),
    ),
    Alert(
        name="MailsRefused",
        # Each mail counts once, however often it is tried. A single address may be wrong.
        expr=f"{_UNTAKEN} > 2 and on () {_UNTAKEN} > on () {_MAILED}",
        for_="0m",
        severity="P2",
        summary="The mail server has not taken {{ $value | humanize }} mails within five minutes, more than"
        " it took: `chitlaq jobs list` says what it answered.",
        procedure="Auth Service Health Check",
        stands_on=("MailServerDown",),
        cases=(
            fires(*_mails(3, 0), at="33m", value="3"),
            silent(*_mails(2, 0), at="33m"),
            silent(*_mails(3, 1), at="33m"),
            silent(*_mails(3, 0), at="40m"),
        ),
    ),
    Alert(
        name="MailsStuck",
        # While others are sent, it is the address.
        expr='mail_oldest_seconds > 900 unless on () sum(increase(mails_total{result="sent"}[1h])) > 0',
        for_="5m",
        severity="P2",
        summary="An email that could not be sent is {{ $value | humanizeDuration }} old, and none was sent"
        " within an hour: `chitlaq jobs list` says why.",
        procedure="Auth Service Health Check",
        stands_on=("MailServerDown", "MailsRefused"),
        cases=(
            *above("mail_oldest_seconds", 900, "16m 30s"),
            silent(steady("mail_oldest_seconds", 1000), rising(_SENT, 1)),
            fires(steady("mail_oldest_seconds", 1000), steady(_SENT, 70), value="16m 40s"),
        ),
        absence=absent("mail_oldest_seconds", through="postgres"),
    ),
    Alert(
        name="JobsDead",
        expr="jobs_dead > 0",
        for_="5m",
        severity="P3",
        summary="{{ $value | humanize }} jobs of the kind {{ $labels.kind }} have failed for the last"
        " time: `chitlaq jobs list --state dead` says why; retry or discard them.",
        procedure="Application Logs",
        cases=above('jobs_dead{kind="send_mail"}', 0, "1", kind="send_mail"),
    ),
    Alert(
        name="ServiceUnable",
        expr="service_processes_unable > 0",
        for_="1m",
        severity="P1",
        summary="{{ $value | humanize }} processes of {{ $labels.service }} answer but cannot do their work:"
        " `chitlaq ps` says why; a lock (`chitlaq ops check database.locks`) or a full disk.",
        procedure="Service Outage Response",
        stands_on=("DatabaseDown", "DiskSlow", "LocksWaiting"),
        cases=above(_UNABLE, 0, "1", service=_SERVICE),
        absence=absent(
            *(f'service_processes_unable{{service="{name}"}}' for name in _WORKING),
            through="prometheus",
        ),
    ),
    Alert(
        name="PoolWaiting",
        expr="avg_over_time(postgresql_pool_waiting[2m]) > 1",
        for_="2m",
        severity="P2",
        summary="{{ $value | humanize }} requests of {{ $labels.service }} are waiting for a"
        " PostgreSQL connection.",
        procedure="Database Performance Monitoring",
        stands_on=("DatabaseDown", "DiskSlow", "LocksWaiting"),
        cases=above(_WAITING, 1, "1.1", service=_SERVICE),
    ),
    Alert(
        name="ProbeFails",
        expr="probe_ok == 0",
        for_="1m",
        severity="P1",
        summary="{{ $labels.service }} does not answer a member's request through the edge as it should:"
        " `chitlaq logs {{ $labels.service }} --errors --since 5m`.",
        procedure="Service Outage Response",
        stands_on=(
            "DatabaseDown",
            "DiskSlow",
            "EdgeDown",
            "LocksWaiting",
            "ServiceDown",
            "ServiceUnable",
        ),
        cases=zero(_PROBED, service=_SERVICE),
        absence=absent("probe_ok", through="ops-service"),
    ),
    Alert(
        name="ProbeSlow",
        # Whether members ask or not; objectives need many requests to say so. The median, since answers that
        # wait for something vary: one quick one among slow ones is no end of it.
        expr="quantile_over_time(0.5, probe_seconds[2m]) > 1",
        for_="0m",
        severity="P2",
        summary="{{ $labels.service }} takes {{ $value | humanizeDuration }} to answer a member's"
        " request: `chitlaq logs {{ $labels.service }} --slow --since 5m`, then"
        " `chitlaq ops check database.locks host.cpu`.",
        procedure="Performance Issues",
        stands_on=(
            "DatabaseDown",
            "DiskSlow",
            "CacheDown",
            "LocksWaiting",
            "ServiceDown",
            "ServiceUnable",
        ),
        cases=above(f'probe_seconds{{service="{_SERVICE}"}}', 1, "1.1s", service=_SERVICE),
    ),
    Alert(
        name="PostsNotWritten",
        expr="post_round_trip_ok == 0",
        for_="1m",
        severity="P1",
        summary="Members cannot post: a synthetic member's post was not stored, not read as it was written,"
        " or not deleted. `chitlaq ops check feed.round_trip` says where it ends.",
        procedure="Feed Service Health Check",
        stands_on=(
            "DatabaseDown",
            "DiskSlow",
            "EdgeDown",
            "LocksWaiting",
            "ServiceDown",
            "ServiceUnable",
        ),
        cases=zero("post_round_trip_ok"),
        absence=absent("post_round_trip_ok", through="ops-service"),
    ),
    Alert(
        name="MessagesUndelivered",
        expr="chat_round_trip_ok == 0",
        for_="1m",
        severity="P1",
        summary="Messages do not arrive: the synthetic members cannot write to each other through the"
        " edge. `chitlaq ops check websocket.round_trip` says where it ends.",
        procedure="WebSocket Service Health Check",
        stands_on=("DatabaseDown", "DiskSlow", "EdgeDown", "LocksWaiting"),
        cases=zero("chat_round_trip_ok"),
        absence=absent("chat_round_trip_ok", through="ops-service"),
    ),
    Alert(
        name="MessagesSlow",
        expr=f"{_DELIVERED} > 1{_goes_on(_DELIVERED, 1)}",
        for_="5m",
        severity="P2",
        summary="Messages of chat take {{ $value | humanizeDuration }} from their sender to their"
        " receivers: see the event loop of websocket, and the database's latency.",
        procedure="WebSocket Performance Monitoring",
        stands_on=("DatabaseDown", "DiskSlow", "CacheDown", "LocksWaiting"),
        cases=(
            fires(*_deliveries(0, 60), value="2.425s"),
            silent(*_deliveries(60, 1)),
            silent(*_deliveries(0, 0)),
            silent(*_deliveries(60, 60, minutes=26), at="29m"),
        ),
    ),
    Alert(
        name="WebsocketDeaf",
        expr="websocket_processes_deaf > 0",
        for_="2m",
        severity="P2",
        summary="{{ $value | humanize }} processes of websocket do not hear the others over Valkey:"
        " messages reach members half a second late, from PostgreSQL.",
        procedure="WebSocket Performance Monitoring",
        stands_on=("CacheDown",),
        cases=above("websocket_processes_deaf", 0, "1"),
    ),
    Alert(
        name="MessagesRepaired",
        # A process that starts reads a few; these are many, again and again.
        expr=f"{_REPAIRED} > 50{_goes_on(_REPAIRED)}",
        for_="10m",
        severity="P3",
        summary="{{ $value | humanize }} messages within five minutes reached a process of websocket"
        " late, because what the others published was lost: see Valkey's log and its output buffers.",
        procedure="WebSocket Performance Monitoring",
        stands_on=("CacheDown",),
        cases=(
            fires(rising("websocket_messages_repaired_total", 20), value="100"),
            silent(rising("websocket_messages_repaired_total", 5)),
        ),
    ),
    Alert(
        name="EventLoopLags",
        expr=f"{_LAG} > 0.1{_goes_on(_LAG, 0.1)}",
        for_="10m",
        severity="P2",
        summary="The event loop of {{ $labels.service }} lags by {{ $value | humanizeDuration }}:"
        " something blocks its processes, or they need more CPU.",
        procedure="Performance Issues",
        cases=(
            fires(*_lag(0, 60), value="480ms", service=_SERVICE),
            silent(*_lag(60, 1)),
            silent(*_lag(0, 0)),
            silent(*_lag(60, 60, minutes=26), at="29m"),
        ),
    ),
)
