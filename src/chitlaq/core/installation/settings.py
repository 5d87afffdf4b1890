"""What an operator can configure: rate limits, times, recipients, thresholds; with the defaults."""

from __future__ import annotations

import os
import re
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from chitlaq import inventory
from chitlaq.core.host import endpoints
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import Secret, SecretUrl

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Workers = Annotated[int, msgspec.Meta(ge=1, le=64)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Threshold = tuple[float, float]
"""The warning and the critical threshold of a check; if the first is larger, less is worse."""


if TYPE_CHECKING:
    # Their fields are the inventory's rows, which a type checker cannot read: `Settings.port_of`.
    class Ports(msgspec.Struct):
        def __init__(self, **ports: int) -> None: ...

    class WorkerCounts(msgspec.Struct):
        def __init__(self, **workers: int) -> None: ...

else:
    # In the runbook's order: the port that members use comes first.
    _edge_first = sorted(inventory.PORTS, key=lambda port: port.component.name != "nginx")
    Ports = msgspec.defstruct(
        "Ports",
        [(port.setting, Port, port.number) for port in _edge_first],
        frozen=True,
        forbid_unknown_fields=True,
    )
    WorkerCounts = msgspec.defstruct(
        "WorkerCounts",
        [(row.setting, Workers, row.workers) for row in inventory.BY_PORT if row.workers],
        frozen=True,
        forbid_unknown_fields=True,
    )


class Programs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Servers' programs other than the usual ones: the full path of the program, or of its folder."""

    nginx: str = ""
    """Default: on PATH, else the distribution's package, else the one that came with ChitLaq."""
    postgres: str = ""
    """PostgreSQL 18, such as ``/usr/lib/postgresql/18/bin``. Default: the one that came with ChitLaq."""
    valkey: str = ""
    """Valkey 8.1 or newer. Default: the one that came with ChitLaq."""


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """nginx's port with TLS. By default its certificate is of a local authority, and renewed by itself."""

    certificate: str = ""
    """The file of a certificate (PEM), followed by those between it and its authority."""
    key: str = ""
    """The file of its private key (PEM)."""
    profile: Literal["intermediate", "modern"] = "intermediate"
    """Mozilla's profile: ``intermediate`` takes TLS 1.2 and 1.3, ``modern`` 1.3 alone."""


class SiteTls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the machines of a site know each other: ``chitlaq site render`` writes it."""

    authority: str = ""
    """The file of the certificate (PEM) of the site's authority."""
    certificate: str = ""
    """The file of this machine's certificate and key (PEM)."""
    servers: tuple[str, ...] = ()
    """Endpoints (``host:port``) of the site's servers whose certificates are watched from here."""
    elsewhere: tuple[str, ...] = ()
    """Services that other machines of the site run and this one does not, each with where
    (``feed-service@10.0.0.12:3003``), once for each machine that has it."""


class Acme(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """nginx's certificate from an authority that browsers trust, by ACME (RFC 8555), renewed by itself."""

    directory: str = ""
    """The authority's directory, such as ``https://acme-v02.api.letsencrypt.org/directory``. Naming it agrees
    to the authority's terms."""
    staging: str = ""
    """A directory to rehearse with, such as ``https://acme-staging-v02.api.letsencrypt.org/directory``: the
    authority is asked only once an order for these names has succeeded there."""
    names: tuple[str, ...] = ()
    """The certificate's names. Default: the host of ``public_url``."""
    contact: str = ""
    """An email address that the authority may write to."""
    root: str = ""
    """The file (PEM) of the root that vouches for the directories' own HTTPS: a private authority's."""
    dns_hook: str = ""
    """A program that publishes DNS records (DNS-01): ``HOOK present|cleanup NAME VALUE``. Without one, nginx
    answers the challenge (HTTP-01), and the authority must reach it at port 80 of each name."""
    account_key_id: str = ""
    """The key ID of an external account, where the authority asks for one (such as GÉANT's)."""
    account_hmac_key: Secret = Secret()
    """The HMAC key of that account (base64url)."""


class RateLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one client may request."""

    body_bytes: Positive = 1_048_576
    account_requests_per_minute: Positive = 600
    """Requests of a signed-in account at each service."""
    mails_per_hour: Positive = 5
    """Mails of one kind that an address gets because somebody registers it, or asks for a new link."""
    address_requests_per_second: Positive = 50
    """Signed-out requests from one address (IPv6: one /64), in bursts of up to ten times as many. Static
    files and opening WebSockets: ten times as many. Who is signed in is limited by account instead."""
    address_attempts_per_minute: Positive = 120
    """Registrations and requested mails from one address, or five times as many searches by people who are
    not signed in; and as many failed sign-ins, which PostgreSQL counts."""
    network_failed_names_per_hour: Positive = 200
    """Names for which only wrong passwords come from one network (IPv4: /24, IPv6: /48). Beyond that, its
    devices must have been signed in before."""
    address_connections: Positive = 4000
    """Open connections from one address, WebSockets included; at most half of all that nginx accepts."""
    unlimited_addresses: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses or networks (CIDR) exempt from the limits of requests, and which may read the gateway's
    health and metrics: monitoring, this host."""


class Cors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    allowed_origins: tuple[str, ...] = ()
    """Origins such as ``https://app.example.edu`` whose pages may call the API."""


class Smtp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where mail goes. Without a host it stays in the mailbox that ``chitlaq mail`` shows."""

    host: str = ""
    port: Port = 587
    username: str = ""
    password: Secret = Secret()
    start_tls: bool = True
    sender: str = "ChitLaq <no-reply@localhost>"


class Tokens(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    access_seconds: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 900
    session_days: Positive = 30
    """A session ends when it has not been used for so long."""
    longest_session_days: Positive = 90
    """A session ends after so long, however much it is used."""
    verification_hours: Positive = 24
    second_factor_for_roles: bool = False
    """Whether moderators, admins and operators must show a second factor to act as such."""
    second_factor_for_everyone: bool = False
    """Whether an account without a second factor can do nothing but set one up."""

    @property
    def need_second_factors(self) -> bool:
        """Whether what an account's factors are changes what its tokens are good for."""
        return self.second_factor_for_roles or self.second_factor_for_everyone


class Logs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    slow_seconds: Annotated[float, msgspec.Meta(gt=0)] = 0.5
    """Requests and queries that take longer are logged as slow."""
    max_bytes: Positive = 20_000_000
    """A log of this size is rotated; every log is rotated when a new day begins."""
    keep_files: Positive = 14


class Monitoring(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    embedded: bool = True
    """Run Prometheus, Alertmanager and node-exporter in the stack, where they are available."""
    scrape_seconds: Annotated[int, msgspec.Meta(ge=1, le=15)] = 15
    """Any less often, and `SamplesNotStored` would take what is late for what is lost."""
    retention_days: Positive = 90
    certificates: tuple[str, ...] = ()
    """Certificate files (PEM) and endpoints (``host:port``) whose expiry is watched."""
    targets: str = ""
    """A file with more targets of Prometheus (``file_sd_configs``): the other machines of a site, as
    ``chitlaq site render`` writes it for the node of operations."""
    fail2ban_database: str = "/var/lib/fail2ban/fail2ban.sqlite3"


class Media(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Members' pictures: where they are kept, and how many."""

    url: str = ""
    """Where pictures are kept: a folder, or ``s3://bucket/prefix``. Default: ``media`` in the home."""
    s3_endpoint: str = ""
    """The endpoint of an S3 other than Amazon's: ``https://s3.example.edu``."""
    s3_region: str = "us-east-1"
    s3_access_key_id: str = ""
    s3_secret_access_key: Secret = Secret()
    upload_bytes: Positive = 15_000_000
    """The size of one picture as it is uploaded."""
    uploads_per_hour: Positive = 100
    """Pictures that a member uploads within an hour."""
    member_bytes: Positive = 2_000_000_000
    """What the kept pictures of one member take."""


class Notifications(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How members are told outside the application."""

    push_delay_seconds: Annotated[float, msgspec.Meta(ge=0)] = 5.0
    """A push waits so long, and is not sent if its member sees meanwhile what it is about."""
    push_pause_seconds: Annotated[float, msgspec.Meta(ge=0)] = 60.0
    """Between two pushes to one device."""
    push_anywhere: bool = False
    """Whether push services may be without TLS and in private networks: a push service of one's own. Members
    choose the addresses, so with this they can make this machine send requests to its neighbours."""


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
    s3_secret_access_key: Secret = Secret()
    at: str = "02:30"
    """When the daily backup is made, verified and test-restored; local time."""
    full: str = "sun"
    """The day of the week of full backups; on other days they are incremental."""
    keep_days: Positive = 7
    """Any point in time of this many days can be restored."""
    keep_dumps_days: Positive = 30
    keep_least: Positive = 3
    """This many of each kind are kept, whatever their age."""


class Operations(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When routines run on their own, and who gets the reports."""

    scheduled: bool = True
    """Whether ops-service runs routines, backups and the round trip of messages on its own."""
    takes_lease: bool = True
    """Whether this ops-service may be the one that acts, of several with one database. ``chitlaq site
    render`` says so on nodes of operations."""
    timezone: str = ""
    """The time zone of the times below and of the status page, such as ``Europe/Vienna``.

    Default: this machine's; for the status page that of ``oncall.toml``, if it names one.
    """
    morning: str = "09:00"
    midday: str = "13:00"
    evening: str = "18:00"
    weekly: str = "mon 10:00"
    monthly: str = "1 10:30"
    history_days: Positive = 400
    report_to: tuple[str, ...] = ()
    """Email addresses that get the daily report."""
    notify: tuple[Secret, ...] = ()
    """Where its summary is also sent, as Apprise URLs: ``slack://…``, ``mailto://…``."""
    heartbeat_url: Secret = Secret()
    """A URL that is asked every minute while alerts arrive, and not asked when they do not: somebody outside
    must alarm when it falls silent. Another ChitLaq's (`chitlaq heartbeat expect`), or any service's."""
    public: bool = False
    """Let the operations console be reached through nginx, at ``/ops/``, not only on this machine."""


class StatusPage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What members are told at ``/status``."""

    automatic: bool = False
    """Publish the first and the last update of severe incidents that members feel without a person."""
    copy_to: str = ""
    """Where a copy of the page goes when it changes: a folder (``/mnt/web/status``), or
    ``s3://bucket/prefix`` with the endpoint and key of ``backups.s3_…``."""
    contact: str = ""
    """An email address for questions, which the page shows."""


class CheckThresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds of the checks: ``warning, critical``, in base units (seconds, bytes, ratio 0 to 1)."""

    load_per_core: Threshold = (1.5, 4.0)
    cpu_used_ratio: Threshold = (0.85, 0.97)
    memory_available_ratio: Threshold = (0.15, 0.05)
    disk_used_ratio: Threshold = (0.80, 0.90)
    disk_busy_ratio: Threshold = (0.85, 0.98)
    disk_sync_seconds: Threshold = (0.25, 1.0)
    """To write a page to the disk of CHITLAQ_HOME for good, as each commit does."""
    large_file_bytes: Threshold = (1e9, 1e10)
    network_used_ratio: Threshold = (0.70, 0.95)
    network_errors_ratio: Threshold = (0.001, 0.01)
    clock_offset_seconds: Threshold = (0.05, 0.5)
    reachable: tuple[str, ...] = ()
    """Hosts (``host:port``) that this machine must reach: a mail server, a mirror, the network."""
    component_memory_bytes: Threshold = (5e8, 1e9)
    answer_seconds: Threshold = (0.5, 2.0)
    """Duration of a check's own request: feed, search, health."""
    connections_ratio: Threshold = (0.80, 0.95)
    """Connections to PostgreSQL and clients of Valkey, relative to their maximum."""
    database_size_bytes: Threshold = (1e11, 5e11)
    standby_lag_bytes: Threshold = (1e8, 1e9)
    statement_seconds: Threshold = (1.0, 10.0)
    """Mean time of a statement, in pg_stat_statements."""
    lock_wait_seconds: Threshold = (5.0, 60.0)
    transaction_seconds: Threshold = (300.0, 3600.0)
    transaction_ids_ratio: Threshold = (0.25, 0.5)
    """Transaction IDs used since PostgreSQL's oldest row, of all; autovacuum begins to freeze at 0.1."""
    cache_hit_ratio: Threshold = (0.95, 0.80)
    dead_rows_ratio: Threshold = (0.2, 0.5)
    valkey_memory_ratio: Threshold = (0.85, 0.98)
    latency_p95_seconds: Threshold = (0.5, 2.0)
    query_p95_seconds: Threshold = (0.1, 1.0)
    websocket_p95_seconds: Threshold = (0.5, 2.0)
    round_trip_seconds: Threshold = (0.5, 2.0)
    """From sending a message to its arrival, and from writing a post to reading it, by synthetic members."""
    repaired_ratio: Threshold = (0.01, 0.1)
    """Messages that reached a process late, relative to those sent within a day."""
    server_errors_ratio: Threshold = (0.01, 0.05)
    refusals_ratio: Threshold = (0.3, 0.8)
    log_errors_a_day: Threshold = (10, 1000)
    slow_lines_a_day: Threshold = (50, 5000)
    ssh_failures_a_day: Threshold = (100, 5000)
    login_failures_ratio: Threshold = (0.5, 0.9)
    limited_ratio: Threshold = (0.01, 0.1)
    """Requests refused by one limit (429), relative to all requests."""
    certificate_days: Threshold = (14, 3)
    site_certificate_days: Threshold = (30, 7)
    """Certificates between the machines of a site, which somebody renews by hand."""
    backup_age_hours: Threshold = (26, 50)
    updates_waiting: Threshold = (50, 500)
    security_updates_waiting: Threshold = (1, 20)
    days_until_full: Threshold = (30, 7)
    picture_wait_seconds: Threshold = (300, 3600)
    """Since when an uploaded picture has waited to be rendered."""
    notification_wait_seconds: Threshold = (60, 600)
    """Since when it has waited to be found out what members are told."""
    digest_wait_seconds: Threshold = (1800, 7200)
    """Since when a digest has been due."""
    undelivered_ratio: Threshold = (0.1, 0.5)
    """Attempts at pushes, or at mails, of a day that failed."""
    status_page_seconds: Threshold = (120, 600)
    """The age of the status page, which is rewritten every 30 s."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything an operator can configure. Every default works on one machine."""

    database_url: SecretUrl = SecretUrl()
    """An external PostgreSQL (``postgresql://owner:secret@host/chitlaq``) instead of the embedded one; of
    several servers, all (``…@one,two/chitlaq?target_session_attrs=read-write``)."""
    reads_on_standbys_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """How late reads may be that tolerate it, such as search: then they go to a standby among the servers of
    ``database_url`` that is not later. 0: all go to the primary."""
    redis_url: SecretUrl = SecretUrl()
    """An external Valkey or Redis (``redis://host:6379/0``) instead of the embedded one; of a cluster,
    some of its nodes (``redis-cluster://host:6379?node=host2:6379``); or the Sentinels that know it
    (``redis-sentinel://host:26379?node=host2:26379&name=chitlaq``)."""
    prometheus_url: SecretUrl = SecretUrl()
    """An external Prometheus (``http://host:9090``) instead of the embedded one."""
    alertmanager_url: SecretUrl = SecretUrl()
    """An external Alertmanager (``http://host:9093``) instead of the embedded one."""
    otel_exporter_otlp_endpoint: SecretUrl = SecretUrl()
    """A collector for OTLP over HTTP (``http://host:4318``); if set, requests are traced."""
    host: str = "127.0.0.1"
    """The address that nginx listens on; ``0.0.0.0`` opens its ports to the network."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks (CIDR) of the TLS proxies in front of nginx, such as ``127.0.0.1``. Only they
    may say for whom they forward (``X-Forwarded-For``, ``X-Forwarded-Proto``)."""
    public_url: str = ""
    """The URL that members type; links in emails begin with it. Default: nginx on localhost."""
    demo: bool = True
    """Seed an empty embedded database with demo members; an external one is never seeded on its own."""
    ports: Ports = Ports()
    workers: WorkerCounts = WorkerCounts()
    programs: Programs = Programs()
    tls: Tls = Tls()
    acme: Acme = Acme()
    site: SiteTls = SiteTls()
    limits: RateLimits = RateLimits()
    cors: Cors = Cors()
    smtp: Smtp = Smtp()
    tokens: Tokens = Tokens()
    logs: Logs = Logs()
    monitoring: Monitoring = Monitoring()
    media: Media = Media()
    notifications: Notifications = Notifications()
    backups: Backups = Backups()
    operations: Operations = Operations()
    statuspage: StatusPage = StatusPage()
    checks: CheckThresholds = CheckThresholds()

    @property
    def base_url(self) -> str:
        return self.public_url.rstrip("/") or f"http://localhost:{self.port_of('nginx')}"

    def url_of(self, component: str, scheme: str = "http") -> str:
        """Where a component is reached from this machine, without its path."""
        address = self.address_of(component)
        host = "127.0.0.1" if address in {"0.0.0.0", "::"} else address  # noqa: S104
        return f"{scheme}://{endpoints.written(host, self.port_of(component))}"

    def address_of(self, component: str) -> str:
        """On which address a component listens to whoever comes: only nginx elsewhere than on loopback.

        On a machine of a site the services' ports at ``host`` are for the site's other machines, the
        gateway's too.
        """
        is_nginx = component == "nginx" or (
            component == "api-gateway" and not self.site.certificate
        )
        return self.host if is_nginx else "127.0.0.1"

    @property
    def console_url(self) -> str:
        """Where operators open the console: on this machine, unless it is public."""
        here = f"http://localhost:{self.port_of('ops-service')}"
        return f"{self.base_url if self.operations.public else here}/ops"

    @property
    def host_names(self) -> tuple[str, ...]:
        """The host names under which programs on this machine may ask its private ports."""
        public = urlsplit(self.public_url).hostname or ""
        # nginx would read wildcards and regular expressions.
        is_plain = re.fullmatch(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*", public)
        names = ("localhost", "127.0.0.1", "[::1]", *([public] if is_plain else []))
        return tuple(dict.fromkeys(names))

    def edge_certificate(self, home: Home) -> tuple[Path, Path]:
        """The files of nginx's certificate and of its key, which may be one."""
        if self.tls.certificate:
            return Path(self.tls.certificate).expanduser(), Path(self.tls.key).expanduser()
        made = home.certificates / "edge.pem"
        if self.acme.directory and home.acme_certificate.exists():
            made = home.acme_certificate
        return made, made

    @property
    def acme_names(self) -> tuple[str, ...]:
        """The names that an authority is asked to vouch for, each once, in order."""
        public = urlsplit(self.public_url).hostname
        return tuple(sorted({one.lower() for one in self.acme.names or (public or "",) if one}))

    def watched_certificates(self, home: Home) -> dict[str, str]:
        """The certificates that are watched: nginx's, where it has one, and what the settings name.

        Each with the host that it has to be for, where that does not follow from its own name.
        """
        own, _ = self.edge_certificate(home)
        is_here = bool(self.tls.certificate) or own.exists()
        url = urlsplit(self.public_url)
        # Of what the local authority made, the names are ours; a proxy in front has one for the public.
        is_anothers = bool(self.tls.certificate) or own == home.acme_certificate
        is_public = is_anothers and url.scheme == "https" and not self.trusted_proxies
        nginx = {str(own): (url.hostname or "") if is_public else ""} if is_here else {}
        return nginx | {name: "" for name in self.monitoring.certificates if name not in nginx}

    def backup_folder(self, home: Home) -> Path:
        """Where backups are stored."""
        if self.backups.folder:
            return Path(self.backups.folder).expanduser()
        usual = Path("/opt/backups/chitlaq")
        return usual if os.access(usual, os.W_OK) else home.root / "backups"

    def media_folder(self, home: Home) -> Path | None:
        """The folder of members' pictures; None if a bucket has them."""
        if self.media.url.startswith("s3://"):
            return None
        return Path(self.media.url).expanduser() if self.media.url else home.media

    def folders_elsewhere(self, home: Home) -> list[Path]:
        """The folders outside the home in which the stack writes."""
        places = (self.media.url, self.backups.copy_to, self.statuspage.copy_to)
        named = [Path(place).expanduser() for place in places if place and "://" not in place]
        every = dict.fromkeys([self.backup_folder(home), *named])
        return [folder for folder in every if not folder.is_relative_to(home.root)]

    def value_of(self, dotted: str) -> Any:
        """The value of a setting by its dotted name."""
        return attrgetter(dotted)(self)

    def port_of(self, component: str) -> int:
        """The TCP port of a component, by its name (``feed-service``: 3003)."""
        port: int = getattr(self.ports, inventory.COMPONENTS[component].setting)
        return port

    def optional_port_of(self, component: str) -> int | None:
        """The port that a component also takes if it is free (``ops-service``: 3000)."""
        port: int | None = getattr(
            self.ports, inventory.COMPONENTS[component].optional_setting, None
        )
        return port

    def elsewhere(self, service: str) -> list[str]:
        """The endpoints of a service that other machines of the site run; none if this one does."""
        named = (one.partition("@") for one in self.site.elsewhere)
        return [endpoint for name, _, endpoint in named if name == service]

    def workers_of(self, service: str) -> int:
        """How many processes of a service run, each with a socket: of one elsewhere, nginx has one."""
        if not self.embeds(service):
            return 1
        workers: int = getattr(self.workers, inventory.COMPONENTS[service].setting, 1)
        return workers

    def embeds(self, component: str) -> bool:
        """Whether the stack runs a component itself rather than use an external one."""
        if self.elsewhere(component):
            return False
        elsewhere = {
            "postgres": self.database_url,
            "redis": self.redis_url,
            "prometheus": self.prometheus_url,
            "alertmanager": self.alertmanager_url,
        }
        is_observer = inventory.COMPONENTS[component].kind == "observer"
        return not elsewhere.get(component) and (self.monitoring.embedded or not is_observer)
