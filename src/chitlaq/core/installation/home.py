"""The folders of one installation, under ``CHITLAQ_HOME``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from chitlaq.core.errors import OperatorError

# A Unix socket's path has at most 107 bytes; ours take up to 40 below the home.
MAX_HOME_BYTES = 66
# Variables of nginx, lists of PATH and of PostgreSQL's hosts, patterns of files.
UNUSABLE = "$:,*?[]"


@dataclass(frozen=True, slots=True)
class Home:
    """The folders of one installation. Reading a path creates nothing."""

    root: Path

    @classmethod
    def from_environment(cls) -> Home:
        """Return the home named by ``CHITLAQ_HOME``, or this user's default.

        The default is ``/var/lib/chitlaq`` for root, else ``chitlaq`` in the XDG data folder.

        Raises:
            OperatorError: the path is too long for the Unix sockets that live under it, or has what the
                configuration of a server cannot say.
        """
        named = os.environ.get("CHITLAQ_HOME")
        if named:
            root = Path(named).expanduser().absolute()
        elif os.geteuid() == 0:
            root = Path("/var/lib/chitlaq")
        else:
            data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
            root = Path(data) / "chitlaq"
        if len(os.fsencode(root)) > MAX_HOME_BYTES:
            raise OperatorError(
                f"CHITLAQ_HOME is {len(os.fsencode(root))} bytes long ({root}), and Unix sockets"
                f" under it allow {MAX_HOME_BYTES}: choose a shorter path."
            )
        if wrong := sorted({one for one in str(root) if one in UNUSABLE or not one.isprintable()}):
            raise OperatorError(
                f"CHITLAQ_HOME has {' '.join(map(repr, wrong))} in its path ({str(root)!r}), which nginx,"
                " PostgreSQL or Prometheus would read as something else: choose another folder."
            )
        return cls(root)

    @property
    def settings_file(self) -> Path:
        return self.root / "chitlaq.toml"

    @property
    def oncall_file(self) -> Path:
        """Who is told of incidents, and how; it contains secrets."""
        return self.root / "oncall.toml"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def postgres_data(self) -> Path:
        return self.root / "postgres"

    @property
    def restoring_data(self) -> Path:
        """Where a restore prepares the new data directory."""
        return self.root / "postgres.restoring"

    @property
    def postgres_socket(self) -> Path:
        """The folder of PostgreSQL's Unix socket, writable by PostgreSQL's own user."""
        return self.run / "postgres"

    @property
    def containers(self) -> Path:
        """The file that says that containers run this home's components."""
        return self.run / "containers"

    @property
    def redis_data(self) -> Path:
        return self.root / "redis"

    @property
    def redis_socket(self) -> Path:
        return self.run / "redis.sock"

    @property
    def media(self) -> Path:
        """Members' pictures, unless a setting names another place."""
        return self.root / "media"

    @property
    def uploads(self) -> Path:
        """Where a picture lies, without a name, while it is received and read; nothing stays there."""
        return self.root / "uploads"

    @property
    def nginx(self) -> Path:
        return self.root / "nginx"

    @property
    def certificates(self) -> Path:
        """The local authority and the certificate that it made for nginx; only their owner reads the keys."""
        return self.root / "certificates"

    @property
    def authority(self) -> Path:
        """What a browser is told to trust: the authority's certificate alone."""
        return self.certificates / "authority.crt"

    @property
    def acme_certificate(self) -> Path:
        """The key, the certificate and its chain that nginx has by ACME, once it has one."""
        return self.certificates / "acme.pem"

    @property
    def acme(self) -> Path:
        """What renewal by ACME keeps: the account's key at each authority, and its state."""
        return self.certificates / "acme"

    @property
    def nginx_read(self) -> Path:
        """What changes when nginx in a container must read its configuration and certificate anew."""
        return self.nginx / "read"

    @property
    def acme_challenges(self) -> Path:
        """What nginx answers to an authority (HTTP-01): a file for each challenge, while that lasts."""
        return self.nginx / "challenges"

    @property
    def nginx_sockets(self) -> Path:
        """The folder of the sockets on which nginx trusts what it is told; only its own user enters."""
        return self.nginx / "sockets"

    def nginx_socket(self, name: str) -> Path:
        """One of these: of a listener's clients, or of a service that another machine runs."""
        return self.nginx_sockets / f"{name}.sock"

    @property
    def nginx_probe(self) -> Path:
        """Our probes' own way to nginx: floods of clients do not reach it."""
        return self.nginx_sockets / "probe.sock"

    @property
    def edge_key(self) -> Path:
        """The part of nginx's configuration that holds the key of tokens' seals."""
        return self.nginx / "edge-key.conf"

    @property
    def expected_requests(self) -> Path:
        """The requests that nginx accepts: the gateway initializes their counters to zero."""
        return self.nginx / "expected-requests.json"

    @property
    def packages(self) -> Path:
        """Programs unpacked from the distribution's packages, without installing these."""
        return self.root / "packages"

    @property
    def nginx_package(self) -> Path:
        """The distribution's nginx, unpacked; replaced as a whole."""
        return self.root / "nginx-package"

    @property
    def prometheus(self) -> Path:
        return self.root / "prometheus"

    @property
    def alertmanager(self) -> Path:
        return self.root / "alertmanager"

    @property
    def node_exporter(self) -> Path:
        """What node-exporter reads; ``texts`` is its textfile collector's folder."""
        return self.root / "node-exporter"

    @property
    def monitoring_proxy(self) -> Path:
        return self.root / "monitoring-proxy"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def access_log(self) -> Path:
        """nginx's access log, one JSON object per request; the gateway counts from it."""
        return self.logs / "nginx-access.log"

    @property
    def new_access_lines(self) -> Path:
        """Where nginx writes it under a supervisor, which moves the lines: in memory, or not at all."""
        return self.run / "access" / "nginx.log"

    @property
    def ops(self) -> Path:
        """What operations keep: their database, and reports."""
        return self.root / "ops"

    @property
    def ops_database(self) -> Path:
        """The file, in a folder that has nothing but it and its log."""
        return self.ops / "database" / "operations.sqlite"

    @property
    def last_roster(self) -> Path:
        """The last valid `oncall_file`."""
        return self.ops / "oncall.toml"

    def damaged_ops_databases(self) -> list[Path]:
        """Return the folders of those that ops-service set aside, oldest first; they end in the time."""
        return sorted(self.ops.glob("database.damaged-*Z"))

    @property
    def status_page(self) -> Path:
        """The files of the status page, which nginx serves as they are."""
        return self.root / "status-page"

    @property
    def backup(self) -> Path:
        """Local data of backups: Barman's configuration and scratch servers."""
        return self.root / "backup"

    @property
    def pending_restore(self) -> Path:
        """The plan of a restore that is running or was interrupted."""
        return self.backup / "restore.json"

    @property
    def run(self) -> Path:
        """Sockets, process ids and live metrics; nothing here outlives the stack."""
        return self.root / "run"

    @property
    def control_socket(self) -> Path:
        return self.run / "supervisor.sock"

    def service_socket(self, service: str, worker: int) -> Path:
        """The Unix socket on which one worker of a service listens for the gateway."""
        return self.run / f"{service}.{worker}.sock"

    def optional_port(self, service: str) -> Path:
        """Holds the process ID of the service's worker that listens on its optional port."""
        return self.run / f"{service}.port"

    @property
    def all_metrics(self) -> Path:
        """The folder of the services' metrics; under a supervisor it is in memory."""
        return self.run / "metrics"

    def metrics(self, service: str) -> Path:
        """The folder in which a service's processes share their metrics."""
        return self.all_metrics / service
