"""Alertmanager's configuration: everything to ops-service, which records it and calls people.

Who is called, and how, is ops-service's to decide; here is only how often it is told, and what need
not be said because something graver explains it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from chitlaq.monitoring.alerts.alert import EXPORTED_BY_OPS

RECEIVER = "ops-service"
"""Of what no route takes; each route's own is named after it, so that it can be asked who gets what."""
WATCHDOG = "watchdog"
REPEAT = {"P0": "1h", "P1": "1h", "P2": "4h", "P3": "24h"}

# What two alerts must share to be about the same thing; a label that both lack is shared.
SUBJECT = (
    *("family", "host", "service", "job", "instance", "component"),
    *("mountpoint", "device", "database", "application", "slot", "kind", "source", "name", "jail"),
)
_GRAVER = (("P0", "P1|P2|P3"), ("P1", "P2|P3"), ("P2", "P3"))
_PROMISES = 'family=~"availability|latency"'


def alertmanager_config(webhook_url: str, bearer_token_file: str) -> bytes:
    """Return ``alertmanager.yml``: JSON, which is YAML.

    Args:
        webhook_url: where ops-service takes reports.
        bearer_token_file: the file with the token that it wants, read at each report.
    """
    document = {
        "route": {
            "receiver": RECEIVER,
            "group_by": ["alertname", "service"],
            "group_wait": "10s",
            "group_interval": "1m",
            "repeat_interval": REPEAT["P2"],
            "routes": [
                # Its silence is the alarm, so it is repeated often.
                {
                    "receiver": WATCHDOG,
                    "matchers": ['alertname="Watchdog"'],
                    "group_wait": "0s",
                    "repeat_interval": "5m",
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
        "inhibit_rules": [
            # Whatever is on a host that is gone is gone with it.
            _inhibit('alertname="HostDown"', 'alertname!="HostDown"', "host"),
            *(_inhibit(f'severity="{p}"', f'severity=~"{q}"', *SUBJECT) for p, q in _GRAVER),
            # Only what is as grave may silence a P0.
            _inhibit('family="ComponentDown"', f'{_PROMISES},severity!="P0"', "service"),
            _inhibit('alertname="EdgeDown"', _PROMISES, "service"),
            # Without PostgreSQL every service breaks its promises.
            _inhibit('alertname="DatabaseDown"', _PROMISES),
            *_explained_blindness(),
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document)) + b"\n"


def _explained_blindness() -> list[dict[str, Any]]:
    """Whoever is down takes its metrics along: that they are missing is no news."""
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
