"""Where something listens: a host and a port in one word, with an IPv6 address in brackets (RFC 3986)."""

from __future__ import annotations

import ipaddress
import re

_ENDPOINT = re.compile(
    r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[^\s:/\[\]]+)):(?P<port>[0-9]{1,5})"
)


def parsed(word: str) -> tuple[str, int]:
    """Return the host, without brackets, and the port of ``HOST:PORT``.

    Raises:
        ValueError: it is none; the message says how one is written.
    """
    found = _ENDPOINT.fullmatch(word)
    host = (found["six"] or found["host"]) if found else ""
    port = int(found["port"]) if found else 0
    if not 0 < port < 1 << 16 or (found and found["six"] and not is_six(host)):
        raise ValueError(
            f"{word!r} is no HOST:PORT, such as mail.example.edu:25, 192.0.2.1:22 or [2001:db8::1]:22"
        )
    return host, port


def written(host: str, port: int) -> str:
    """Return a host and a port as one word; the reverse of `parsed`."""
    return f"{bracketed(host)}:{port}"


def bracketed(host: str) -> str:
    """Return a host as it stands in URLs and before ports: an IPv6 address in brackets."""
    return f"[{host}]" if is_six(host) else host


def is_six(host: str) -> bool:
    """Whether a host is an IPv6 address."""
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
