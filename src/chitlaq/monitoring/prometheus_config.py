"""Prometheus's configuration, derived from the inventory and the settings.

The embedded Prometheus reaches the other observers directly, with the key, so that it depends on no proxy.
Another one goes through monitoring-proxy, with the operators' password where it sends alerts.

It is written as JSON, which is valid YAML, and indented for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from chitlaq import inventory
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import OPERATOR, OPERATOR_PASSWORD
from chitlaq.core.installation.settings import Settings
from chitlaq.inventory import Component
from chitlaq.stack.servers import observers


def prometheus(home: Home, settings: Settings) -> bytes:
    """Return ``prometheus.yml``: what is scraped, how often, and where alerts go."""
    period = f"{settings.monitoring.scrape_seconds}s"
    return _written(
        {
            "global": {
                "scrape_interval": period,
                "scrape_timeout": period if settings.monitoring.scrape_seconds < 10 else "10s",
                "evaluation_interval": period,
            },
            "rule_files": [str(home.prometheus / "rules" / "*.yml")],
            "alerting": {
                "alertmanagers": [_alertmanager(home, settings)],
            },
            "scrape_configs": [
                {"job_name": row.job, **_target(home, settings, row)}
                for row in inventory.BY_PORT
                if row.job and (row.job == "node" or settings.embeds(row.name))
            ]
            + _of_other_machines(settings),
        }
    )


def _of_other_machines(settings: Settings) -> list[dict[str, Any]]:
    """What a site's inventory names; each target says its job itself."""
    if not settings.monitoring.targets:
        return []
    site, own = settings.site, settings.site.certificate
    tls = {"ca_file": site.authority, "cert_file": own, "key_file": own}
    return [
        {
            "job_name": "site",
            **({"scheme": "https", "tls_config": tls} if site.authority else {}),
            "file_sd_configs": [{"files": [settings.monitoring.targets]}],
        },
    ]


def _alertmanager(home: Home, settings: Settings) -> dict[str, Any]:
    if settings.alertmanager_url:
        url = urlsplit(settings.alertmanager_url.reveal())
        return {
            "scheme": url.scheme,
            "path_prefix": url.path.rstrip("/"),
            "static_configs": [{"targets": [url.netloc]}],
        }
    password = {
        "username": OPERATOR,
        "password_file": str(home.secrets / OPERATOR_PASSWORD),
    }
    return {
        **_target(home, settings, inventory.COMPONENTS["alertmanager"]),
        **({} if settings.embeds("prometheus") else {"basic_auth": password}),
    }


def _target(home: Home, settings: Settings, component: Component) -> dict[str, Any]:
    address = urlsplit(settings.url_of(component.name)).netloc
    if component not in inventory.OBSERVERS or not settings.embeds("prometheus"):
        return {"static_configs": [{"targets": [address]}]}
    key = str(observers.key_of(home, "prometheus"))
    own = f"{inventory.OBSERVERS_ADDRESS}:{settings.port_of(component.name)}"
    return {
        "scheme": "https",
        "tls_config": {"ca_file": key, "cert_file": key, "key_file": key},
        # Its series keep the address under which operators know it.
        "static_configs": [{"targets": [own], "labels": {"instance": address}}],
    }


def _written(document: Mapping[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document)) + b"\n"
