"""Who belongs to a site: its own authority, and a certificate for each node.

The authority's key stays in the folder that `chitlaq site render` writes, and goes to no node.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation import site_tls
from chitlaq.stack import private_authority
from chitlaq.stack.private_authority import Pair
from chitlaq.stack.site.nodes import Site

LIFE = timedelta(days=365)
"""Somebody has to copy a new one to its node."""
AUTHORITY = "authority.pem"


class Issued(NamedTuple):
    """What a node gets, as PEM."""

    authority: str
    """Of the authority the certificate alone."""
    certificate: str
    """Its own certificate and key."""


def ensure(site: Site, folder: Path, name: str, now: datetime | None = None) -> Issued:
    """Return a node's certificate; make it where it is missing, due or of other names.

    A certificate is due when two thirds of its life are over. The authority is made once.

    Args:
        site: where the nodes are.
        folder: where the authority and all certificates are kept.
        name: the node's.
        now: another time than the present, for tests.

    Raises:
        OperatorError: the authority cannot be used any longer.
        OSError: the folder cannot be written.
    """
    now = now or datetime.now(UTC)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _authority(site, folder / AUTHORITY, now)
    node = site.nodes[name]
    names = [name, str(ipaddress.ip_address(node.address))]
    if "application" in node.roles:
        names.append(site_tls.APPLICATION)
    path = folder / f"{name}.pem"
    made = private_authority.read(path)
    if made is None or private_authority.is_due(
        made.certificate, authority.certificate, names, now
    ):
        made = private_authority.issued(authority, name, names, now, LIFE, is_client=True)
        private_authority.write(path, made)
    return Issued(private_authority.public(authority.certificate), private_authority.whole(made))


def _authority(site: Site, path: Path, now: datetime) -> Pair:
    found = private_authority.read(path)
    if found is None and path.exists():
        raise OperatorError(
            f"{path} cannot be read. Put back a copy of it, or remove it: then every node needs its new files"
            " at the same time."
        )
    if found is None:
        found = private_authority.founded(f"ChitLaq nodes of {site.name}", now)
        private_authority.write(path, found)
    end = found.certificate.not_valid_after_utc
    if end < now + LIFE:
        raise OperatorError(
            f"{path} ends on {end:%Y-%m-%d}, before a certificate that it would sign now. Remove it, render"
            " again, and give every node its new files at the same time."
        )
    return found
