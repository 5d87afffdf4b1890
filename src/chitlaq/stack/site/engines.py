"""What the engines of a site read: etcd, Patroni with PostgreSQL, Valkey, Sentinel, and node-exporter.

All of it is TLS between nodes, and both sides show a certificate of the site's own authority. Each server has
a copy of its node's that its own user can read.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from chitlaq import inventory
from chitlaq.core.host import endpoints, quoting
from chitlaq.core.installation.secrets import BACKUP, SUPERUSER, Secrets
from chitlaq.stack.site.nodes import Node, Role, Site

POSTGRES, PATRONI, ETCD, ETCD_PEERS, VALKEY, SENTINEL = 5432, 8008, 2379, 2380, 6379, 26379
NODE_EXPORTER = inventory.COMPONENTS["node-exporter"].port
REPLICATION = "replicator"
AUTHORITY = "authority.pem"
CERTIFICATES: Mapping[Role, str] = {
    "etcd": "etcd.pem",
    "postgres": "postgres.pem",
    "valkey": "valkey.pem",
    "sentinel": "valkey.pem",
    "valkey-cluster": "valkey.pem",
    "application": "chitlaq.pem",
}
"""The file of a node's certificate and key, by who reads it."""
EXPORTER_CERTIFICATE = "node-exporter.pem"
"""The same for node-exporter, which each node has."""

TTL_SECONDS = 20
"""A primary that has not renewed its lease for so long is none; Patroni takes no less."""
LOOP_SECONDS = 3
RETRY_SECONDS = 5
DOWN_MILLISECONDS = 3000
"""A Valkey that has not answered for so long is down, for Sentinel and in a cluster."""

CONFIGURATION = "/etc/chitlaq"
"""Where a node's files are put."""
DATA = "/var/lib/chitlaq-site"
"""Where its servers keep their data."""

PARAMETERS = {
    "max_connections": 300,
    "wal_level": "replica",
    "wal_log_hints": "on",
    # A standby asks a primary again that was not there: five seconds are a quarter of a failover.
    "wal_retrieve_retry_interval": "1s",
    "password_encryption": "scram-sha-256",
    "shared_preload_libraries": "pg_stat_statements",
    "jit": "off",
    # What members write stays out of the log.
    "log_parameter_max_length": 0,
    "log_error_verbosity": "terse",
}


class Places(NamedTuple):
    """Where a node has its files and its data."""

    configuration: str = CONFIGURATION
    data: str = DATA

    @property
    def authority(self) -> str:
        """The file of the certificate of the site's authority."""
        return f"{self.configuration}/{AUTHORITY}"

    def certificate(self, role: Role) -> str:
        """The file of this node's certificate and key, for who has a role."""
        return f"{self.configuration}/{CERTIFICATES[role]}"


ON_NODES = Places()


def at(node: Node, port: int) -> str:
    """Return where a node's server listens."""
    return endpoints.written(node.address, port)


def libpq(places: Places, role: Role) -> Mapping[str, str]:
    """How PostgreSQL's clients check the server, and show who they are."""
    own = places.certificate(role)
    return {
        "sslmode": "verify-full",
        "sslrootcert": places.authority,
        "sslcert": own,
        "sslkey": own,
    }


def etcd(site: Site, name: str, places: Places) -> dict[str, Any]:
    """Return the configuration of a node's etcd."""
    node = site.nodes[name]
    clients, peers = f"https://{at(node, ETCD)}", f"https://{at(node, ETCD_PEERS)}"
    own = places.certificate("etcd")
    security = {
        "cert-file": own,
        "key-file": own,
        "trusted-ca-file": places.authority,
        "client-cert-auth": True,
    }
    members = site.having("etcd").items()
    return {
        "name": name,
        "data-dir": f"{places.data}/etcd/data",
        "listen-client-urls": clients,
        "advertise-client-urls": clients,
        "listen-peer-urls": peers,
        "initial-advertise-peer-urls": peers,
        "initial-cluster": ",".join(
            f"{one}=https://{at(other, ETCD_PEERS)}" for one, other in members
        ),
        "client-transport-security": security,
        "peer-transport-security": security,
        "initial-cluster-token": site.name,
        "initial-cluster-state": "new",
        # Patroni speaks to it; etcd 3.4 has it off when it reads a file.
        "enable-grpc-gateway": True,
        "auto-compaction-mode": "periodic",
        "auto-compaction-retention": "1h",
    }


