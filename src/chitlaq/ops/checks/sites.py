"""A site of several machines: PostgreSQL under Patroni, etcd, Valkey under Sentinel, certificates."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from chitlaq.core.errors import NotApplicable, UnknownResult
from chitlaq.core.formatting import duration
from chitlaq.core.host import http_client
from chitlaq.core.host.http_client import NoAnswerError
from chitlaq.core.installation import site_tls
from chitlaq.core.installation.settings import Settings
from chitlaq.monitoring.exporter import certificates as served
from chitlaq.monitoring.exporter import sentinels
from chitlaq.ops.checks.model import (
    CheckOutcome,
    Section,
    Table,
    Value,
    Verdict,
    check,
    outcome,
    worst,
)
from chitlaq.ops.checks.sources.system import HTTP_SECONDS, SystemView

DAY_SECONDS = 86_400

T = TypeVar("T")

Faults = list[tuple[Verdict, str]]


class _Group(msgspec.Struct):
    """What `chitlaq site render` writes for Prometheus: addresses of one job."""

    targets: list[str]
    labels: dict[str, str]


class _Node(msgspec.Struct):
    """What Patroni says of itself."""

    role: str = ""


class _Member(msgspec.Struct):
    """What Patroni says of one PostgreSQL; ``lag`` is "unknown" of one that does not run."""

    name: str
    role: str
    state: str
    timeline: int = 0
    lag: int | str = 0


class _Members(msgspec.Struct):
    members: list[_Member]


class _Health(msgspec.Struct):
    health: str


@check(
    "site.patroni",
    "PostgreSQL under Patroni",
    section=Section.HOST,
    looks_at="Patroni's API on each database node: the primary, its standbys, their lag and timeline",
    commands=("patronictl -c /etc/chitlaq/patroni.yml list",),
    remedy="`journalctl -u chitlaq-patroni` on the node that is named. A standby that does not follow is"
    " copied anew by `patronictl reinit`. Without a primary, look at etcd first (`site.etcd`).",
)
async def patroni(system: SystemView) -> CheckOutcome:
    addresses = _addresses(system, "patroni")
    nodes = await _asked(system.settings, addresses, "/patroni", _Node)
    (listed, *_) = [
        *(await _asked(system.settings, list(nodes), "/cluster", _Members)).values(),
        None,
    ]
    if listed is None:
        raise UnknownResult(f"Patroni does not answer at {', '.join(addresses)}")
    faults: Faults = [
        (Verdict.WARNING, f"Patroni does not answer at {address}")
        for address in addresses
        if address not in nodes
    ]
    primaries = [address for address, node in nodes.items() if node.role in {"primary", "master"}]
    if len(primaries) > 1:
        faults.append((Verdict.CRITICAL, f"{' and '.join(primaries)} are both primaries"))
    leader = next((one for one in listed.members if one.role == "leader"), None)
    if leader is None or not primaries:
        faults.append((Verdict.CRITICAL, "there is no primary"))
    if not any(one.role in {"sync_standby", "quorum_standby"} for one in listed.members):
        faults.append(
            (Verdict.WARNING, "no synchronous standby: nobody may take the primary's place")
        )
    standbys = [one for one in listed.members if one is not leader]
    faults += [
        (Verdict.WARNING, f"{one.name} does not follow the primary: {one.state}")
        for one in standbys
        if one.state != "streaming" or (leader and one.timeline != leader.timeline)
    ]
    lags = {one.name: one.lag for one in standbys if isinstance(one.lag, int)}
    limits = system.thresholds.standby_lag_bytes
    return _judged(
        f"{leader.name if leader else 'nobody'} is the primary of {len(listed.members)}",
        faults,
        {f"lag of {name}": Value(lag, "bytes", *limits) for name, lag in lags.items()},
        Table(
            "members",
            ["name", "role", "state", "timeline", "lag"],
            [[o.name, o.role, o.state, str(o.timeline), str(o.lag)] for o in listed.members],
        ),
    )


@check(
    "site.etcd",
    "etcd",
    section=Section.HOST,
    looks_at="/health of each etcd, which takes a majority",
    commands=(
        (
            "etcdctl --cacert /etc/chitlaq/authority.pem --cert /etc/chitlaq/etcd.pem"
            " --key /etc/chitlaq/etcd.pem --endpoints https://HOST:2379 endpoint health --cluster"
        ),
    ),
    remedy="`journalctl -u chitlaq-etcd` on the nodes that are named. Without a majority PostgreSQL goes on"
    " as long as all its nodes are reachable, and cannot fail over.",
)
async def etcd(system: SystemView) -> CheckOutcome:
    addresses = _addresses(system, "etcd")
    answers = await _asked(system.settings, addresses, "/health", _Health)
    healthy = [address for address, answer in answers.items() if answer.health == "true"]
    found = {address: "" if address in healthy else "not healthy" for address in addresses}
    return _judged(
        f"{len(healthy)} of {len(addresses)} healthy",
        _majority(found, "PostgreSQL cannot fail over"),
        {"healthy": Value(len(healthy))},
    )


@check(
    "site.sentinel",
    "Sentinel",
    section=Section.HOST,
    looks_at="SENTINEL CKQUORUM, the primary and replicas that each Sentinel names, and what services use",
    commands=(
        (
            "valkey-cli -h HOST -p 26379 --tls --cacert /etc/chitlaq/authority.pem"
            " --cert /etc/chitlaq/valkey.pem --key /etc/chitlaq/valkey.pem sentinel ckquorum chitlaq"
        ),
    ),
    remedy="`journalctl -u chitlaq-sentinel` on the node that is named. If services use a Valkey that is no"
    " primary, somebody has made it a replica: `replicaof no one` on it ends that.",
)
async def sentinel(system: SystemView) -> CheckOutcome:
    views = await sentinels.views(system.settings, HTTP_SECONDS)
    if not views:
        raise NotApplicable("REDIS_URL names no Sentinels")
    named = {view.primary for view in views if view.primary}
    if not named:
        raise UnknownResult("; ".join(view.fault for view in views))
    faults = _majority({view.name: view.fault for view in views}, "Valkey cannot fail over")
    if len(named) > 1:
        faults.append(
            (Verdict.CRITICAL, f"they name different primaries: {', '.join(sorted(named))}")
        )
    if not any(view.replicas for view in views):
        faults.append((Verdict.WARNING, "no replica follows the primary"))
    used = await system.valkey.info("replication")
    for address, facts in used.items():
        if address not in named or facts.get("role") != "master":
            faults.append((Verdict.CRITICAL, f"services use {address}, which is not the primary"))
    return _judged(
        f"{', '.join(sorted(named))} is the primary, as {len(views)} Sentinels say",
        faults,
        {"sentinels": Value(len(views)), "replicas": Value(max(view.replicas for view in views))},
    )


@check(
    "site.certificates",
    "Certificates between nodes",
    section=Section.SECURITY,
    looks_at="the certificate that each server of the site presents: when it expires, and whether it is for"
    " its address",
    commands=("openssl s_client -connect HOST:8008 </dev/null | openssl x509 -noout -enddate",),
    remedy="`chitlaq site render deploy/site.toml FOLDER` makes those anew of whose life a third is left or"
    " less; copy them to their nodes. docs/several-machines.md says who has to be told.",
)
async def certificates(system: SystemView) -> CheckOutcome:
    names = system.settings.site.servers
    if not names:
        raise NotApplicable("site.servers names no servers")
    found = await asyncio.gather(
        *(served.read_between_nodes(name, system.settings) for name in names),
        return_exceptions=True,
    )
    known: dict[str, served.Chain] = {}
    rows = []
    for name, one in zip(names, found, strict=True):
        if isinstance(one, BaseException):
            rows.append([name, "not read", str(one) or type(one).__name__])
        else:
            known[name] = one
            rows.append([name, f"{duration(one.seconds_left)} left", one.fault])
    if not known:
        raise UnknownResult(f"no server of the site presents one: {rows[0][2]}")
    faults: Faults = [
        (Verdict.CRITICAL, f"{name}: {one.fault}") for name, one in known.items() if one.fault
    ]
    if unread := [name for name in names if name not in known]:
        faults.append((Verdict.UNKNOWN, f"{', '.join(unread)} cannot be read"))
    first = min(known, key=lambda name: known[name].seconds_left)
    limits = system.thresholds.site_certificate_days
    return _judged(
        f"next expiry: {first} in {duration(known[first].seconds_left)}",
        faults,
        {
            name: Value(one.seconds_left / DAY_SECONDS, "days", *limits)
            for name, one in known.items()
        },
        Table("certificates", ["server", "state", "reason"], rows),
    )


def _addresses(system: SystemView, job: str) -> Sequence[str]:
    """Return where the servers of a job are.

    Raises:
        NotApplicable: there are none: this is one machine.
        UnknownResult: the file that names them cannot be read.
    """
    path = system.settings.monitoring.targets
    if not path:
        raise NotApplicable("monitoring.targets names no other machines")
    try:
        groups = msgspec.json.decode(Path(path).read_bytes(), type=list[_Group])
    except OSError as error:
        raise UnknownResult(f"{path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise UnknownResult(f"{path}: {error}") from None
    found = [one for group in groups if group.labels.get("job") == job for one in group.targets]
    if not found:
        raise NotApplicable(f"{path} names no {job}")
    return found


async def _asked(
    settings: Settings, addresses: Sequence[str], path: str, kind: type[T]
) -> Mapping[str, T]:
    """Ask all at once; return what those say that answer in time.

    Raises:
        UnknownResult: this machine's own certificate cannot be read.
    """
    try:
        tls = site_tls.context(settings)
    except OSError as error:
        raise UnknownResult(f"site.authority or site.certificate: {error}") from None
    scheme = "https" if tls else "http"

    async def ask(address: str) -> T | None:
        try:
            answer = await http_client.get(
                f"{scheme}://{address}{path}", timeout_seconds=HTTP_SECONDS / 2, tls=tls
            )
            return msgspec.json.decode(answer.body, type=kind)
        except (NoAnswerError, msgspec.DecodeError):
            return None

    answers = await asyncio.gather(*map(ask, addresses))
    return {
        address: answer
        for address, answer in zip(addresses, answers, strict=True)
        if answer is not None
    }


def _majority(found: Mapping[str, str], lost: str) -> Faults:
    """Judge a cluster that needs a majority.

    Args:
        found: what is wrong with each member; empty if nothing is.
        lost: what is not possible without a majority.
    """
    bad = {name: fault for name, fault in found.items() if fault}
    faults = [(Verdict.WARNING, f"{name}: {fault}") for name, fault in bad.items()]
    if 2 * (len(found) - len(bad)) <= len(found):
        faults.append((Verdict.CRITICAL, f"no majority: {lost}"))
    return faults


def _judged(
    summary: str, faults: Faults, values: dict[str, Value], *evidence: Table
) -> CheckOutcome:
    said = [sentence for _, sentence in faults]
    least = worst([Verdict.OK, *(verdict for verdict, _ in faults)])
    return outcome("; ".join([*said, summary]), values, *evidence, least=least)
