"""The original runbook: its sections and commands, and what replaces each of them today.

``seed.md`` is that document, unchanged. It was written before the system existed, so some of its
commands never worked; a correction says where and why ChitLaq differs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class SeedSection:
    """A heading of the document (level 2 to 4), and the commands directly below it."""

    level: int
    title: str
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
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


ANSWERS: tuple[Answer, ...] = (
    Answer("uptime", ("host.uptime", "host.load")),
    Answer("w", ("host.uptime",)),
    Answer("htop", ("ops watch", "host.cpu"), "`htop` shows numbers; a routine needs a verdict"),
    Answer("df -h", ("host.disk", "capacity.disk")),
    Answer(
        "du -sh /var/lib/docker",
        ("host.disk",),
        "ChitLaq's files are in CHITLAQ_HOME, whose size the check measures; for Docker's own files, see"
        " `docker system df`",
    ),
    Answer("du -sh /opt/backups/chitlaq", ("host.disk", "backup.database", "backup.physical")),
    Answer("free -h", ("host.memory", "capacity.memory")),
    Answer(r"cat /proc/meminfo .*", ("host.memory",)),
    Answer(
        "ping -c 3 google.com",
        ("host.reachability",),
        "the machine need not reach an unrelated host; list the ones it needs in `checks.reachable`",
    ),
    Answer("ping -c 3 your-domain.com", ("host.reachability",)),
    Answer("telnet your-domain.com 443", ("host.reachability",)),
    Answer("docker compose ps", ("services.processes",)),
    Answer(
        "docker ps -a",
        ("services.containers", "services.processes"),
        "the supervisor runs the embedded stack's processes, not Docker",
    ),
    Answer(
        "sudo systemctl status docker",
        ("services.containers",),
        "an active unit may hang, so the check queries the daemon itself",
    ),
    Answer(
        "docker stats --no-stream",
        ("services.resources", "memory.growth"),
        "`chitlaq stats` measures the processes themselves, with or without containers",
    ),
    Answer(r"curl -s http://localhost:3001/health .*", ("gateway.health",)),
    Answer(r"curl -s http://localhost:3002/health .*", ("websocket.health",)),
    Answer(r"curl -s http://localhost:3003/health .*", ("feed.health",)),
    Answer(r"curl -s http://localhost:3004/health .*", ("search.health",)),
    Answer(r"curl -s http://localhost:3005/health .*", ("auth.health",)),
    Answer(r'docker compose exec postgres psql .*"SELECT 1;"', ("database.ready",)),
    Answer("docker compose exec postgres pg_isready -U postgres", ("database.ready",)),
    Answer(r".*count\(\*\) FROM pg_stat_activity.*", ("database.connections",)),
    Answer(r".*pg_database_size.*", ("database.size",)),
    Answer(
        r".*FROM pg_stat_statements.*",
        ("database.slow_statements",),
        "`mean_time` is called `mean_exec_time` since PostgreSQL 13, in milliseconds",
    ),
    Answer(r".*pg_stat_activity WHERE state = 'active'.*", ("database.activity", "database.locks")),
    Answer("docker compose exec redis redis-cli ping", ("redis.ready",)),
    Answer("docker compose exec redis redis-cli info memory", ("redis.memory",)),
    Answer("docker compose exec redis redis-cli info clients", ("redis.clients",)),
    Answer("docker compose exec redis redis-cli info stats", ("redis.stats",)),
    Answer(r'.*/api/v1/alerts .*"active".*', ("alerts.active", "services.targets"), _V2),
    Answer(
        r'.*/api/v1/alerts .*"resolved".*',
        ("alerts.resolved",),
        f"{_V2}; it does not keep resolved alerts, but ops-service does",
    ),
    Answer(
        _curl("histogram_quantile(0.95,rate(http_request_duration_seconds_bucket[5m]))"),
        ("api.latency",),
        _BY_LE,
    ),
    Answer(_curl("postgresql_query_duration_seconds"), ("database.latency",), _BY_LE),
    Answer(_curl("websocket_connections_active"), ("websocket.connections",)),
    Answer(r".*status=~'5\.\.'.*", ("api.errors",), _ENCODED),
    Answer(r".*status=~'4\.\.'.*", ("api.refusals",), _ENCODED),
    Answer(_curl("rate(http_requests_total[5m])"), ("api.throughput",), _ENCODED),
    Answer(r".*route='/api/feed/home'.*", ("api.feed",), _BY_LE),
    Answer(r".*route='/api/auth/login'.*", ("api.login",), _BY_LE),
    Answer(
        _curl("histogram_quantile(0.95,rate(postgresql_query_duration_seconds_bucket[5m]))"),
        ("database.latency",),
        _BY_LE,
    ),
    Answer(
        _curl("postgresql_connections_active"), ("database.connections", "capacity.connections")
    ),
    Answer(_curl("postgresql_cache_hit_ratio"), ("database.cache",)),
    Answer(_curl("postgresql_database_size_bytes"), ("database.size", "capacity.database")),
    Answer(_curl("postgresql_locks_count"), ("database.locks",)),
    Answer(_curl("rate(postgresql_transactions_total[5m])"), ("database.transactions",), _ENCODED),
    Answer(_curl("rate(websocket_messages_total[5m])"), ("websocket.messages",), _ENCODED),
    Answer(
        _curl("histogram_quantile(0.95,rate(websocket_message_duration_seconds_bucket[5m]))"),
        ("websocket.latency",),
        _BY_LE,
    ),
    Answer(
        _curl("node_cpu_seconds_total"),
        ("host.cpu", "host.load"),
        "a counter of seconds since startup is only meaningful as a rate",
    ),
    Answer(_curl("node_memory_MemAvailable_bytes"), ("capacity.memory", "host.memory")),
    Answer(_curl("node_filesystem_avail_bytes"), ("capacity.disk",)),
    Answer(_curl("rate(fail2ban_banned_total[5m])"), ("security.bans",), _ENCODED),
    Answer(_curl("rate(auth_attempts_total[5m])"), ("security.logins",), _ENCODED),
    Answer(_curl("ssl_certificate_expiry_seconds"), ("security.certificates",)),
    Answer(
        _curl("histogram_quantile(0.95,rate(http_request_duration_seconds_bucket[30d]))"),
        ("api.month",),
        _BY_LE,
    ),
    Answer(_curl("rate(user_registrations_total[30d])"), ("growth.members",), _ENCODED),
    Answer(r"\./scripts/daily-report\.sh", ("ops report",)),
    Answer(r"\./scripts/benchmark\.sh", ("bench --here",)),
    Answer(r"ls -la /opt/backups/chitlaq/config_.*", ("backup.configuration",)),
    Answer(r"tar -tzf /opt/backups/chitlaq/config_latest\.tar\.gz", ("backup.configuration",)),
    Answer(
        r"ls -la /opt/backups/chitlaq/.*",
        ("backup.database", "backup.physical", "backup.archive", "backup.copies"),
        "a file in a folder is no proof of a backup; the checks warn until one was restored and compared",
    ),
    Answer(
        r"\./backup-scripts/verify-backup\.sh .*",
        ("backup verify",),
        "runs every day for all backups",
    ),
    Answer(
        r"\./backup-scripts/test-restore\.sh .*|.*-d chitlaq_test .*",
        ("backup drill",),
        "runs every day in a server of its own and compares every table, not only counts rows; that server"
        " is gone when the drill ends, so `test-restore.sh` itself prints the number of users and posts",
    ),
    Answer(r"sudo journalctl -u ssh .*(?:failed|invalid).*", ("security.ssh_failed",)),
    Answer(r"sudo journalctl -u ssh .*accepted.*", ("security.ssh_accepted",)),
    Answer(r"sudo journalctl -u ssh .*tail -20", ("security.ssh_failed", "security.ssh_accepted")),
    Answer(r"sudo journalctl -u fail2ban .*", ("security.bans", "security.fail2ban")),
    Answer(r"sudo fail2ban-client status.*", ("security.fail2ban", "security.bans")),
    Answer("sudo ausearch -ts today | tail -20".replace("|", r"\|"), ("security.audit",)),
    Answer(
        r"sudo journalctl .*",
        ("system.journal",),
        "the last lines of a day are from its last minute; the check groups all warnings and errors",
    ),
    Answer(r"top -bn1 .*|iostat -c 1 5|iostat 1 5|ps aux --sort=-%cpu .*", ("host.cpu",)),
    Answer("cat /proc/loadavg", ("host.load",)),
    Answer(r"ps aux --sort=-%mem .*", ("host.memory",)),
    Answer("iostat -x 1 5|iotop -o", ("host.disk_io",)),
    Answer(r"find /var/lib/docker .*", ("host.large_files",), _NO_DOCKER),
    Answer("ip addr show|ip route show", ("host.interfaces",)),
    Answer("cat /proc/net/dev", ("host.interfaces", "host.bandwidth")),
    Answer("ss -tuln", ("host.sockets",)),
    Answer("iftop -i eth0", ("host.bandwidth",)),
    Answer(r"curl -s http://localhost:3001/metrics .*", ("gateway.metrics",)),
    Answer(r"curl -s http://localhost:3001/api/health .*", ("gateway.api",)),
    Answer(r"curl -s http://localhost:3002/metrics .*", ("websocket.metrics",)),
    Answer(r"wscat .*", ("websocket.ping",)),
    Answer(r'curl -s "http://localhost:3003/feed/home.*', ("feed.home",)),
    Answer(r'curl -s "http://localhost:3004/search/users.*', ("search.users",)),
    Answer(r"curl -s http://localhost:3005/auth/status .*", ("auth.status",)),
    *(
        Answer(rf"docker compose logs {service}\b.*", (check,), _GREP)
        for service, check in _LOG.items()
    ),
    Answer(
        r"docker compose logs nginx .*awk.*",
        ("nginx.addresses",),
        "the first word of a line is the container's name, not the address",
    ),
    Answer(r"docker compose logs nginx .*ssl.*", ("nginx.tls",)),
    Answer(r"docker compose logs nginx .*-i error.*", ("nginx.errors",)),
    Answer(
        r"docker compose logs nginx .*",
        ("nginx.statuses",),
        "`4[0-9][0-9]` also matches sizes and times; the log is JSON with a field for the status",
    ),
    Answer(
        r"docker compose logs(?: --tail=50)?|docker compose logs \| grep .*", tuple(_LOG.values())
    ),
    Answer("docker compose restart SERVICE_NAME", ("do restart",)),
    Answer(
        "sudo logrotate -d /etc/logrotate.conf",
        ("logs.rotation",),
        "ChitLaq's logs need no logrotate; the check looks at both",
    ),
    Answer("sudo logrotate -f /etc/logrotate.conf", ("do rotate",)),
    Answer(
        "docker system prune -f",
        ("do prune", "cleanup.candidates"),
        "it deletes too much; the action lists first, asks, then acts",
    ),
    Answer(
        r"find /opt/backups/chitlaq .*-delete",
        ("backup prune",),
        "it deletes the last good backup if backups stopped 30 days ago; ours keeps the newest proved one",
    ),
    Answer(
        r"find /var/log .*-delete",
        ("do prune", "do rotate"),
        "it deletes logs of every program, even open ones; the action deletes only rotated logs of ChitLaq",
    ),
    Answer("sudo apt update", ("updates.all", "do updates")),
    Answer("sudo apt list --upgradable", ("updates.all",)),
    Answer(
        "sudo apt audit",
        ("updates.security",),
        "apt has no `audit`; its package lists tell which updates fix vulnerabilities",
    ),
    Answer("sudo apt upgrade -y", ("do updates",)),
)


@cache
def sections() -> tuple[SeedSection, ...]:
    """Return the sections of the document in order."""
    return tuple(_parsed(resources.files(__package__).joinpath("seed.md").read_text()))


def answer(command: str) -> Answer:
    """Return what replaces a line of the document.

    Raises:
        LookupError: nothing does.
    """
    for one in ANSWERS:
        if re.fullmatch(one.pattern, command):
            return one
    raise LookupError(f"nothing replaces the line {command!r} of the original runbook")


def _parsed(text: str) -> Iterator[SeedSection]:
    level, title, commands, is_shell = 0, "", [], False
    for line in text.splitlines():
        if line.startswith("```"):
            is_shell = line == "```bash"
        elif is_shell:
            if line.strip() and not line.lstrip().startswith("#"):
                commands.append(line.strip())
        elif found := re.match(r"(#{2,4}) (.+)", line):
            if title:
                yield SeedSection(level, title, tuple(commands))
            level, title, commands = len(found[1]), found[2], []
    yield SeedSection(level, title, tuple(commands))
