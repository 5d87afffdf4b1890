"""How our own programs reach the observers: on an address of their own, over mutual TLS.

Prometheus, Alertmanager and node-exporter know no users and set no limits to web pages: whoever reaches
Alertmanager can silence every alert. The embedded ones therefore listen on an address apart and answer
only holders of the key in ``secrets/observers.pem``. On their usual ports monitoring-proxy offers what only
reads. A local user who takes a port while its server is down gets neither key nor password.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import cache

from chitlaq import inventory
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import OBSERVERS_KEY, Secrets
from chitlaq.core.installation.settings import Settings


@dataclass(frozen=True, slots=True)
class Access:
    """A server's base URL, and the TLS context of connections to it if it is not the usual one."""

    url: str
    tls: ssl.SSLContext | None = None


def access(home: Home, settings: Settings, name: str) -> Access:
    """Return how to reach an observer: an external one as configured, without our key.

    Raises:
        OperatorError: the key of the embedded ones does not exist yet, or belongs to another user.
    """
    external = {"prometheus": settings.prometheus_url, "alertmanager": settings.alertmanager_url}
    if url := external.get(name):
        return Access(url.reveal().rstrip("/"))
    return Access(f"https://{inventory.OBSERVERS_ADDRESS}:{settings.port_of(name)}", _context(home))


@cache
def _context(home: Home) -> ssl.SSLContext:
    path = home.secrets / OBSERVERS_KEY
    # Read first, for its error messages.
    context = ssl.create_default_context(cadata=Secrets(home.secrets).observers_key)
    context.load_cert_chain(path)
    return context
