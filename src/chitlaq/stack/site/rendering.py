"""What each node of a site reads: its engines, ChitLaq itself, and systemd.

Patroni's and etcd's files are written as JSON, which is valid YAML, and indented for people.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from chitlaq import inventory
from chitlaq.core.data import postgres
from chitlaq.core.host import files
from chitlaq.core.installation import secrets
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import SUPERUSER, Secrets
from chitlaq.stack.site import certificates, engines
from chitlaq.stack.site.engines import ON_NODES, Places
from chitlaq.stack.site.nodes import Role, Site

TARGETS = "prometheus-targets.json"
CREATES_CLUSTER = "create-valkey-cluster"
_READABLE = {
    "post-bootstrap": 0o700,
    CREATES_CLUSTER: 0o700,
    TARGETS: 0o644,
    engines.AUTHORITY: 0o644,
}
"""Modes of files that are run, or read by whoever it is."""

LATE_SECONDS = 3.0
"""A standby that is later answers no reads."""

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
NoNewPrivileges=yes
RestrictSUIDSGID=yes
LockPersonality=yes
{more}
[Install]
WantedBy=multi-user.target
"""
_CONFINED = """\
ProtectSystem=full
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
"""
"""What a server does not need of its machine; node-exporter looks at all of it."""


def render(site: Site, folder: Path) -> list[Path]:
    """Write a folder for each node, and the secrets of all, which are kept when they are there.

    Certificates are made anew when two thirds of their life are over.

    Raises:
        OperatorError: the site's authority cannot be used any longer.
        OSError: it cannot be written.
    """
    return [render_node(site, folder, name) for name in site.nodes]


