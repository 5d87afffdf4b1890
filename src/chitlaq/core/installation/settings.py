"""Settings: defaults here, then the TOML file, then the environment; the last wins.

The setting ``edge`` in ``[ports]`` is ``CHITLAQ_PORTS_EDGE`` in the environment. Variables with a
well-known name keep it: ``DATABASE_URL``, ``REDIS_URL``, ``PROMETHEUS_URL``,
``ALERTMANAGER_URL``, ``OTEL_EXPORTER_OTLP_ENDPOINT``.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

import msgspec

from chitlaq import inventory
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Workers = Annotated[int, msgspec.Meta(ge=1, le=64)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Limit = tuple[float, float]
"""The warning and the critical threshold of a check; if the first is larger, less is worse."""


if TYPE_CHECKING:
    # Their fields are the inventory's rows, which a type checker cannot read: `Settings.port_of`.
    class Ports(msgspec.Struct):
        def __init__(self, **ports: int) -> None: ...

    class WorkerCounts(msgspec.Struct):
        def __init__(self, **workers: int) -> None: ...

else:
    # As the runbook lists them: the port that members use first.
    _edge_first = sorted(inventory.BY_PORT, key=lambda row: row.name != "nginx")
    Ports = msgspec.defstruct(
        "Ports",
        [(row.setting, Port, row.port) for row in _edge_first],
        frozen=True,
        forbid_unknown_fields=True,
    )
    WorkerCounts = msgspec.defstruct(
        "WorkerCounts",
        [(row.setting, Workers, row.workers) for row in inventory.BY_PORT if row.workers],
        frozen=True,
        forbid_unknown_fields=True,
    )


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one client may request."""

    body_bytes: Positive = 1_048_576
    account_requests_per_minute: Positive = 600
    """Requests of a signed-in account at each service."""
    login_attempts_per_minute: Positive = 10
    """Attempts to log in to one account, from anywhere."""
    address_requests_per_second: Positive = 50
    """Requests from one client address at the gateway; bursts may be four times as large."""
    address_connections: Positive = 200
    unlimited_addresses: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses or networks (CIDR) exempt from the address limits: monitoring, this host."""


class Cors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    allowed_origins: tuple[str, ...] = ()
    """Origins such as ``https://app.example.edu`` whose pages may call the API."""


class Smtp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where mail goes. Without a host it stays in the mailbox that ``chitlaq mail`` shows."""

    host: str = ""
    port: Port = 587
    username: str = ""
    password: str = ""
    start_tls: bool = True
    sender: str = "ChitLaq <no-reply@localhost>"


class Tokens(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    access_seconds: Positive = 900
    session_days: Positive = 30
    verification_hours: Positive = 24


class Logs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    slow_seconds: Annotated[float, msgspec.Meta(gt=0)] = 0.5
    """Requests and queries that take longer are logged as slow."""
    max_bytes: Positive = 20_000_000
    """A log of this size is rotated; every log is rotated when a new day begins."""
    keep_files: Positive = 14


class Monitoring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    embedded: bool = True
    """Run Prometheus, Alertmanager and node-exporter in the stack, where they are available."""
    scrape_seconds: Positive = 15
    retention_days: Positive = 90
    certificates: tuple[str, ...] = ()
    """Certificate files (PEM) and endpoints (``host:port``) whose expiry is watched."""
    fail2ban_database: str = "/var/lib/fail2ban/fail2ban.sqlite3"


class Backups(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Backups of the embedded PostgreSQL. For an external one only the daily dump is made."""

    folder: str = ""
    """Where backups are stored. Default: /opt/backups/chitlaq if writable, else in the home."""
    archive: Literal["off", "on", "synchronous"] = "on"
    """Whether WAL is streamed to the folder. ``synchronous``: a write is acknowledged only when it is
    there too, so that it survives the loss of the database's disk."""
    recipients: tuple[str, ...] = ()
    """Public age keys (``age1…``) to which secrets and copies are encrypted: `chitlaq backup key`."""
    copy_to: str = ""
    """Where encrypted copies go: a folder (``/mnt/vault``), or ``s3://bucket/prefix``."""
    s3_endpoint: str = ""
    """The endpoint of an S3 other than Amazon's: ``https://s3.example.edu``."""
    s3_region: str = "us-east-1"
    s3_access_key_id: str = ""
    s3_secret_access_key: str = ""
    at: str = "02:30"
    """When the daily backup is made, verified and test-restored; local time."""
    full: str = "sun"
    """The day of the week of full backups; on other days they are incremental."""
    keep_days: Positive = 7
    """Any point in time of this many days can be restored."""
    keep_dumps_days: Positive = 30
    keep_least: Positive = 3
    """So many of each kind are kept, whatever their age."""


