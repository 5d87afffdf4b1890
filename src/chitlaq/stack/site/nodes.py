"""The inventory of a site, ``site.toml``: which machines there are, and what runs on each."""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import msgspec

from chitlaq import inventory
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation import toml_files

Role = Literal[
    "application", "operations", "postgres", "etcd", "valkey", "sentinel", "valkey-cluster"
]
ROLES: tuple[Role, ...] = get_args(Role)

TARGETS = tuple(row.name for row in inventory.FORWARDED if not row.is_gateway)
"""The services that need not be on each application node."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One machine."""

    address: str
    """Its IP address in the network of the nodes."""
    roles: tuple[str, ...]
    targets: tuple[str, ...] = ()
    """The services of members that an application node runs, if not all. Others it reaches where they are."""


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Several machines that are one installation."""

    public_url: str
    """The URL that members type."""
    media_url: str
    """Where members' pictures are kept: ``s3://bucket/prefix``."""
    nodes: dict[str, Node]
    name: str = "chitlaq"
    """What Patroni and Sentinel call it."""
    s3_endpoint: str = ""
    """The endpoint of an S3 other than Amazon's."""
    postgres_programs: str = "/usr/lib/postgresql/18/bin"
    """Where PostgreSQL's programs are on the nodes."""

    def having(self, role: Role) -> Mapping[str, Node]:
        """Return the nodes with a role, by name."""
        return {name: node for name, node in self.nodes.items() if role in node.roles}

    def running(self, service: str) -> Mapping[str, Node]:
        """Return the application nodes that run a service, by name. The gateway is wherever nginx is."""
        return {
            name: node
            for name, node in self.having("application").items()
            if service not in TARGETS or not node.targets or service in node.targets
        }


def read(path: Path) -> Site:
    """Read an inventory.

    Raises:
        OperatorError: it cannot be read, or is wrong; names everything that is.
    """
    try:
        document = toml_files.parsed(toml_files.text_of(path))
        site = msgspec.convert(document, Site)
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror}.") from None
    except msgspec.ValidationError as error:
        raise OperatorError(f"{path} is no inventory of a site: {error}.") from None
    except ValueError as error:
        raise OperatorError(f"{path} is not valid TOML: {error}.") from None
    faults = list(found(site))
    if faults:
        raise OperatorError(f"{path}:\n" + "\n".join(f"- {fault}" for fault in faults))
    return site


def found(site: Site) -> Iterator[str]:
    """Yield everything that is wrong, as sentences."""
    yield from _texts(site)
    for name, node in site.nodes.items():
        yield from _node(name, node)
    for address, count in Counter(node.address for node in site.nodes.values()).items():
        if count > 1:
            yield f"{count} nodes have the address {address}: give each one of its own."
    yield from _numbers(site)


def _texts(site: Site) -> Iterator[str]:
    if not _NAME.fullmatch(site.name):
        yield f"name: {site.name!r} is not of lower-case letters, digits and hyphens."
    url = urlsplit(site.public_url)
    if url.scheme != "https" or not url.hostname:
        yield "public_url: write the URL that members type, such as https://social.example.edu."
    if not site.media_url.startswith("s3://"):
        yield "media_url: all application nodes read the same pictures: write s3://bucket/prefix."


def _node(name: str, node: Node) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield f"nodes.{name}: a node's name is of lower-case letters, digits and hyphens."
    try:
        address = ipaddress.ip_address(node.address)
    except ValueError:
        yield f"nodes.{name}: {node.address!r} is no IP address."
    else:
        if address.is_unspecified or address.is_multicast:
            yield f"nodes.{name}: {address} is no machine's address."
    for role in node.roles:
        if role not in ROLES:
            yield f"nodes.{name}: there is no role {role}.{_hint(role, ROLES)}"
    for target in node.targets:
        if target not in TARGETS:
            yield f"nodes.{name}: there is no target {target}.{_hint(target, TARGETS)}"
    if node.targets and "application" not in node.roles:
        yield f"nodes.{name}: targets go with the role application."


def _hint(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f" Did you mean {near[0]}?" if near else f" There are {', '.join(known)}."


def _numbers(site: Site) -> Iterator[str]:
    """Enough of each, so that one may fail."""
    counts = Counter(role for node in site.nodes.values() for role in dict.fromkeys(node.roles))
    is_clustered = counts["valkey-cluster"] > 0
    if is_clustered:
        yield from _cluster(counts)
    for role in ("etcd",) if is_clustered else ("etcd", "sentinel"):
        count = counts[role]
        if count < 3 or count % 2 == 0:
            yield (
                f"{count} nodes have the role {role}: it takes three or five, so that a majority is left"
                " when one fails. It needs little, and may be on any node."
            )
    for role, why in (
        ("postgres", "a primary and a synchronous standby"),
        ("valkey", "a primary and a replica"),
    ):
        if counts[role] < 2 and not (role == "valkey" and is_clustered):
            yield f"{counts[role]} nodes have the role {role}: it takes two, {why}."
    if not counts["application"]:
        yield "No node has the role application."
    else:
        yield from (
            f"No node has the target {service}: name it at one, or leave out the targets of one."
            for service in TARGETS
            if not site.running(service)
        )
    if not counts["operations"]:
        yield (
            "No node has the role operations: it takes one, whose ops-service runs the routines and watches"
            " all nodes, and better two, so that another takes over when one fails."
        )
    yield from (
        f"nodes.{name}: operations goes with application."
        for name, node in site.having("operations").items()
        if "application" not in node.roles
    )


def _cluster(counts: Mapping[str, int]) -> Iterator[str]:
    if (count := counts["valkey-cluster"]) < 6:
        yield (
            f"{count} nodes have the role valkey-cluster: it takes six, three primaries and a replica of"
            " each. For less than that, the roles valkey and sentinel suffice."
        )
    for role in ("valkey", "sentinel"):
        if counts[role]:
            yield f"The role {role} does not go with valkey-cluster, which watches itself: take one away."


def shown(site: Site) -> list[list[Any]]:
    """Return a row for each node: its name, its address, its roles, its targets."""
    return [
        [name, node.address, ", ".join(node.roles), ", ".join(node.targets)]
        for name, node in site.nodes.items()
    ]
