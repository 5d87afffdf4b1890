"""Cookies of the web application: tokens that no script can read, and which pages may use them.

A browser sends cookies with every request, whichever page causes it. What a cookie authenticates must
therefore come from our own pages, as the browser says (Fetch Metadata), or change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from chitlaq.core.http import problems

# The prefixes bind them to this host and to HTTPS (RFC 6265bis, 4.1.3); browsers count localhost as such.
ACCESS = "__Host-chitlaq-access"
REFRESH = "__Secure-chitlaq-refresh"
DEVICE = "__Host-chitlaq-device"
"""Not a token: it signs nobody in. Who has it is let through while strangers must wait."""
REFRESH_PATH = "/api/auth"

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def value(headers: Mapping[str, str], name: str) -> str | None:
    """Return the value of a cookie, or None if there is none of this name."""
    for pair in headers.get("cookie", "").split(";"):
        found, separator, said = pair.strip().partition("=")
        if separator and found == name:
            return said
    return None


def is_own_page(headers: Mapping[str, str], public_url: str) -> bool:
    """Whether the page that causes a request is ours.

    Args:
        headers: of the request.
        public_url: the installation's; a page of the host that was asked is ours, too.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    try:
        page = urlsplit(headers.get("origin", "")).netloc
    except ValueError:
        return False
    return bool(page) and page in {headers.get("host"), urlsplit(public_url).netloc}


def require_own_page(headers: Mapping[str, str], public_url: str) -> None:
    """Refuse what another page causes with our cookies.

    Raises:
        Problem: 403.
    """
    if not is_own_page(headers, public_url):
        raise problems.forbidden(
            "Cookies sign in our own pages alone. Others send an access token as a Bearer token."
        )
