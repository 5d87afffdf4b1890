"""The benchmark's tables for a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from chitlaq.bench.accounts import Report as AccountsReport
from chitlaq.bench.backups import Report as BackupsReport
from chitlaq.bench.benchmark import Report
from chitlaq.bench.chat import PEER_CONNECTIONS
from chitlaq.bench.chat import Report as ChatReport
from chitlaq.bench.feed import Report as FeedReport

AIM_RATIO = 0.5
AIM_FIRST_START = 20.0
AIM_LATER_START = 6.0
AIM_COST_RATIO = 0.95
AIM_SCRAPE = 50.0
AIM_TOKEN_RATIO = 0.05
AIM_MORNING_SECONDS = 5.0
AIM_NOTICED_RATIO = 1.1
AIM_DURABLE_RATIO = 0.5
AIM_FAN_OUT_RATIO = 0.6
AIM_PEER_RATIO = 10.0
AIM_MESSAGE_MICROSECONDS = 150.0
AIM_DELIVERY = 30.0
AIM_IDLE_KILOBYTES = 20.0
AIM_PING = 10.0
AIM_PAGE_SECONDS = 2.0
AIM_BACKUP_RATIO = 1.15
AIM_BACKUP_NOTICED = 2.0
AIM_LOGIN_RATIO = 0.85
AIM_LOGIN_NOTICED = 3.0
AIM_P = 0.01
AIM_FEED_RATIO = 0.45
AIM_FEED_P95 = 10.0
AIM_FLAT = 0.15
AIM_POSTS = 600.0
AIM_POST_MICROSECONDS = 2000.0
AIM_ARRIVAL_SECONDS = 5.0
AIM_NOTICED_POST = 1.5
AIM_TIMELINE_BYTES = 6000.0
AIM_COMPONENT = 90.0
AIM_STACK = 700.0


def rendered(report: Report) -> RenderableType:
    """Return the tables, with the target next to each figure."""
    return Group(
        Text(
            f"{report.members:,} members, {report.connections} connections,"
            f" {report.answer_bytes:,} bytes per response; {report.cores} cores shared with the load"
            f" generator, Python {report.python}; medians of {len(report.feed.rounds)} alternating rounds"
        ),
        _rates(report),
        _cost(report),
        _tokens(report),
        _routines(report),
        _pages(report),
        _starts(report),
        _memory(report),
    )


def _rates(report: Report) -> Table:
    table = new_table(
        "GET /api/feed/home", "per second", "p50 ms", "p95 ms", "p99 ms", "ratio to (a)"
    )
    for row in (report.feed, report.baseline):
        aim = f" {verdict(row.ratio >= AIM_RATIO)} aim {AIM_RATIO}" if row is report.feed else ""
        table.add_row(
            row.name,
            f"{row.per_second:,.0f}",
            f"{row.p50:.1f}",
            f"{row.p95:.1f}",
            f"{row.p99:.1f}",
            f"{row.ratio:.2f}{aim}",
        )
    for rate in report.queries:
        table.add_row(
            f"(b) pgbench, {rate.query}",
            f"{rate.per_second:,.0f}",
            f"mean {rate.latency:.1f}",
            "",
            "",
            f"{rate.per_second / report.baseline.per_second:.2f}",
        )
    return table


def _cost(report: Report) -> Table:
    table = new_table("cost of telemetry", "per second", "p95 ms", "ratio")
    for row in (report.without_telemetry, report.with_telemetry):
        is_met = row.ratio >= AIM_COST_RATIO
        aim = f" {verdict(is_met)} aim {AIM_COST_RATIO}" if row is report.with_telemetry else ""
        table.add_row(row.name, f"{row.per_second:,.0f}", f"{row.p95:.1f}", f"{row.ratio:.2f}{aim}")
    service, slowest = max(report.scrape_milliseconds.items(), key=lambda pair: pair[1])
    total = sum(report.scrape_milliseconds.values())
    table.add_row("all scrapes, every 15 s", "", f"{total:.1f} ms", f"{total / 15_000:.1%}")
    table.add_row(
        f"slowest scrape, {service}",
        "",
        f"{slowest:.1f} ms",
        f"{verdict(slowest < AIM_SCRAPE)} under {AIM_SCRAPE:g}",
    )
    return table


def _tokens(report: Report) -> Table:
    cost = report.tokens
    table = new_table("cost of tokens", "CPU", "of a home feed", "aim")
    table.add_row(
        f"check of a token, {cost.revoked:,} sessions ended",
        f"{cost.check_microseconds:.1f} µs",
        f"{cost.ratio:.1%}",
        f"{verdict(cost.ratio < AIM_TOKEN_RATIO)} under {AIM_TOKEN_RATIO:.0%}",
    )
    table.add_row("its signature, once", f"{cost.first_microseconds:.0f} µs", "", "")
    table.add_row("reading what ended, each second", f"{cost.read_milliseconds:.1f} ms", "", "")
    return table


def _routines(report: Report) -> Table:
    table = new_table("routine", "checks", "seconds", "of a core", "aim")
    for row in report.routines:
        is_met = row.wall_seconds < AIM_MORNING_SECONDS
        aim = f"{verdict(is_met)} under {AIM_MORNING_SECONDS:g}" if row.routine == "morning" else ""
        table.add_row(
            row.routine, str(row.checks), f"{row.wall_seconds:.1f}", f"{row.cpu_seconds:.1f}", aim
        )
    noticed = report.noticed
    table.add_row(
        "p95 of the feed meanwhile, ms",
        "",
        f"{noticed.beside:.1f}",
        f"alone {noticed.alone:.1f}",
        f"{verdict(noticed.ratio <= AIM_NOTICED_RATIO)} {noticed.ratio:.2f} of {AIM_NOTICED_RATIO:g}",
    )
    return table


def _pages(report: Report) -> Table:
    table = new_table(
        "page, after Alertmanager's report", "alerts", "p50 s", "p95 s", "ratio to group wait"
    )
    paged = report.paged
    table.add_row(
        "at the receiver, through Apprise",
        str(paged.alerts),
        f"{paged.p50:.2f}",
        f"{paged.p95:.2f} {verdict(paged.p95 < AIM_PAGE_SECONDS)} under {AIM_PAGE_SECONDS:g}",
        f"{paged.ratio:.2f}",
    )
    return table


def _starts(report: Report) -> Table:
    table = new_table("start", "seconds", "aim")
    for name, seconds, aim in (
        ("first, in an empty home", report.first_start_seconds, AIM_FIRST_START),
        ("later", report.later_start_seconds, AIM_LATER_START),
    ):
        table.add_row(name, f"{seconds:.1f}", f"{verdict(seconds < aim)} under {aim:g}")
    return table


def _memory(report: Report) -> Table:
    table = new_table("memory at rest (PSS)", "processes", "MB", "aim")
    for row in sorted(report.memory, key=lambda row: -row.megabytes):
        table.add_row(
            row.component,
            str(row.processes),
            f"{row.megabytes:.1f}",
            f"{verdict(row.megabytes < AIM_COMPONENT)} under {AIM_COMPONENT:g}",
        )
    table.add_row(
        "all",
        str(sum(row.processes for row in report.memory)),
        f"{report.memory_megabytes:.1f}",
        f"{verdict(report.memory_megabytes < AIM_STACK)} under {AIM_STACK:g}",
    )
    return table


def backups(report: BackupsReport) -> RenderableType:
    """Return the table of what backups cost."""
    table = new_table(
        "step", "seconds", "MB", "bare tool", "MB", "ratio", "feed p95 ms", "beside it", "ratio"
    )
    for step in report.steps:
        ours, bare, ratio = f"{step.seconds:.1f}", "", ""
        if step.ratio is not None:
            bare = f"{step.bare_seconds:.1f}"
            ratio = f"{verdict(step.ratio <= AIM_BACKUP_RATIO)} {step.ratio:.2f}"
        table.add_row(
            step.name,
            ours,
            f"{step.bytes / 1e6:,.0f}",
            bare,
            f"{step.bare_bytes / 1e6:,.0f}" if step.bare_bytes is not None else "",
            ratio,
            f"{step.quiet:.1f}",
            f"{step.beside:.1f}",
            f"{verdict(step.noticed < AIM_BACKUP_NOTICED)} {step.noticed:.2f}",
        )
    return Group(
        Text(
            f"{report.members:,} members, {report.posts:,} posts, {report.follows:,} follows,"
            f" {report.database_bytes / 1e9:.1f} GB"
        ),
        table,
    )


def chat(report: ChatReport) -> RenderableType:
    """Return the table of what chat costs."""
    table = new_table("chat", "per second", "beside it", "per second", "ratio")
    for name, own, beside, other, ratio, aim in (
        (
            "durable messages, 1,000 connections", report.messages_per_second,
            "pgbench, bare inserts", report.inserts_per_second, report.ratio, AIM_DURABLE_RATIO,
        ),
        (
            "deliveries to a group of 500", report.fan_out_per_second,
            "bare server", report.bare_fan_out_per_second, report.fan_out_ratio, AIM_FAN_OUT_RATIO,
        ),
        (
            "history, ten messages", report.history_per_second,
            "home feed", report.feed_per_second, report.history_ratio, None,
        ),
    ):  # fmt: skip
        said = f"{ratio:.2f}" if aim is None else f"{verdict(ratio >= aim)} {ratio:.2f} of {aim:g}"
        table.add_row(name, f"{own:,.0f}", beside, f"{other:,.0f}", said)
    more = new_table("", "", "aim")
    ours = sum(
        report.cpu_microseconds[name] for name in ("websocket", "postgres", "search-service")
    )
    more.add_row(
        "CPU of a message: "
        + ", ".join(f"{k} {v:.0f}" for k, v in report.cpu_microseconds.items()),
        f"{ours:.0f} µs",
        f"{verdict(ours <= AIM_MESSAGE_MICROSECONDS)} {AIM_MESSAGE_MICROSECONDS:g} server and PostgreSQL",
    )
    more.add_row("… of which in the index of search by then", f"{report.indexed_ratio:.0%}", "")
    if (peer := report.ejabberd) is not None:
        for name, rate, cpu in (
            ("ejabberd", peer.messages_per_second, peer.cpu_microseconds),
            ("ours beside it", peer.our_messages_per_second, peer.our_cpu_microseconds),
        ):
            said = ", ".join(f"{k} {v:.0f}" for k, v in cpu.items())
            more.add_row(f"{PEER_CONNECTIONS} connections, {name}: {said}", f"{rate:,.0f}/s", "")
        more.add_row(
            "CPU of a message at ejabberd, relative to ours",
            f"{peer.ratio:g}",
            f"{verdict(peer.ratio >= AIM_PEER_RATIO)} at least {AIM_PEER_RATIO:g}",
        )
    more.add_row(
        f"send to delivery at {report.half_rate:,.0f}/s, p50 {report.half_rate_p50:.1f} ms, p95",
        f"{report.half_rate_p95:.1f} ms",
        f"{verdict(report.half_rate_p95 < AIM_DELIVERY)} under {AIM_DELIVERY:g}",
    )
    more.add_row(
        f"{report.idle:,} idle connections, each",
        f"{report.idle_kilobytes:.1f} KB",
        f"{verdict(report.idle_kilobytes < AIM_IDLE_KILOBYTES)} under {AIM_IDLE_KILOBYTES:g}",
    )
    more.add_row(
        "p95 of a ping meanwhile",
        f"{report.idle_ping_p95:.1f} ms",
        f"{verdict(report.idle_ping_p95 < AIM_PING)} under {AIM_PING:g}",
    )
    said = f"Not answered as expected: {report.errors}" if report.errors else ""
    return Group(table, more, Text(said))


def accounts(report: AccountsReport) -> RenderableType:
    """Return the tables of what signing in costs and tells."""
    table = new_table("signing in", "", "beside it", "ratio")
    table.add_row(
        "logins per second, and bare Argon2",
        f"{report.logins_per_second:.1f}",
        f"{report.hashes_per_second:.1f}",
        f"{verdict(report.ratio >= AIM_LOGIN_RATIO)} {report.ratio:.2f} of {AIM_LOGIN_RATIO:g}",
    )
    table.add_row(
        "CPU of a login in auth-service, and of a bare hash, ms",
        f"{report.login_milliseconds:.1f}",
        f"{report.hash_milliseconds:.1f}",
        f"{report.hash_milliseconds / report.login_milliseconds:.2f}",
    )
    table.add_row(
        "p95 of the home feed, ms, beside a flood of logins, and alone",
        f"{report.feed_beside:.1f}",
        f"{report.feed_quiet:.1f}",
        f"{verdict(report.noticed < AIM_LOGIN_NOTICED)} {report.noticed:.2f} of {AIM_LOGIN_NOTICED:g}",
    )
    times = new_table("milliseconds to answer, medians", "exists", "does not", "p")
    for row in report.times:
        aim = f"{verdict(row.p > AIM_P)} {row.p:.3f} over {AIM_P:g}"
        times.add_row(row.route, f"{row.existing:.1f}", f"{row.missing:.1f}", aim)
    said = f"{report.cores} cores; load average before: {report.load_average:.1f}"
    return Group(Text(said), table, times)


def feed(report: FeedReport) -> RenderableType:
    """Return the tables of what reading and writing the feed cost."""
    reads = new_table(
        "GET /api/feed/home", "per second", "from memory", "ratio", "CPU, µs", "from memory"
    )
    for read in (report.few, report.many):
        reads.add_row(
            f"{read.members:,} members, {read.posts:,} posts, {read.follows:,} follows",
            f"{read.per_second:,.0f}",
            f"{read.baseline_per_second:,.0f}",
            f"{verdict(read.ratio >= AIM_FEED_RATIO)} {read.ratio:.2f} of {AIM_FEED_RATIO:g}",
            f"{sum(read.microseconds.values()):,}",
            f"{read.baseline_microseconds:,}",
        )
    few, many = (sum(read.microseconds.values()) for read in (report.few, report.many))
    post_cpu = sum(report.post_microseconds.values())
    noticed = report.p95_beside / report.p95_alone
    more = new_table("", "", "aim")
    rows = [
        (
            "CPU of a request with many members, beside few",
            f"{many / few:.2f}",
            abs(many / few - 1) <= AIM_FLAT,
            f"within {AIM_FLAT:.0%}",
        ),
        (
            f"p95 at {report.half_load:,.0f} a second, half of that load",
            f"{report.half_p95:.1f} ms",
            report.half_p95 < AIM_FEED_P95,
            f"under {AIM_FEED_P95:g} ms",
        ),
        (
            "memory in Valkey of a member who reads the home feed",
            f"{report.timeline_bytes:,.0f} bytes",
            report.timeline_bytes < AIM_TIMELINE_BYTES,
            f"under {AIM_TIMELINE_BYTES:,.0f}",
        ),
        (
            f"posts a second, at p95 {report.post_p95:.0f} ms",
            f"{report.posts_per_second:.0f}",
            report.posts_per_second >= AIM_POSTS,
            f"{AIM_POSTS:g}",
        ),
        (
            "CPU of a post",
            f"{post_cpu:,} µs",
            post_cpu < AIM_POST_MICROSECONDS,
            f"under {AIM_POST_MICROSECONDS:,.0f} µs",
        ),
        (
            f"until a post is in {report.followers:,} timelines",
            f"{report.arrival_seconds:.1f} s",
            report.arrival_seconds < AIM_ARRIVAL_SECONDS,
            f"under {AIM_ARRIVAL_SECONDS:g} s",
        ),
        (
            "p95 of the home feed while such posts follow one another, beside before",
            f"{noticed:.2f}",
            noticed <= AIM_NOTICED_POST,
            f"at most {AIM_NOTICED_POST:g}",
        ),
    ]
    for name, value, is_met, aim in rows:
        more.add_row(name, value, f"{verdict(is_met)} {aim}")
    spent = new_table("CPU by component, µs", "a page", "a post")
    for name in sorted({*report.many.microseconds, *report.post_microseconds}):
        page, post = report.many.microseconds.get(name, 0), report.post_microseconds.get(name, 0)
        spent.add_row(name, f"{page}", f"{post}")
    said = f"{report.cores} cores; load average before: {report.load_average:.1f}"
    return Group(Text(said), reads, more, spent)


def new_table(first: str, *columns: str) -> Table:
    """Return an empty table of figures."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", title_justify="left")
    table.add_column(f"\n{first}")
    for column in columns:
        table.add_column(f"\n{column}", justify="right")
    return table


def verdict(is_met: bool) -> str:
    """Return what precedes an aim."""
    return "met," if is_met else "missed,"
