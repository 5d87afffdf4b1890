"""What each node of a site reads: Patroni, etcd, Valkey, Sentinel, ChitLaq itself, and systemd.

Patroni's and etcd's files are written as JSON, which is valid YAML, and indented for people.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from chitlaq import inventory
from chitlaq.core.data import postgres
from chitlaq.core.host import endpoints, files, quoting
from chitlaq.core.installation import secrets
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import BACKUP, SUPERUSER, Secrets
from chitlaq.stack.site.nodes import Node, Site

POSTGRES, PATRONI, ETCD, ETCD_PEERS, VALKEY, SENTINEL = 5432, 8008, 2379, 2380, 6379, 26379
REPLICATION = "replicator"
TARGETS = "prometheus-targets.json"
_READABLE = {"post-bootstrap": 0o700, TARGETS: 0o644}
"""Modes of files without secrets: one is run, and one is read by Prometheus as whoever it runs."""

TTL_SECONDS = 20
"""A primary that has not renewed its lease for so long is none; Patroni takes no less."""
LOOP_SECONDS = 3
RETRY_SECONDS = 5
SENTINEL_MILLISECONDS = 3000
"""A Valkey that has not answered for so long is down."""

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

_UNIT = """\
# {title} of the site {site}: docs/several-machines.md.
[Unit]
Description={title} of {site}
After=network-online.target
Wants=network-online.target

