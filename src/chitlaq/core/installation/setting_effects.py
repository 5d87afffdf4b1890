"""What each setting touches: which components read it, and what it takes until a change applies."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, NamedTuple

import msgspec

from chitlaq import inventory
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.settings import Settings

Means = Literal["reload", "restart", "start", "none"]
"""``reload``: the components are replaced or read it anew, and no request is lost. ``restart``: each of
them is away for a moment. ``start``: everything stops and starts. ``none``: it is read when it is needed."""


SUPERVISED = "SUPERVISED_BY_CHITLAQ"
"""Names the home in the environment of what its supervisor starts, and of what that starts. Not in the form
of a setting: a version that does not know it would refuse it."""


class Effect(NamedTuple):
    """What a change of a setting takes.

    Args:
        means: how it is applied.
        components: who reads it, as ``chitlaq ps`` names them; empty for the whole stack.
    """

    means: Means
    components: tuple[str, ...] = ()


SERVICES = tuple(row.name for row in inventory.COMPONENTS.values() if row.kind == "service")
_OPS = "ops-service"


def _reload(*components: str) -> Effect:
    return Effect("reload", components)


def _restart(*components: str) -> Effect:
    return Effect("restart", components)


_START = Effect("start")
_EVERYBODY = _reload("nginx", "monitoring-proxy", *SERVICES)

# A setting by its name, or all others of a section by that of the section.
DECLARED: Mapping[str, Effect] = {
    "database_url": _START,
    "reads_on_standbys_seconds": _reload(*SERVICES),
    "redis_url": _START,
    "prometheus_url": _START,
    "alertmanager_url": _START,
    "otel_exporter_otlp_endpoint": _reload(*SERVICES),
    "host": _EVERYBODY,
    "trusted_proxies": _reload("nginx", _OPS),
    # Links, cookies and tokens begin with it.
    "public_url": _EVERYBODY,
    "demo": Effect("none"),
    # A component that nobody else waits for may listen elsewhere; all others are known by their port.
    "ports": _START,
    "workers": _reload("nginx"),
    "programs.nginx": _restart("nginx", "monitoring-proxy"),
    "programs.postgres": _restart("postgres"),
    "programs.valkey": _restart("redis"),
    "tls": _reload("nginx", _OPS),
    "acme": _reload("nginx", _OPS),
    "site": _reload("nginx", "prometheus", _OPS),
    "site.elsewhere": _START,
    "limits": _reload("nginx", *SERVICES),
    "cors": _reload("nginx"),
    "smtp": _reload("auth-service", "websocket", _OPS),
    "tokens": _reload("auth-service"),
    # The supervisor, which writes them, reads these at each reload.
    "logs": _reload(_OPS),
    "logs.slow_seconds": _reload(*SERVICES),
    "monitoring": _reload(_OPS),
    "monitoring.embedded": _START,
    "monitoring.scrape_seconds": _reload("prometheus", _OPS),
    "monitoring.retention_days": _restart("prometheus"),
    "media": _reload("nginx", "feed-service", _OPS),
    "notifications": _reload("websocket"),
    "backups": _reload(_OPS),
    # Who receives WAL, and whether PostgreSQL waits for it.
    "backups.archive": _START,
    "backups.folder": _reload("wal-archive", _OPS),
    "operations": _reload(_OPS),
    "operations.public": _reload("nginx", _OPS),
    "operations.timezone": _reload("websocket", _OPS),
    "statuspage": _reload(_OPS),
    "checks": _reload(_OPS),
    **{
        f"workers.{row.setting}": _reload(row.name, "api-gateway")
        for row in inventory.BY_PORT
        if row.workers
    },
}


@cache
def effect_of(dotted: str) -> Effect:
    """Return what a change of a setting takes.

    Raises:
        KeyError: nobody has declared it.
    """
    found = DECLARED.get(dotted)
    return found if found is not None else DECLARED[dotted.rpartition(".")[0]]


def as_started(wanted: Settings, running: Settings) -> Settings:
    """Return settings in which what all must agree on is as the running stack has it.

    Whoever is restarted alone reads the others anew: it must not go to another database than the rest.
    """
    kept: dict[str, dict[str, Any]] = {}
    for dotted, _ in settings_loading.fields():
        value = running.value_of(dotted)
        if effect_of(dotted).means == "start" and wanted.value_of(dotted) != value:
            section, _, name = dotted.rpartition(".")
            kept.setdefault(section, {})[name] = value
    whole = kept.pop("", {})
    for section, values in kept.items():
        whole[section] = msgspec.structs.replace(getattr(wanted, section), **values)
    return msgspec.structs.replace(wanted, **whole)