def patroni(site: Site, name: str, known: Secrets, places: Places) -> dict[str, Any]:
    """Return the configuration of a node's Patroni, and of the PostgreSQL that it runs."""
    node = site.nodes[name]
    certificate, tls = places.certificate("postgres"), libpq(places, "postgres")
    superuser = {"username": SUPERUSER, "password": known.postgres_password(SUPERUSER), **tls}
    replication = {"username": REPLICATION, "password": known.postgres_password(BACKUP), **tls}
    # From the node itself, by any of its addresses.
    own = "127.0.0.1"
    databases = [own, *(one.address for one in site.having("postgres").values())]
    everyone = [own, *(one.address for one in site.nodes.values())]
    dynamic = {
        "ttl": TTL_SECONDS,
        "loop_wait": LOOP_SECONDS,
        "retry_timeout": RETRY_SECONDS,
        # A primary that has crashed is not waited for: the synchronous standby has everything.
        "primary_start_timeout": 0,
        "synchronous_mode": True,
        # Without etcd, the primary goes on as long as all others are reachable and agree.
        "failsafe_mode": True,
        "postgresql": {"use_pg_rewind": True, "use_slots": True, "parameters": PARAMETERS},
    }
    return {
        "scope": site.name,
        "name": name,
        "restapi": {
            "listen": at(node, PATRONI),
            "connect_address": at(node, PATRONI),
            "certfile": certificate,
            "cafile": places.authority,
            "verify_client": "required",
        },
        # As whom Patroni and patronictl ask the others.
        "ctl": {"certfile": certificate, "cacert": places.authority},
        "etcd3": {
            "hosts": [at(one, ETCD) for one in site.having("etcd").values()],
            "protocol": "https",
            "cacert": places.authority,
            "cert": certificate,
            "key": certificate,
        },
        "bootstrap": {
            "dcs": dynamic,
            "initdb": [
                {"encoding": "UTF8"},
                {"locale-provider": "builtin"},
                {"builtin-locale": "C.UTF-8"},
                {"locale": "C"},
                "data-checksums",
            ],
            "post_bootstrap": f"{places.configuration}/post-bootstrap",
        },
        "postgresql": {
            "listen": at(node, POSTGRES),
            "connect_address": at(node, POSTGRES),
            "data_dir": f"{places.data}/postgres/data",
            "bin_dir": site.postgres_programs,
            "pgpass": f"{places.data}/postgres/pgpass",
            "authentication": {"superuser": superuser, "replication": replication},
            # A standby is copied at once, not when the next checkpoint happens to end.
            "basebackup": [{"checkpoint": "fast"}],
            "parameters": {
                "unix_socket_directories": f"{places.data}/postgres",
                "ssl": "on",
                "ssl_cert_file": certificate,
                "ssl_key_file": certificate,
                "ssl_ca_file": places.authority,
                "ssl_min_protocol_version": "TLSv1.3",
            },
            "pg_hba": [
                f"hostssl {who} {_network(one)} scram-sha-256 clientcert=verify-ca"
                for who, addresses in (
                    (f"replication {REPLICATION}", databases),
                    ("all all", everyone),
                )
                for one in addresses
            ],
        },
    }


