"""How our own programs reach the servers of a site's other machines: over mutual TLS."""

from __future__ import annotations

import ssl

from chitlaq.core.installation.settings import Settings

APPLICATION = "application.chitlaq.internal"
"""A name in the certificate of each machine that runs services: another machine's is none of theirs."""


def context(settings: Settings) -> ssl.SSLContext | None:
    """Return whom to trust and what to show, as the files are now; None if they speak no TLS.

    Raises:
        OSError: a file cannot be read, or is no certificate or key.
    """
    if not settings.site.authority:
        return None
    made = ssl.create_default_context(cafile=settings.site.authority)
    made.load_cert_chain(settings.site.certificate)
    return made
