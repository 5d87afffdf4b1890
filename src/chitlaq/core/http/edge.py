"""What nginx knows about a request, and how: sealed tokens, limited addresses, bounds on connections.

Why: docs/decisions/0006-limits-for-a-shared-address.md.
"""

from __future__ import annotations

import hashlib
import ipaddress
import resource
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from uuid import UUID

from chitlaq.core.installation.settings import RateLimits

LIMITED_ADDRESS = "x-limited-address"
"""The header in which nginx tells a service the address to limit; absent if it is exempt."""
PROBE = "x-probe"
"""The header in which nginx tells a service, by "1", that a request is our own probe's; else absent."""
HIT_LIMIT = "x-hit-limit"
"""The header in which a service tells nginx the limit that refused a request, for the access log."""

PICTURES = "/-/pictures/"
"""Where nginx has members' pictures: only a service leads there, by the header ``X-Accel-Redirect``."""

SEAL_PARTS = 3
JWT_PARTS = 3

# A client's connection, its way through the Unix socket (both ends), and the connection to a service.
SLOTS_PER_CONNECTION = 4
# Between machines of a site: from nginx to itself, and to the other's nginx, which has as many of it.
SLOTS_BETWEEN_MACHINES = 2
# Listening sockets, the supervisor's probes, and connections that are being refused.
RESERVED_SLOTS = 128
# Open files beside connections: logs, and bodies that are buffered on disk.
OTHER_FILES = 256
MAX_SLOTS = 32_768
MOST_FILES = MAX_SLOTS + OTHER_FILES
IPV6_PREFIX = 64
WIDE_IPV4_PREFIX = 24
WIDE_IPV6_PREFIX = 48


def sealed(jwt: str, account: UUID, expires_at: int, key: str) -> str:
    """Return a token with a seal behind it by which nginx recognises it: ``JWT.ACCOUNT.EXPIRY.HASH``.

    nginx cannot read a JWT, so the account stands beside it: an account has many tokens, but one limit. The
    hash is what nginx's ``secure_link_md5`` computes, with the key at the end.
    """
    named = f"{jwt}.{_encoded(account.bytes)}"
    digest = hashlib.md5(f"{expires_at}.{named}.{key}".encode()).digest()  # noqa: S324 - see the decision
    return f"{named}.{expires_at}.{_encoded(digest)}"


def _encoded(sixteen_bytes: bytes) -> str:
    return urlsafe_b64encode(sixteen_bytes).rstrip(b"=").decode()


def unsealed(token: str) -> str:
    """Return the JWT of a sealed token; other text unchanged. The seal is nginx's business alone."""
    parts = token.split(".")
    is_sealed = len(parts) == JWT_PARTS + SEAL_PARTS
    return ".".join(parts[:JWT_PARTS]) if is_sealed else token


def network_of(address: str) -> str:
    """Return what is limited as one address: an IPv4 address, or the /64 of an IPv6 address.

    Raises:
        ValueError: it is no address.
    """
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, IPV6_PREFIX), strict=False))


def wide_network_of(limited: str) -> str:
    """Return the network around what `network_of` returns: an IPv4 /24, or an IPv6 /48, one site's."""
    network = ipaddress.ip_network(limited)
    prefix = WIDE_IPV4_PREFIX if network.version == 4 else WIDE_IPV6_PREFIX
    return str(network.supernet(new_prefix=prefix))


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many connections nginx accepts.

    Args:
        files: that a process of nginx may open.
        slots: connections of one of nginx's workers, to clients and to services.
        connections: clients' connections, so that even one worker alone has slots for all of them.
        per_address: of these, for one address: never more than half.
    """

    files: int
    slots: int
    connections: int
    per_address: int


def capacity(limits: RateLimits, pid: int = 0, *, is_of_site: bool = False) -> Capacity:
    """Return what the limit of open files (``ulimit -Hn``) and the settings allow.

    Args:
        limits: the settings.
        is_of_site: whether a request may go to another machine's service.
        pid: the process whose limit of open files counts: nginx, or this one, which starts it.
    """
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    files = MOST_FILES
    if hard != resource.RLIM_INFINITY:
        files = min(files, hard)
    slots = max(files - OTHER_FILES, files // 2)
    each = SLOTS_PER_CONNECTION + (SLOTS_BETWEEN_MACHINES if is_of_site else 0)
    connections = max((slots - RESERVED_SLOTS) // each, 1)
    return Capacity(
        files, slots, connections, max(min(limits.address_connections, connections // 2), 1)
    )