def _network(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"


def node_exporter(places: Places) -> dict[str, Any]:
    """Return how a node's node-exporter serves what it says of the machine."""
    own = f"{places.configuration}/{EXPORTER_CERTIFICATE}"
    demand = {
        "cert_file": own,
        "key_file": own,
        "client_auth_type": "RequireAndVerifyClientCert",
        "client_ca_file": places.authority,
        "min_version": "TLS13",
    }
    return {"tls_server_config": demand}


def valkey(site: Site, name: str, known: Secrets, places: Places) -> str:
    """Return the configuration of a node's Valkey, as it is before the first failover."""
    node = site.nodes[name]
    first, primary = next(iter(site.having("valkey").items()))
    return _valkey(
        node,
        known,
        places,
        f"replica-announce-ip {node.address}",
        # Sentinel changes it, and writes it here.
        *([] if name == first else [f"replicaof {primary.address} {VALKEY}"]),
    )


def valkey_in_cluster(site: Site, name: str, known: Secrets, places: Places) -> str:
    """Return the configuration of a node's Valkey that is one of a cluster."""
    node = site.nodes[name]
    return _valkey(
        node,
        known,
        places,
        "cluster-enabled yes",
        "tls-cluster yes",
        f"cluster-announce-ip {node.address}",
        f"cluster-node-timeout {DOWN_MILLISECONDS}",
        # What a lost node had is read from PostgreSQL; what the others have is still there.
        "cluster-require-full-coverage no",
    )


def _valkey(node: Node, known: Secrets, places: Places, *more: str) -> str:
    password = quoting.valkey(known.redis_password)
    lines = [
        f"bind {node.address}",
        *_valkey_tls(places, VALKEY, "valkey"),
        f"dir {places.data}/valkey",
        f"requirepass {password}",
        f"primaryauth {password}",
        "maxmemory 1gb",
        "maxmemory-policy allkeys-lru",
        "zset-max-listpack-entries 300",
        'save ""',
        "appendonly no",
        # Until its only replica has a copy, a primary has no successor.
        "repl-diskless-sync-delay 0",
        *more,
    ]
    return "\n".join(lines) + "\n"


def cluster_of_valkey(site: Site, known: Secrets, places: Places) -> str:
    """Return the script that makes a cluster of its nodes, once, when all of them run."""
    own = places.certificate("valkey-cluster")
    nodes = " ".join(f"{one.address}:{VALKEY}" for one in site.having("valkey-cluster").values())
    return f"""\
#!/bin/sh
# Once, when Valkey runs on all nodes: docs/several-machines.md.
REDISCLI_AUTH={shlex.quote(known.redis_password)} exec valkey-cli \\
  --tls --cacert {places.authority} --cert {own} --key {own} \\
  --cluster create {nodes} --cluster-replicas 1 --cluster-yes
"""


def _valkey_tls(places: Places, port: int, role: Role) -> Sequence[str]:
    """Clients must show a certificate; others of its kind are asked over TLS, too."""
    own = places.certificate(role)
    return (
        "port 0",
        f"tls-port {port}",
        f"tls-cert-file {own}",
        f"tls-key-file {own}",
        f"tls-ca-cert-file {places.authority}",
        "tls-auth-clients yes",
        "tls-replication yes",
    )


def sentinel(site: Site, name: str, known: Secrets, places: Places) -> str:
    """Return the configuration of a node's Sentinel, which writes there what it learns."""
    primary = next(iter(site.having("valkey").values()))
    quorum = len(site.having("sentinel")) // 2 + 1
    password = quoting.valkey(known.redis_password)
    lines = [
        f"bind {site.nodes[name].address}",
        *_valkey_tls(places, SENTINEL, "sentinel"),
        f"dir {places.data}/sentinel",
        f"requirepass {password}",
        f"sentinel sentinel-pass {password}",
        f"sentinel announce-ip {site.nodes[name].address}",
        f"sentinel monitor {site.name} {primary.address} {VALKEY} {quorum}",
        f"sentinel auth-pass {site.name} {password}",
        f"sentinel down-after-milliseconds {site.name} {DOWN_MILLISECONDS}",
        f"sentinel failover-timeout {site.name} 10000",
    ]
    return "\n".join(lines) + "\n"