[Service]
User={user}
ExecStart={command}
StateDirectory=chitlaq-site/{folder}
StateDirectoryMode=0700
Restart=always
RestartSec=1
{more}
[Install]
WantedBy=multi-user.target
"""


class Places(NamedTuple):
    """Where a node has its files and its data."""

    configuration: str = CONFIGURATION
    data: str = DATA


ON_NODES = Places()


def render(site: Site, folder: Path) -> list[Path]:
    """Write a folder for each node, and the secrets of all, which are kept when they are there.

    Raises:
        OSError: it cannot be written.
    """
    return [render_node(site, folder, name) for name in site.nodes]


def render_node(site: Site, folder: Path, name: str, places: Places = ON_NODES) -> Path:
    """Write the folder of one node.

    Raises:
        OSError: it cannot be written.
    """
    home = Home(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    secrets.ensure(home)
    own = folder / "nodes" / name
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(parents=True)
    for path, text in node_files(site, name, Secrets(home.secrets), places).items():
        files.write(own / path, text, mode=_READABLE.get(path, 0o600))
    if "application" in site.nodes[name].roles:
        shutil.copytree(home.secrets, own / "secrets")
    return own


def node_files(site: Site, name: str, known: Secrets, places: Places) -> Mapping[str, str]:
    """Return the files of one node by their names."""
    node, found = site.nodes[name], dict[str, str]()
    if "etcd" in node.roles:
        found["etcd.yml"] = _json(_etcd(site, name, places))
        found["chitlaq-etcd.service"] = _unit(
            site,
            "etcd",
            "etcd",
            "etcd",
            f"/usr/bin/etcd --config-file {places.configuration}/etcd.yml",
        )
    if "postgres" in node.roles:
        found["patroni.yml"] = _json(_patroni(site, name, known, places))
        found["post-bootstrap"] = (
            f'#!/bin/sh\nexec {site.postgres_programs}/psql "$1" -c "CREATE DATABASE {postgres.DATABASE}"\n'
        )
        found["chitlaq-patroni.service"] = _unit(
            site, "Patroni", "postgres", "postgres",
            f"/usr/bin/patroni {places.configuration}/patroni.yml",
            # Patroni stops PostgreSQL itself.
            "KillMode=process\nTimeoutSec=60\nExecReload=/bin/kill -HUP $MAINPID\n",
        )  # fmt: skip
    if "valkey" in node.roles:
        found["valkey.conf"] = _valkey(site, name, known, places)
        found["chitlaq-valkey.service"] = _unit(
            site, "Valkey", "valkey", "valkey",
            f"/usr/bin/valkey-server {places.data}/valkey/valkey.conf",
            f"ExecStartPre=/bin/cp -n {places.configuration}/valkey.conf {places.data}/valkey/\n",
        )  # fmt: skip
    if "sentinel" in node.roles:
        found["sentinel.conf"] = _sentinel(site, name, known, places)
        found["chitlaq-sentinel.service"] = _unit(
            site, "Sentinel", "valkey", "sentinel",
            f"/usr/bin/valkey-server {places.data}/sentinel/sentinel.conf --sentinel",
            f"ExecStartPre=/bin/cp -n {places.configuration}/sentinel.conf {places.data}/sentinel/\n",
        )  # fmt: skip
    if "application" in node.roles:
        found["chitlaq.toml"] = _settings(site, node, known, places)
    if "operations" in node.roles:
        found[TARGETS] = _json(targets(site))
    return found


def database_url(site: Site, known: Secrets) -> str:
    """Return what ``DATABASE_URL`` is on application nodes."""
    hosts = ",".join(_at(node, POSTGRES) for node in site.having("postgres").values())
    password = quote(known.postgres_password(SUPERUSER), safe="")
    return (
        f"postgresql://{SUPERUSER}:{password}@{hosts}/{postgres.DATABASE}"
        "?target_session_attrs=read-write"
    )


def redis_url(site: Site, known: Secrets) -> str:
    """Return what ``REDIS_URL`` is on application nodes."""
    first, *others = (_at(node, SENTINEL) for node in site.having("sentinel").values())
    nodes = "".join(f"node={other}&" for other in others)
    password = quote(known.redis_password, safe="")
    return f"redis-sentinel://:{password}@{first}?{nodes}name={site.name}"


def targets(site: Site) -> list[dict[str, Any]]:
    """Return what Prometheus scrapes beside the node of operations, as its ``file_sd_configs`` read it."""
    others = {
        name: node
        for name, node in site.having("application").items()
        if "operations" not in node.roles
    }
    scraped = [
        ("patroni", site.having("postgres"), PATRONI),
        ("etcd", site.having("etcd"), ETCD),
        *((row.job, others, row.port) for row in inventory.SERVICES if row.is_for_members),
    ]
    return [
        {"labels": {"job": job}, "targets": [_at(node, port) for node in nodes.values()]}
        for job, nodes, port in scraped
        if nodes
    ]


def _at(node: Node, port: int) -> str:
    return endpoints.written(node.address, port)


def _etcd(site: Site, name: str, places: Places) -> dict[str, Any]:
    node = site.nodes[name]
    clients, peers = f"http://{_at(node, ETCD)}", f"http://{_at(node, ETCD_PEERS)}"
    members = site.having("etcd").items()
    return {
        "name": name,
        "data-dir": f"{places.data}/etcd/data",
        "listen-client-urls": clients,
        "advertise-client-urls": clients,
        "listen-peer-urls": peers,
        "initial-advertise-peer-urls": peers,
        "initial-cluster": ",".join(
            f"{one}=http://{_at(other, ETCD_PEERS)}" for one, other in members
        ),
        "initial-cluster-token": site.name,
        "initial-cluster-state": "new",
        # Patroni speaks to it; etcd 3.4 has it off when it reads a file.
        "enable-grpc-gateway": True,
        "auto-compaction-mode": "periodic",
        "auto-compaction-retention": "1h",
    }


def _patroni(site: Site, name: str, known: Secrets, places: Places) -> dict[str, Any]:
    node = site.nodes[name]
    role = known.postgres_password(SUPERUSER)
    replication = {"username": REPLICATION, "password": known.postgres_password(BACKUP)}
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
        "restapi": {"listen": _at(node, PATRONI), "connect_address": _at(node, PATRONI)},
        "etcd3": {"hosts": [_at(one, ETCD) for one in site.having("etcd").values()]},
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
            "listen": _at(node, POSTGRES),
            "connect_address": _at(node, POSTGRES),
            "data_dir": f"{places.data}/postgres/data",
            "bin_dir": site.postgres_programs,
            "pgpass": f"{places.data}/postgres/pgpass",
            "authentication": {
                "superuser": {"username": SUPERUSER, "password": role},
                "replication": replication,
            },
            # A standby is copied at once, not when the next checkpoint happens to end.
            "basebackup": [{"checkpoint": "fast"}],
            "parameters": {"unix_socket_directories": f"{places.data}/postgres"},
            "pg_hba": [
                *(
                    f"host replication {REPLICATION} {_network(one)} scram-sha-256"
                    for one in databases
                ),
                *(f"host all all {_network(one)} scram-sha-256" for one in everyone),
            ],
        },
    }


def _network(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"


def _valkey(site: Site, name: str, known: Secrets, places: Places) -> str:
    node = site.nodes[name]
    first, primary = next(iter(site.having("valkey").items()))
    lines = [
        f"bind {node.address}",
        f"port {VALKEY}",
        f"dir {places.data}/valkey",
        f"requirepass {quoting.valkey(known.redis_password)}",
        f"primaryauth {quoting.valkey(known.redis_password)}",
        f"replica-announce-ip {node.address}",
        "maxmemory 1gb",
        "maxmemory-policy allkeys-lru",
        "zset-max-listpack-entries 300",
        'save ""',
        "appendonly no",
        # Sentinel changes it, and writes it here.
        *([] if name == first else [f"replicaof {primary.address} {VALKEY}"]),
    ]
    return "\n".join(lines) + "\n"


def _sentinel(site: Site, name: str, known: Secrets, places: Places) -> str:
    primary = next(iter(site.having("valkey").values()))
    quorum = len(site.having("sentinel")) // 2 + 1
    password = quoting.valkey(known.redis_password)
    lines = [
        f"bind {site.nodes[name].address}",
        f"port {SENTINEL}",
        f"dir {places.data}/sentinel",
        f"requirepass {password}",
        f"sentinel sentinel-pass {password}",
        f"sentinel announce-ip {site.nodes[name].address}",
        f"sentinel monitor {site.name} {primary.address} {VALKEY} {quorum}",
        f"sentinel auth-pass {site.name} {password}",
        f"sentinel down-after-milliseconds {site.name} {SENTINEL_MILLISECONDS}",
        f"sentinel failover-timeout {site.name} 10000",
    ]
    return "\n".join(lines) + "\n"


def _settings(site: Site, node: Node, known: Secrets, places: Places) -> str:
    is_watching = "operations" in node.roles
    rows: list[tuple[str, object]] = [
        ("database_url", database_url(site, known)),
        ("redis_url", redis_url(site, known)),
        ("host", node.address),
        ("public_url", site.public_url),
        ("monitoring.embedded", is_watching),
        *([("monitoring.targets", f"{places.configuration}/{TARGETS}")] if is_watching else []),
        # One ops-service runs the routines; the others only answer.
        ("operations.scheduled", is_watching),
        ("media.url", site.media_url),
        *([("media.s3_endpoint", site.s3_endpoint)] if site.s3_endpoint else []),
    ]
    # A JSON string or boolean is one of TOML.
    return "".join(f"{dotted} = {json.dumps(value)}\n" for dotted, value in rows)


def _unit(site: Site, title: str, user: str, folder: str, command: str, more: str = "") -> str:
    return _UNIT.format(
        title=title, site=site.name, user=user, folder=folder, command=command, more=more
    )


def _json(document: object) -> str:
    return json.dumps(document, indent=2) + "\n"
