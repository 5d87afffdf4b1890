"""The original runbook: its sections and commands, and what replaces each of them today.

``original.md`` is that document, unchanged. It was written before the system existed, so some of its
commands never worked; a correction says where and why ChitLaq differs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class OriginalSection:
    """A heading of the document (level 2 to 4), and the commands or rules directly below it."""

    level: int
    title: str
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Replacement:
    """What replaces a line of the document today.

    Args:
        pattern: matches the whole line.
        by: check ids; ``do NAME`` is an action; anything else is a ``chitlaq`` command.
        correction: why the original line is not kept.
    """

    pattern: str
    by: tuple[str, ...]
    correction: str = ""


_ENCODED = "PromQL in a URL must be encoded, because curl expands brackets and braces"
_BY_LE = f"a quantile over a histogram needs `sum by (le)`; {_ENCODED}"
_V2 = "Alertmanager 0.27 removed API version 1; version 2 returns a plain list"
_GREP = "grep finds words; the check groups lines by level and pattern, and marks new patterns"
_LOG = {
    "api-gateway": "gateway.log",
    "websocket": "websocket.log",
    "feed-service": "feed.log",
    "search-service": "search.log",
    "auth-service": "auth.log",
    "postgres": "database.log",
}
_NO_DOCKER = "the embedded stack runs without Docker; in containers the same check applies"


def _curl(query: str) -> str:
    return re.escape(f'curl -s "http://localhost:9090/api/v1/query?query={query}" | jq .')


REPLACEMENTS: tuple[Replacement, ...] = (
    Replacement("uptime", ("host.uptime", "host.load")),
    Replacement("w", ("host.uptime",)),
    Replacement(
        "htop", ("ops watch", "host.cpu"), "`htop` shows numbers; a routine needs a verdict"
    ),
    Replacement("df -h", ("host.disk", "capacity.disk")),
    Replacement(
        "du -sh /var/lib/docker",
        ("host.disk",),
        "ChitLaq's files are in CHITLAQ_HOME, whose size the check measures; for Docker's own files, see"
        " `docker system df`",
    ),
    Replacement("du -sh /opt/backups/chitlaq", ("host.disk", "backup.database", "backup.physical")),
    Replacement("free -h", ("host.memory", "capacity.memory")),
    Replacement(r"cat /proc/meminfo .*", ("host.memory",)),
    Replacement(
        "ping -c 3 google.com",
        ("host.reachability",),
        "the machine need not reach an unrelated host; list the ones it needs in `checks.reachable`",
    ),
    Replacement("ping -c 3 your-domain.com", ("host.reachability",)),
    Replacement("telnet your-domain.com 443", ("host.reachability",)),
    Replacement("docker compose ps", ("services.processes",)),
    Replacement(
        "docker ps -a",
        ("services.containers", "services.processes"),
        "the supervisor runs the embedded stack's processes, not Docker",
    ),
    Replacement(
        "sudo systemctl status docker",
        ("services.containers",),
        "an active unit may hang, so the check queries the daemon itself",
    ),
    Replacement(
        "docker stats --no-stream",
        ("services.resources", "memory.growth"),
        "`chitlaq stats` measures the processes themselves, with or without containers",
    ),
    Replacement(r"curl -s http://localhost:3001/health .*", ("gateway.health",)),
    Replacement(r"curl -s http://localhost:3002/health .*", ("websocket.health",)),
    Replacement(r"curl -s http://localhost:3003/health .*", ("feed.health",)),
    Replacement(r"curl -s http://localhost:3004/health .*", ("search.health",)),
    Replacement(r"curl -s http://localhost:3005/health .*", ("auth.health",)),
    Replacement(r'docker compose exec postgres psql .*"SELECT 1;"', ("database.ready",)),
    Replacement("docker compose exec postgres pg_isready -U postgres", ("database.ready",)),
    Replacement(r".*count\(\*\) FROM pg_stat_activity.*", ("database.connections",)),
    Replacement(r".*pg_database_size.*", ("database.size",)),
    Replacement(
        r".*FROM pg_stat_statements.*",
        ("database.slow_statements",),
        "`mean_time` is called `mean_exec_time` since PostgreSQL 13, in milliseconds",
    ),
    Replacement(
        r".*pg_stat_activity WHERE state = 'active'.*", ("database.activity", "database.locks")
    ),
    Replacement("docker compose exec redis redis-cli ping", ("redis.ready",)),
    Replacement("docker compose exec redis redis-cli info memory", ("redis.memory",)),
    Replacement("docker compose exec redis redis-cli info clients", ("redis.clients",)),
    Replacement("docker compose exec redis redis-cli info stats", ("redis.stats",)),
    Replacement(
        r'.*/api/v1/alerts .*"active".*',
        ("alerts.active", "services.targets", "incidents.unacknowledged"),
        _V2,
    ),
    Replacement(
        r'.*/api/v1/alerts .*"resolved".*',
        ("alerts.resolved", "incidents.action_items"),
        f"{_V2}; it does not keep resolved alerts, but ops-service does",
    ),
    Replacement(
        _curl("histogram_quantile(0.95,rate(http_request_duration_seconds_bucket[5m]))"),
        ("api.latency",),
        _BY_LE,
    ),
    Replacement(_curl("postgresql_query_duration_seconds"), ("database.latency",)),
    Replacement(_curl("websocket_connections_active"), ("websocket.connections",)),
    Replacement(r".*status=~'5\.\.'.*", ("api.errors",), _ENCODED),
    Replacement(r".*status=~'4\.\.'.*", ("api.refusals",), _ENCODED),
    Replacement(_curl("rate(http_requests_total[5m])"), ("api.throughput",), _ENCODED),
    Replacement(r".*route='/api/feed/home'.*", ("api.feed",), _BY_LE),
    Replacement(r".*route='/api/auth/login'.*", ("api.login",), _BY_LE),
    Replacement(
        _curl("histogram_quantile(0.95,rate(postgresql_query_duration_seconds_bucket[5m]))"),
        ("database.latency",),
        _BY_LE,
    ),
    Replacement(
        _curl("postgresql_connections_active"), ("database.connections", "capacity.connections")
    ),
    Replacement(_curl("postgresql_cache_hit_ratio"), ("database.cache",)),
    Replacement(_curl("postgresql_database_size_bytes"), ("database.size", "capacity.database")),
    Replacement(_curl("postgresql_locks_count"), ("database.locks",)),
    Replacement(
        _curl("rate(postgresql_transactions_total[5m])"), ("database.transactions",), _ENCODED
    ),
    Replacement(_curl("rate(websocket_messages_total[5m])"), ("websocket.messages",), _ENCODED),
    Replacement(
        _curl("histogram_quantile(0.95,rate(websocket_message_duration_seconds_bucket[5m]))"),
        ("websocket.latency",),
        _BY_LE,
    ),
    Replacement(
        _curl("node_cpu_seconds_total"),
        ("host.cpu", "host.load"),
        "a counter of seconds since startup is only meaningful as a rate",
    ),
    Replacement(_curl("node_memory_MemAvailable_bytes"), ("capacity.memory", "host.memory")),
    Replacement(_curl("node_filesystem_avail_bytes"), ("capacity.disk",)),
    Replacement(_curl("rate(fail2ban_banned_total[5m])"), ("security.bans",), _ENCODED),
    Replacement(_curl("rate(auth_attempts_total[5m])"), ("security.logins",), _ENCODED),
    Replacement(_curl("ssl_certificate_expiry_seconds"), ("security.certificates",)),
    Replacement(
        _curl("histogram_quantile(0.95,rate(http_request_duration_seconds_bucket[30d]))"),
        ("api.month",),
        _BY_LE,
    ),
    Replacement(_curl("rate(user_registrations_total[30d])"), ("growth.members",), _ENCODED),
    Replacement(r"\./scripts/daily-report\.sh", ("ops report",)),
    Replacement(r"\./scripts/benchmark\.sh", ("bench --here",)),
    Replacement(r"ls -la /opt/backups/chitlaq/config_.*", ("backup.configuration",)),
    Replacement(r"tar -tzf /opt/backups/chitlaq/config_latest\.tar\.gz", ("backup.configuration",)),
    Replacement(
        r"ls -la /opt/backups/chitlaq/.*",
        ("backup.database", "backup.physical", "backup.archive", "backup.copies"),
        "a file in a folder is no proof of a backup; the checks warn until one was restored and compared",
    ),
    Replacement(
        r"\./backup-scripts/verify-backup\.sh .*",
        ("backup verify",),
        "runs every day for all backups",
    ),
    Replacement(
        r"\./backup-scripts/test-restore\.sh .*|.*-d chitlaq_test .*",
        ("backup drill",),
        "runs every day in a scratch server and compares every table, not only counts rows;"
        " `test-restore.sh` keeps the accounts that it restored as the view `users` of `chitlaq_test`, until"
        ' the next one: `chitlaq exec postgres psql -U postgres -d chitlaq_test -c "SELECT count(*) FROM'
        ' users"`',
    ),
    Replacement(r"sudo journalctl -u ssh .*(?:failed|invalid).*", ("security.ssh_failed",)),
    Replacement(r"sudo journalctl -u ssh .*accepted.*", ("security.ssh_accepted",)),
    Replacement(
        r"sudo journalctl -u ssh .*tail -20", ("security.ssh_failed", "security.ssh_accepted")
    ),
    Replacement(r"sudo journalctl -u fail2ban .*", ("security.bans", "security.fail2ban")),
    Replacement(r"sudo fail2ban-client status.*", ("security.fail2ban", "security.bans")),
    Replacement("sudo ausearch -ts today | tail -20".replace("|", r"\|"), ("security.audit",)),
    Replacement(
        r"sudo journalctl .*",
        ("system.journal",),
        "the last lines of a day are from its last minute; the check groups all warnings and errors",
    ),
    Replacement(r"top -bn1 .*|iostat -c 1 5|iostat 1 5|ps aux --sort=-%cpu .*", ("host.cpu",)),
    Replacement("cat /proc/loadavg", ("host.load",)),
    Replacement(r"ps aux --sort=-%mem .*", ("host.memory",)),
    Replacement("iostat -x 1 5|iotop -o", ("host.disk_io",)),
    Replacement(r"find /var/lib/docker .*", ("host.large_files",), _NO_DOCKER),
    Replacement("ip addr show|ip route show", ("host.interfaces",)),
    Replacement("cat /proc/net/dev", ("host.interfaces", "host.bandwidth")),
    Replacement("ss -tuln", ("host.sockets",)),
    Replacement("iftop -i eth0", ("host.bandwidth",)),
    Replacement(r"curl -s http://localhost:3001/metrics .*", ("gateway.metrics",)),
    Replacement(r"curl -s http://localhost:3001/api/health .*", ("gateway.api",)),
    Replacement(r"curl -s http://localhost:3002/metrics .*", ("websocket.metrics",)),
    Replacement(r"wscat .*", ("websocket.ping",)),
    Replacement(r'curl -s "http://localhost:3003/feed/home.*', ("feed.home",)),
    Replacement(r'curl -s "http://localhost:3004/search/users.*', ("search.users",)),
    Replacement(r"curl -s http://localhost:3005/auth/status .*", ("auth.status",)),
    *(
        Replacement(rf"docker compose logs {service}\b.*", (check,), _GREP)
        for service, check in _LOG.items()
    ),
    Replacement(
        r"docker compose logs nginx .*awk.*",
        ("nginx.addresses",),
        "the first word of a line is the container's name, not the address",
    ),
    Replacement(r"docker compose logs nginx .*ssl.*", ("nginx.tls",)),
    Replacement(r"docker compose logs nginx .*-i error.*", ("nginx.errors",)),
    Replacement(
        r"docker compose logs nginx .*",
        ("nginx.statuses",),
        "`4[0-9][0-9]` also matches sizes and times; the log is JSON with a field for the status",
    ),
    Replacement(
        r"docker compose logs(?: --tail=50)?|docker compose logs \| grep .*", tuple(_LOG.values())
    ),
    Replacement("docker compose restart SERVICE_NAME", ("do restart",)),
    Replacement(
        "sudo logrotate -d /etc/logrotate.conf",
        ("logs.rotation",),
        "ChitLaq's logs need no logrotate; the check looks at both",
    ),
    Replacement("sudo logrotate -f /etc/logrotate.conf", ("do rotate",)),
    Replacement(
        "docker system prune -f",
        ("do prune", "cleanup.candidates"),
        "it deletes too much; the action lists first, asks, then acts",
    ),
    Replacement(
        r"find /opt/backups/chitlaq .*-delete",
        ("backup prune",),
        "it deletes the last good backup if backups stopped 30 days ago; ours keeps the newest proved one",
    ),
    Replacement(
        r"find /var/log .*-delete",
        ("do prune", "do rotate"),
        "it deletes logs of every program, even open ones; the action deletes only rotated logs of ChitLaq",
    ),
    Replacement("sudo apt update", ("updates.all", "do updates")),
    Replacement("sudo apt list --upgradable", ("updates.all",)),
    Replacement(
        "sudo apt audit",
        ("updates.security",),
        "apt has no `audit`; its package lists tell which updates fix vulnerabilities",
    ),
    Replacement("sudo apt upgrade -y", ("do updates",)),
    Replacement(
        r"\*\*Criteria\*\*: .*",
        ("incidents severity",),
        "each alert declares its severity; a person raises or lowers an incident's, with a reason",
    ),
    Replacement(
        r"\*\*Response Time\*\*: (?:Immediate|1 hour|4 hours).*", ("incidents.unacknowledged",)
    ),
    Replacement(
        r"\*\*Response Time\*\*: 24 hours|\*\*Escalation\*\*: Regular support",
        ("incidents list",),
        "whoever has the level `support` gets a list each morning, and no page",
    ),
    Replacement(
        r"\*\*Escalation\*\*: On-call engineer.*",
        ("oncall.roster", "oncall show"),
        "each level has a part of the response time, and its people their channels one after the other;"
        " a P0 goes round again until somebody acknowledges",
    ),
    Replacement(
        r"\*\*(?:On-call Engineer|Team Lead|CTO)\*\*: .*",
        ("oncall.now",),
        "people and their channels are in `oncall.toml`, whose rotations say whose turn it is",
    ),
    Replacement(
        r"\*\*(?:DevOps|Security|Infrastructure) Team\*\*: .*",
        ("oncall people",),
        "a team is a person of `oncall.toml` with a shared address",
    ),
    Replacement(
        r"\*\*(?:Slack|Phone)\*\*: .*|\*\*Email\*\*: incidents@.*",
        ("oncall.channels", "oncall test", "oncall.heartbeat"),
    ),
    Replacement(
        r"\*\*Status Page\*\*: .*|\*\*Email\*\*: status@.*",
        ("statuspage.fresh", "status publish"),
        "members subscribe to the status page by mail or Atom",
    ),
    Replacement(
        r"\*\*Twitter\*\*: .*",
        ("status publish",),
        "no account is posted to; `/status.json` is for programs that do",
    ),
)


@cache
def sections() -> tuple[OriginalSection, ...]:
    """Return the sections of the document in order."""
    return tuple(_parsed(resources.files(__package__).joinpath("original.md").read_text()))


def replacement(command: str) -> Replacement:
    """Return what replaces a line of the document.

    Raises:
        LookupError: nothing does.
    """
    for one in REPLACEMENTS:
        if re.fullmatch(one.pattern, command):
            return one
    raise LookupError(f"nothing replaces the line {command!r} of the original runbook")


def in_containers(name: str) -> list[str]:
    """Return the document's lines for `docker compose` that a check or an action answers, in its order.

    As they are written there, but for a column that PostgreSQL has renamed.
    """
    return [_today(line) for line in _of_engine() if name in replacement(line).by]


def for_containers() -> list[str]:
    """Return all of the document's lines for `docker compose`, as `in_containers` has them."""
    return list(map(_today, _of_engine()))


def _of_engine() -> Iterator[str]:
    lines = dict.fromkeys(command for section in sections() for command in section.commands)
    return (line for line in lines if line.startswith(("docker compose ", "docker stats ")))


def _today(line: str) -> str:
    return re.sub(r"\bmean_time\b", "mean_exec_time", line)


def _parsed(text: str) -> Iterator[OriginalSection]:
    level, title, commands, is_shell = 0, "", [], False
    for line in text.splitlines():
        if line.startswith("```"):
            is_shell = line == "```bash"
        elif is_shell:
            if line.strip() and not line.lstrip().startswith("#"):
                commands.append(line.strip())
        elif line.startswith("- **"):
            # The chapter on escalation has rules and addresses instead of commands.
            commands.append(line.removeprefix("- "))
        elif found := re.match(r"(#{2,4}) (.+)", line):
            if title:
                yield OriginalSection(level, title, tuple(commands))
            level, title, commands = len(found[1]), found[2], []
    yield OriginalSection(level, title, tuple(commands))