def render_node(site: Site, folder: Path, name: str, places: Places = ON_NODES) -> Path:
    """Write the folder of one node.

    Raises:
        OperatorError: the site's authority cannot be used any longer.
        OSError: it cannot be written.
    """
    home = Home(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    secrets.ensure(home)
    issued = certificates.ensure(site, home.certificates, name)
    own = folder / "nodes" / name
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(parents=True)
    found = dict(node_files(site, name, Secrets(home.secrets), places))
    found[engines.AUTHORITY] = issued.authority
    found[engines.EXPORTER_CERTIFICATE] = issued.certificate
    for role, path in engines.CERTIFICATES.items():
        if role in site.nodes[name].roles:
            found[path] = issued.certificate
    for path, text in found.items():
        files.write(own / path, text, mode=_READABLE.get(path, 0o600))
    if "application" in site.nodes[name].roles:
        shutil.copytree(home.secrets, own / "secrets")
    return own


def node_files(site: Site, name: str, known: Secrets, places: Places) -> Mapping[str, str]:
    """Return the files of one node by their names."""
    node, found = site.nodes[name], dict[str, str]()
    if "etcd" in node.roles:
        found["etcd.yml"] = _json(engines.etcd(site, name, places))
        found["chitlaq-etcd.service"] = _unit(
            site,
            "etcd",
            "etcd",
            "etcd",
            f"/usr/bin/etcd --config-file {places.configuration}/etcd.yml",
            _CONFINED,
        )
    if "postgres" in node.roles:
        found["patroni.yml"] = _json(engines.patroni(site, name, known, places))
        found["post-bootstrap"] = (
            f'#!/bin/sh\nexec {site.postgres_programs}/psql "$1" -c "CREATE DATABASE {postgres.DATABASE}"\n'
        )
        found["chitlaq-patroni.service"] = _unit(
            site, "Patroni", "postgres", "postgres",
            f"/usr/bin/patroni {places.configuration}/patroni.yml",
            # Patroni stops PostgreSQL itself.
            f"{_CONFINED}KillMode=process\nTimeoutSec=60\nExecReload=/bin/kill -HUP $MAINPID\n",
        )  # fmt: skip
    is_clustered = "valkey-cluster" in node.roles
    if is_clustered and name == next(iter(site.having("valkey-cluster"))):
        found[CREATES_CLUSTER] = engines.cluster_of_valkey(site, known, places)
    if is_clustered:
        found["valkey.conf"] = engines.valkey_in_cluster(site, name, known, places)
        found["chitlaq-valkey.service"] = _unit(
            site, "Valkey", "valkey", "valkey",
            # What it learns is in nodes.conf, so it reads what was rendered last.
            f"/usr/bin/valkey-server {places.configuration}/valkey.conf",
            _CONFINED,
        )  # fmt: skip
    elif "valkey" in node.roles:
        found["valkey.conf"] = engines.valkey(site, name, known, places)
        found["chitlaq-valkey.service"] = _unit(
            site, "Valkey", "valkey", "valkey",
            f"/usr/bin/valkey-server {places.data}/valkey/valkey.conf",
            # Sentinel writes into the copy who is whose replica.
            _CONFINED + f"ExecStartPre=/bin/cp -n {places.configuration}/valkey.conf {places.data}/valkey/\n",
        )  # fmt: skip
    if "sentinel" in node.roles:
        found["sentinel.conf"] = engines.sentinel(site, name, known, places)
        found["chitlaq-sentinel.service"] = _unit(
            site, "Sentinel", "valkey", "sentinel",
            f"/usr/bin/valkey-server {places.data}/sentinel/sentinel.conf --sentinel",
            _CONFINED
            + f"ExecStartPre=/bin/cp -n {places.configuration}/sentinel.conf {places.data}/sentinel/\n",
        )  # fmt: skip
    found["node-exporter.yml"] = _json(engines.node_exporter(places))
    found["chitlaq-node-exporter.service"] = _unit(
        site, "node-exporter", "prometheus", "node-exporter",
        f"/usr/bin/prometheus-node-exporter --web.listen-address={engines.at(node, engines.NODE_EXPORTER)}"
        f" --web.config.file={places.configuration}/node-exporter.yml",
    )  # fmt: skip
    if "application" in node.roles:
        found["chitlaq.toml"] = _settings(site, name, known, places)
    if "operations" in node.roles:
        found[TARGETS] = _json(targets(site, name))
    return found


def database_url(site: Site, known: Secrets, places: Places = ON_NODES) -> str:
    """Return what ``DATABASE_URL`` is on application nodes."""
    hosts = ",".join(
        engines.at(node, engines.POSTGRES) for node in site.having("postgres").values()
    )
    password = quote(known.postgres_password(SUPERUSER), safe="")
    parameters = {"target_session_attrs": "read-write", **engines.libpq(places, "application")}
    return (
        f"postgresql://{SUPERUSER}:{password}@{hosts}/{postgres.DATABASE}"
        f"?{urlencode(parameters, safe='/')}"
    )


def redis_url(site: Site, known: Secrets, places: Places = ON_NODES) -> str:
    """Return what ``REDIS_URL`` is on application nodes."""
    clustered = site.having("valkey-cluster")
    kind, asked, port = (
        ("cluster", clustered, engines.VALKEY)
        if clustered
        else ("sentinel", site.having("sentinel"), engines.SENTINEL)
    )
    first, *others = (engines.at(node, port) for node in asked.values())
    own = places.certificate("application")
    parameters = [
        *(("node", other) for other in others),
        *([] if clustered else [("name", site.name)]),
        ("ssl_ca_certs", places.authority),
        ("ssl_certfile", own),
        ("ssl_keyfile", own),
    ]
    password = quote(known.redis_password, safe="")
    return f"rediss-{kind}://:{password}@{first}?{urlencode(parameters, safe='/:[]')}"


def targets(site: Site, name: str) -> list[dict[str, Any]]:
    """Return what a node's Prometheus scrapes beside the node, as its ``file_sd_configs`` read it."""
    scraped = [
        # Of its own machine a Prometheus asks the one that it brings.
        (
            "node",
            {one: node for one, node in site.nodes.items() if one != name},
            engines.NODE_EXPORTER,
        ),
        ("patroni", site.having("postgres"), engines.PATRONI),
        ("etcd", site.having("etcd"), engines.ETCD),
        *(
            (
                row.job,
                {one: node for one, node in site.running(row.name).items() if one != name},
                row.port,
            )
            for row in inventory.FORWARDED
        ),
    ]
    return [
        {"labels": {"job": job}, "targets": [engines.at(node, port) for node in nodes.values()]}
        for job, nodes, port in scraped
        if nodes
    ]


def servers(site: Site) -> Sequence[str]:
    """Return where servers of the site present certificates."""
    ports: Sequence[tuple[Role, tuple[int, ...]]] = (
        ("etcd", (engines.ETCD,)),
        ("postgres", (engines.POSTGRES, engines.PATRONI)),
        ("valkey", (engines.VALKEY,)),
        ("valkey-cluster", (engines.VALKEY,)),
        ("sentinel", (engines.SENTINEL,)),
        ("application", (inventory.COMPONENTS["api-gateway"].port,)),
    )
    return [
        engines.at(node, port)
        for role, taken in ports
        for node in site.having(role).values()
        for port in taken
    ]


def elsewhere(site: Site, name: str) -> Sequence[str]:
    """Return the services that a node reaches at others, and where: ``site.elsewhere``."""
    return [
        f"{row.name}@{engines.at(other, row.port)}"
        for row in inventory.FORWARDED
        if name not in (nodes := site.running(row.name))
        for other in nodes.values()
    ]


def _settings(site: Site, name: str, known: Secrets, places: Places) -> str:
    node = site.nodes[name]
    is_watching = "operations" in node.roles
    rows: list[tuple[str, object]] = [
        ("database_url", database_url(site, known, places)),
        ("reads_on_standbys_seconds", LATE_SECONDS),
        ("redis_url", redis_url(site, known, places)),
        ("site.authority", places.authority),
        ("site.certificate", places.certificate("application")),
        *([("site.elsewhere", found)] if (found := elsewhere(site, name)) else []),
        # pg_dump and psql: those that come with ChitLaq speak no TLS.
        ("programs.postgres", site.postgres_programs),
        ("host", node.address),
        ("public_url", site.public_url),
        ("monitoring.embedded", is_watching),
        *([("monitoring.targets", f"{places.configuration}/{TARGETS}")] if is_watching else []),
        *([("site.servers", servers(site))] if is_watching else []),
        # One of them acts; what the others see is not enough for that.
        ("operations.scheduled", is_watching),
        ("operations.takes_lease", is_watching),
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
