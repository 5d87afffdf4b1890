"""Prometheus's configuration, derived from the inventory and the settings.

It is written as JSON, which is valid YAML, and indented for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from chitlaq import inventory
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings


def prometheus(home: Home, settings: Settings) -> bytes:
    """Return ``prometheus.yml``: what is scraped, how often, and where alerts go."""
    period = f"{settings.monitoring.scrape_seconds}s"
    alertmanager = urlsplit(
        settings.alertmanager_url or f"http://127.0.0.1:{settings.port_of('alertmanager')}"
    )
    return _written(
        {
            "global": {
                "scrape_interval": period,
                "scrape_timeout": period if settings.monitoring.scrape_seconds < 10 else "10s",
                "evaluation_interval": period,
            },
            "rule_files": [str(home.prometheus / "rules" / "*.yml")],
            "alerting": {
                "alertmanagers": [
                    {
                        "scheme": alertmanager.scheme,
                        "path_prefix": alertmanager.path.rstrip("/"),
                        "static_configs": [{"targets": [alertmanager.netloc]}],
                    }
                ]
            },
            "scrape_configs": [
                {
                    "job_name": row.job,
                    "static_configs": [{"targets": [f"127.0.0.1:{settings.port_of(row.name)}"]}],
                }
                for row in inventory.BY_PORT
                if row.job and (row.job == "node" or settings.embeds(row.name))
            ],
        }
    )


def _written(document: Mapping[str, Any]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document)) + b"\n"
