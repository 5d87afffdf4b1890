"""What an alert is about: a component, a host, or else what its family says."""

from __future__ import annotations

from collections.abc import Mapping

from chitlaq import inventory

PAGES = "family:Pages"
"""What alerts on messages about incidents are about. They are no part of a storm: it would not end while its
own messages fail, and would send more of them."""

_HOSTS = inventory.COMPONENTS["node-exporter"].job


def subject(labels: Mapping[str, str]) -> str:
    """Return the subject: ``component:postgres``, ``host:10.0.0.5`` or ``family:Backup``.

    The host is that of the exporter, so it is the subject only of what is measured on the host itself.
    """
    if component := labels.get("component") or labels.get("service"):
        return f"component:{component}"
    if (host := labels.get("host")) and labels.get("job", _HOSTS) == _HOSTS:
        return f"host:{host}"
    return f"family:{labels.get('family') or labels.get('alertname', '')}"
