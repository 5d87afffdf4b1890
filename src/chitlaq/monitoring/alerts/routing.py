"""Alertmanager's configuration: every alert goes to ops-service, which records it and notifies people.

ops-service decides who is notified, and how. This configuration decides only how often it is notified, and
which alerts are inhibited because a more severe one explains them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from chitlaq.monitoring.alerts import registry
from chitlaq.monitoring.alerts.alert import EXPORTED_BY_OPS

RECEIVER = "ops-service"
"""Receives what no route matches. Each route has its own receiver, so that amtool can tell them apart."""
WATCHDOG = "watchdog"
GROUP_WAIT_SECONDS = 10
MAX_ALERTS = 2000
"""Of a report: a larger group is cut. With usual labels they take 2 MB, half of what ops-service takes."""
REPEAT = {"P0": "1h", "P1": "1h", "P2": "4h", "P3": "24h"}

# Labels that must be equal for two alerts to be about the same thing; two absent labels are equal.
SUBJECT = (
    *("family", "host", "service", "job", "instance", "component"),
    *(
        "mountpoint",
        "device",
        "database",
        "application",
        "slot",
        "kind",
        "source",
        "name",
        "jail",
        "limit",
        "scope",
        "sentinel",
    ),
)
_MORE_SEVERE = (("P0", "P1|P2|P3"), ("P1", "P2|P3"), ("P2", "P3"))
_UNDELIVERED = 'alertname="MessagesUndelivered"'
_OBJECTIVES = 'family=~"availability|latency"'


def alertmanager_config(webhook_url: str, bearer_token_file: str) -> bytes:
    """Return ``alertmanager.yml``: JSON, which is YAML.

    Args:
        webhook_url: where ops-service receives reports.
        bearer_token_file: the file with the token that it expects, read at each report.
    """
    document = {
        "route": {
            "receiver": RECEIVER,
            "group_by": ["alertname", "service"],
            "group_wait": f"{GROUP_WAIT_SECONDS}s",
            "group_interval": "1m",
            "repeat_interval": REPEAT["P2"],
            "routes": [
                # Its absence is the alarm, so it repeats often.
                {
                    "receiver": WATCHDOG,
                    "matchers": ['alertname="Watchdog"'],
                    "group_wait": "0s",
                    # Once a minute: it is repeated at the first interval after the pause is over.
                    "group_interval": "30s",
                    "repeat_interval": "50s",
                },
                *(
                    {
                        "receiver": severity,
                        "matchers": [f'severity="{severity}"'],
                        "repeat_interval": repeat,
                    }
                    for severity, repeat in REPEAT.items()
                ),
            ],
        },
        "receivers": [
            {
                "name": name,
                "webhook_configs": [
                    {
                        "url": webhook_url,
                        "send_resolved": True,
                        "max_alerts": MAX_ALERTS,
                        "http_config": {
                            "authorization": {
                                "type": "Bearer",
                                "credentials_file": bearer_token_file,
                            }
                        },
                    }
                ],
            }
            for name in (RECEIVER, WATCHDOG, *REPEAT)
        ],
        "inhibit_rules": inhibit_rules(),
    }
    return msgspec.json.format(msgspec.json.encode(document)) + b"\n"


def inhibit_rules() -> list[dict[str, Any]]:
    """Return which alerts are inhibited by which, in Alertmanager's form."""
    return [
        # A host that is down takes everything on it down.
        _inhibit('alertname="HostDown"', 'alertname!="HostDown"', "host"),
        *(_inhibit(f'severity="{p}"', f'severity=~"{q}"', *SUBJECT) for p, q in _MORE_SEVERE),
        # Only a P0 may inhibit a P0.
        _inhibit('family="ComponentDown"', f'{_OBJECTIVES},severity!="P0"', "service"),
        _inhibit('alertname="EdgeDown"', _OBJECTIVES, "service"),
        _inhibit('alertname="ServiceDown",service="websocket"', _UNDELIVERED),
        _inhibit('alertname="ServiceUnable"', f'{_OBJECTIVES},severity!="P0"', "service"),
        # Without PostgreSQL every service misses its objectives.
        _inhibit('alertname="DatabaseDown"', _OBJECTIVES),
        *_explained_effects(),
        *_explained_absence(),
    ]


def _explained_effects() -> list[dict[str, Any]]:
    """Inhibit alerts by those that they are declared to stand on."""
    found = []
    for cause in registry.alerts():
        effects = [one for one in registry.alerts() if cause.name in one.stands_on]
        of_service = [one.name for one in effects if cause.is_of_a_service and one.is_of_a_service]
        others = [one.name for one in effects if one.name not in of_service]
        source = f'alertname="{cause.name}"'
        if of_service:
            found.append(_inhibit(source, f'alertname=~"{"|".join(of_service)}"', "service"))
        if others:
            found.append(_inhibit(source, f'alertname=~"{"|".join(others)}"'))
    return found


def _explained_absence() -> list[dict[str, Any]]:
    """A component that is down also lacks its metrics: inhibit the absence alerts."""
    behind_ops = "|".join(("ops-service", *EXPORTED_BY_OPS))
    return [
        _inhibit('alertname="MonitoringDown",job="node"', 'seen_through="node"'),
        _inhibit('alertname="MonitoringDown",job="ops-service"', f'seen_through=~"{behind_ops}"'),
        *(
            _inhibit(f'family="ComponentDown",component="{one}"', f'seen_through="{one}"')
            for one in EXPORTED_BY_OPS
        ),
    ]


def _inhibit(source: str, target: str, *equal: str) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "source_matchers": source.split(","),
        "target_matchers": target.split(","),
    }
    return {**rule, "equal": list(equal)} if equal else rule