class Operations(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When routines run on their own, and who gets the reports."""

    scheduled: bool = True
    timezone: str = ""
    """The time zone of the times below, such as ``Europe/Vienna``. Default: this machine's."""
    morning: str = "09:00"
    midday: str = "13:00"
    evening: str = "18:00"
    weekly: str = "mon 10:00"
    monthly: str = "1 10:30"
    history_days: Positive = 400
    report_to: tuple[str, ...] = ()
    """Email addresses that get the daily report."""
    notify: tuple[str, ...] = ()
    """Where its summary is also sent, as Apprise URLs: ``slack://…``, ``mailto://…``."""


class Checks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds of the checks: ``warning, critical``, in base units (seconds, bytes, ratio 0 to 1)."""

    load_per_core: Limit = (1.5, 4.0)
    cpu_used_ratio: Limit = (0.85, 0.97)
    memory_available_ratio: Limit = (0.15, 0.05)
    disk_used_ratio: Limit = (0.80, 0.90)
    disk_busy_ratio: Limit = (0.85, 0.98)
    large_file_bytes: Limit = (1e9, 1e10)
    network_used_ratio: Limit = (0.70, 0.95)
    network_errors_ratio: Limit = (0.001, 0.01)
    clock_offset_seconds: Limit = (0.05, 0.5)
    reachable: tuple[str, ...] = ()
    """Hosts (``host:port``) that this machine must reach: a mail server, a mirror, the network."""
    component_memory_bytes: Limit = (5e8, 1e9)
    answer_seconds: Limit = (0.5, 2.0)
    """Duration of a check's own request: feed, search, health."""
    connections_ratio: Limit = (0.80, 0.95)
    """Connections to PostgreSQL and clients of Valkey, relative to their maximum."""
    database_size_bytes: Limit = (1e11, 5e11)
    statement_seconds: Limit = (1.0, 10.0)
    """Mean time of a statement, in pg_stat_statements."""
    lock_wait_seconds: Limit = (5.0, 60.0)
    transaction_seconds: Limit = (300.0, 3600.0)
    cache_hit_ratio: Limit = (0.95, 0.80)
    dead_rows_ratio: Limit = (0.2, 0.5)
    valkey_memory_ratio: Limit = (0.85, 0.98)
    latency_p95_seconds: Limit = (0.5, 2.0)
    query_p95_seconds: Limit = (0.1, 1.0)
    websocket_p95_seconds: Limit = (0.5, 2.0)
    server_errors_ratio: Limit = (0.01, 0.05)
    refusals_ratio: Limit = (0.3, 0.8)
    log_errors_a_day: Limit = (10, 1000)
    slow_lines_a_day: Limit = (50, 5000)
    ssh_failures_a_day: Limit = (100, 5000)
    login_failures_ratio: Limit = (0.5, 0.9)
    address_share: Limit = (0.5, 0.9)
    """The busiest address's share of the requests that the limits apply to."""
    certificate_days: Limit = (14, 3)
    backup_age_hours: Limit = (26, 50)
    updates_waiting: Limit = (50, 500)
    security_updates_waiting: Limit = (1, 20)
    days_until_full: Limit = (30, 7)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything an operator can configure. Every default works on one machine."""

    database_url: str = ""
    """An external PostgreSQL (``postgresql://owner:secret@host/chitlaq``) instead of the embedded one."""
    redis_url: str = ""
    """An external Valkey or Redis (``redis://host:6379/0``) instead of the embedded one."""
    prometheus_url: str = ""
    """An external Prometheus (``http://host:9090``) instead of the embedded one."""
    alertmanager_url: str = ""
    """An external Alertmanager (``http://host:9093``) instead of the embedded one."""
    otel_exporter_otlp_endpoint: str = ""
    """A collector for OTLP over HTTP (``http://host:4318``); if set, requests are traced."""
    host: str = "127.0.0.1"
    """The address that nginx listens on; ``0.0.0.0`` opens its ports to the network."""
    public_url: str = ""
    """The URL that members type; links in emails begin with it. Default: nginx on localhost."""
    demo: bool = True
    """Seed an empty embedded database with demo members; an external one is never seeded on its own."""
    ports: Ports = Ports()
    workers: WorkerCounts = WorkerCounts()
    limits: Limits = Limits()
    cors: Cors = Cors()
    smtp: Smtp = Smtp()
    tokens: Tokens = Tokens()
    logs: Logs = Logs()
    monitoring: Monitoring = Monitoring()
    backups: Backups = Backups()
    operations: Operations = Operations()
    checks: Checks = Checks()

    @property
    def base_url(self) -> str:
        return self.public_url.rstrip("/") or f"http://localhost:{self.port_of('nginx')}"

    def backup_folder(self, home: Home) -> Path:
        """Where backups are stored."""
        if self.backups.folder:
            return Path(self.backups.folder).expanduser()
        usual = Path("/opt/backups/chitlaq")
        return usual if os.access(usual, os.W_OK) else home.root / "backups"

    def port_of(self, component: str) -> int:
        """The TCP port of a component, by its name (``feed-service``: 3003)."""
        port: int = getattr(self.ports, inventory.COMPONENTS[component].setting)
        return port

    def workers_of(self, service: str) -> int:
        """How many processes of a service run."""
        workers: int = getattr(self.workers, inventory.COMPONENTS[service].setting, 1)
        return workers

    def embeds(self, component: str) -> bool:
        """Whether the stack runs a component itself, rather than use one that runs elsewhere."""
        elsewhere = {
            "postgres": self.database_url,
            "redis": self.redis_url,
            "prometheus": self.prometheus_url,
            "alertmanager": self.alertmanager_url,
        }
        is_observer = inventory.COMPONENTS[component].kind == "observer"
        return not elsewhere.get(component) and (self.monitoring.embedded or not is_observer)


SECRET_FIELDS = frozenset({"smtp.password", "operations.notify", "backups.s3_secret_access_key"})
URL_FIELDS = frozenset(
    {
        "database_url",
        "redis_url",
        "prometheus_url",
        "alertmanager_url",
        "otel_exporter_otlp_endpoint",
    }
)


def load(home: Home, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this installation.

    Args:
        home: the installation; its ``chitlaq.toml`` is read when it exists.
        environment: variables to read; those of the process by default.

    Raises:
        OperatorError: an unknown or invalid setting; names where it was set.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for dotted, value in from_file(home.settings_file):
        _place(values, sources, dotted, value, f"{home.settings_file}")
    for variable, dotted, value in _from_environment(environment or os.environ):
        _place(values, sources, dotted, value, f"the environment ({variable})")
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$.")
        dotted = path.rstrip("`").split("[")[0]
        source = sources.get(dotted, str(home.settings_file))
        raise OperatorError(
            f"The setting {dotted or '?'} from {source} does not fit: {text}. "
            "`chitlaq config show` lists all settings with their values."
        ) from None


def fields(
    struct: type[msgspec.Struct] = Settings, prefix: str = ""
) -> Iterator[tuple[str, msgspec.structs.FieldInfo]]:
    """Yield every setting as (dotted name, field), sections flattened."""
    for field in msgspec.structs.fields(struct):
        dotted = f"{prefix}{field.name}"
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from fields(field.type, f"{dotted}.")
        else:
            yield dotted, field


def variable_of(dotted: str) -> str:
    """The environment variable of a setting: ``ports.edge`` is ``CHITLAQ_PORTS_EDGE``."""
    if dotted in URL_FIELDS:
        return dotted.upper()
    return "CHITLAQ_" + dotted.replace(".", "_").upper()


def secrets_in(values: Iterable[tuple[str, Any]]) -> list[str]:
    """Return the secrets among settings, given by dotted name, and the passwords in URLs."""
    found: list[str] = []
    for dotted, value in values:
        for text in value if isinstance(value, tuple | list) else (value,):
            if not isinstance(text, str) or not text:
                continue
            if dotted in SECRET_FIELDS:
                found.append(text)
            if "://" in text:
                found += _passwords(text)
    return found


def _passwords(url: str) -> list[str]:
    """Return the passwords in a URL, as written and decoded."""
    try:
        parts = urlsplit(url)
        given = [parts.password] if parts.password else []
        given += [value for name, value in parse_qsl(parts.query) if "password" in name.lower()]
    except ValueError:
        return [url]
    return [*given, *map(unquote, given)]


def from_file(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield every setting of a file as (dotted name, value); nothing if there is no file.

    Raises:
        OperatorError: it cannot be read, or has an unknown setting.
    """
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError:
        raise OperatorError(
            f"{path} cannot be read by this user: check its owner and mode."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OperatorError(f"{path} is not valid TOML: {error}.") from None
    known = dict(fields())
    for key, value in document.items():
        flat = (
            {f"{key}.{name}": item for name, item in value.items()}
            if isinstance(value, dict)
            else {key: value}
        )
        for dotted, item in flat.items():
            if dotted not in known:
                near = difflib.get_close_matches(dotted, known, n=1)
                hint = f" Did you mean {near[0]}?" if near else ""
                raise OperatorError(f"{path} has an unknown setting {dotted}.{hint}")
            yield dotted, item


# Variables of the CHITLAQ_ prefix that are not settings.
_OTHER_VARIABLES = frozenset({"CHITLAQ_HOME"})


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    known = {variable_of(dotted): (dotted, field) for dotted, field in fields()}
    for variable, text in environment.items():
        if variable in known:
            dotted, field = known[variable]
            is_list = tuple in (field.type, *get_args(field.type)) or "tuple" in str(field.type)
            value = [part.strip() for part in text.split(",") if part.strip()] if is_list else text
            yield variable, dotted, value
        elif variable.startswith("CHITLAQ_") and variable not in _OTHER_VARIABLES:
            near = difflib.get_close_matches(variable, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise OperatorError(f"The environment has an unknown setting {variable}.{hint}")


def _place(
    values: dict[str, Any], sources: dict[str, str], dotted: str, value: object, source: str
) -> None:
    section, _, name = dotted.rpartition(".")
    (values.setdefault(section, {}) if section else values)[name] = value
    sources[dotted] = source


def shown(dotted: str, value: object) -> str:
    """Return a setting's value for display: secrets and passwords in URLs are hidden."""
    if dotted in SECRET_FIELDS:
        return "********" if value else ""
    if dotted in URL_FIELDS and value:
        parts = urlsplit(str(value))
        head, at, host = parts.netloc.rpartition("@")
        user = head.partition(":")[0]
        hidden = f"{user}:********@{host}" if at else host
        return urlunsplit(parts._replace(netloc=hidden))
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
