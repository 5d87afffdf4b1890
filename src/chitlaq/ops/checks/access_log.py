"""Members' requests of the last 24 hours, from nginx's access log: by address, limit and status."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address

from chitlaq.core.errors import UnknownResult
from chitlaq.core.formatting import count, share
from chitlaq.logs import analysis
from chitlaq.logs.analysis import Traffic
from chitlaq.ops.checks import ended
from chitlaq.ops.checks.logs import HOURS, SHOWN, grouped, least, reach
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
from chitlaq.ops.checks.sources.judged_by import JUDGED_BY, SERVING
from chitlaq.ops.checks.sources.system import SystemView

FEW_REQUESTS = 1000
MOST = 0.5
FEW_UNREAD = 10
MOST_UNREAD = 0.01
"""Of the requests. A power failure may leave a few lines in part."""
COUNTED_SECONDS = analysis.COUNT_SECONDS + 5


async def _traffic(system: SystemView) -> Traffic:
    since = datetime.now(UTC) - timedelta(hours=HOURS)
    if not system.home.access_log.exists():
        raise UnknownResult(
            f"there is no access log at {system.home.access_log}", JUDGED_BY["nginx"]
        )

    keep_files = system.settings.logs.keep_files

    async def read() -> Traffic:
        return await system.blocking(partial(analysis.traffic, system.home, since, keep_files))

    found = await system.once("access log", read)
    if found.unread > max(FEW_UNREAD, found.requests * MOST_UNREAD):
        raise UnknownResult(
            f"{count(found.unread, 'line')} of {system.home.access_log} cannot be read, beside"
            f" {count(found.requests, 'request')}: is nginx's configuration our own?"
        )
    return found


def _left_out(found: Traffic) -> str:
    """Return what the figures of the day leave out."""
    own = f"; {found.benchmark:,} more from the benchmark" if found.benchmark else ""
    unread = f"; {count(found.unread, 'line')} cannot be read" if found.unread else ""
    return own + unread + reach(found.since)


@check(
    "nginx.addresses",
    "Busiest addresses",
    section=Section.LOGS,
    looks_at=f"nginx's access log, the last {HOURS} hours",
    commands=(
        # It also has lines of nginx's error log, which are not JSON.
        (
            "chitlaq logs nginx --json --since 24h | jq -Rr 'fromjson? | .remote_addr'"
            " | sort | uniq -c | sort -nr | head -10"
        ),
    ),
    remedy=(
        "Nothing, if many of its requests are signed in: a campus behind one address is normal. For what"
        " limits refused: `chitlaq ops check nginx.limits --details`. If members seem to ask from this"
        " machine, a TLS proxy on it does not say for whom it asks, and all are exempt from the limits: let"
        " it set X-Forwarded-For, and list it in `trusted_proxies`."
    ),
    timeout_seconds=COUNTED_SECONDS,
    is_heavy=True,
)
async def addresses(system: SystemView) -> CheckOutcome:
    found = await _traffic(system)
    said = f"{count(found.requests, 'request')} from {count(len(found.addresses), 'address', 'addresses')}"
    ratio = 0.0
    for busiest, most in found.addresses.most_common(1):
        ratio = most / found.requests
        said += f", {busiest} the busiest with {share(ratio)}"
    local = _local_share_of_members(found)
    is_proxied = bool(system.settings.public_url) and local > MOST
    if is_proxied:
        said += (
            f"; {share(local)} of the requests of signed-in members seem to come from this machine"
        )
    return outcome(
        said + _left_out(found),
        {
            # Not judged: the more members share an address, the larger it is.
            "busiest": Value(ratio, "ratio"),
            "addresses": Value(len(found.addresses)),
            "requests": Value(found.requests),
        },
        Table(
            "busiest addresses",
            ["requests", "signed in", "address"],
            [
                [f"{times:,}", share(found.signed_in[address] / times), address]
                for address, times in found.addresses.most_common(SHOWN)
            ],
        ),
        least=worst((least(found.since), Verdict.WARNING if is_proxied else Verdict.OK)),
    )


def _local_share_of_members(found: Traffic) -> float:
    """The share of this machine's own addresses in the requests of signed-in members; 0 if these are few."""
    total = found.signed_in.total()
    if total < FEW_REQUESTS:
        return 0.0
    local = (times for address, times in found.signed_in.items() if _is_local(address))
    return sum(local) / total


def _is_local(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


@check(
    "nginx.limits",
    "Requests refused by limits (429)",
    section=Section.LOGS,
    looks_at=f"nginx's access log, the last {HOURS} hours",
    commands=(
        (
            "chitlaq logs nginx --json --since 24h"
            ' | jq -Rr \'fromjson? | select(.limit != "") | .limit + " " + .remote_addr\''
            " | sort | uniq -c | sort -nr | head -10"
        ),
    ),
    remedy=(
        "An address with many members behind it (see its signed-in share): raise the limit that is named,"
        " `limits.address_*`; never ban it. One with none: block it in the firewall. `account`, `login`: one"
        " member's program asks too often. If the address is our own TLS proxy: `trusted_proxies`."
    ),
    timeout_seconds=COUNTED_SECONDS,
    is_heavy=True,
)
async def limits(system: SystemView) -> CheckOutcome:
    found = await _traffic(system)
    refused = {limit: sum(times.values()) for limit, times in found.limited.items()}
    # Refused connections made no request.
    total = found.requests + refused.get("connections", 0)
    worst_limit, most = max(refused.items(), key=lambda pair: pair[1], default=("", 0))
    ratio = most / total if total else 0.0
    by_members = found.signed_in.total()
    # Their share is their own: no flood of others makes it small.
    affected = found.refused_members.total() / by_members if by_members else 0.0
    members = set().union(*found.refused_accounts.values())
    said = "no limit was reached"
    if worst_limit:
        addresses = found.limited[worst_limit]
        said = (
            f"{count(sum(refused.values()), 'request')} of {total:,} refused; the limit"
            f" {worst_limit} refused {share(ratio)},"
            f" from {count(len(addresses), 'address', 'addresses')}; of the requests of signed-in members,"
            f" {share(affected)} were refused"
        )
        if members:
            said += f", to {await _share_of_members(system, len(members))}"
    is_enough = total >= FEW_REQUESTS
    trouble = ended.of(found.refusals.values())
    threshold = ended.limits(system.thresholds.limited_ratio, trouble)
    return outcome(
        said + ended.said(trouble) + _left_out(found),
        {
            "refused": Value(ratio, "ratio", *(threshold if is_enough else ())),
            "members": Value(
                affected,
                "ratio",
                *(threshold if by_members >= FEW_REQUESTS else ()),
            ),
            "affected": Value(len({one for times in found.limited.values() for one in times})),
            "accounts": Value(len(members)),
            "requests": Value(total),
        },
        Table(
            "limits",
            ["limit", "refused", "of all", "of members'", "members", "addresses"],
            [
                [
                    limit,
                    f"{times:,}",
                    share(times / total),
                    share(found.refused_members[limit] / max(by_members, 1)),
                    f"{len(found.refused_accounts[limit]):,}",
                    str(len(found.limited[limit])),
                ]
                for limit, times in sorted(refused.items(), key=lambda pair: -pair[1])
            ],
        ),
        Table(
            "most refused",
            ["limit", "refused", "of its requests", "signed in", "address"],
            _most_refused(found),
        ),
        least=least(found.since),
    )


async def _share_of_members(system: SystemView, refused: int) -> str:
    """How many members that is, and of how many, if PostgreSQL says how many there were that day."""
    said = count(refused, "member")
    with suppress(UnknownResult):
        (row,) = await system.postgres.rows("members_of_a_day")
        return f"{said} ({share(refused / max(row['members'], refused))} of those active that day)"
    return said


def _most_refused(found: Traffic) -> list[list[str]]:
    rows = [
        (times, limit, address)
        for limit, by_address in found.limited.items()
        for address, times in by_address.items()
    ]
    return [
        [
            limit,
            f"{times:,}",
            share(times / max(found.addresses[address], times)),
            share(found.signed_in[address] / max(found.addresses[address], 1)),
            address,
        ]
        for times, limit, address in sorted(rows, reverse=True)[:SHOWN]
    ]


@check(
    "nginx.statuses",
    "Responses by status",
    section=Section.LOGS,
    looks_at=f"nginx's access log, the last {HOURS} hours",
    commands=(
        "chitlaq logs nginx --tail 20",
        "chitlaq logs nginx --json --since 24h | jq -Rr 'fromjson? | .status' | sort | uniq -c | sort -nr",
    ),
    remedy="5xx: the route tells the service, see `chitlaq logs SERVICE --errors`. 4xx: see `api.refusals`.",
    timeout_seconds=COUNTED_SECONDS,
    is_heavy=True,
    stands_on=SERVING,
)
async def statuses(system: SystemView) -> CheckOutcome:
    found = await _traffic(system)
    failed = sum(times for status, times in found.statuses.items() if status >= 500)
    refused = sum(times for status, times in found.statuses.items() if 400 <= status < 500)
    ratio = failed / found.requests if found.requests else 0.0
    trouble = ended.of(group for words, group in found.failures.items() if words.startswith("5"))
    threshold = ended.limits(system.thresholds.server_errors_ratio, trouble)
    is_enough = found.requests >= FEW_REQUESTS
    return outcome(
        f"{failed:,} of {count(found.requests, 'request')} failed{ended.said(trouble)}, {refused:,} refused"
        + _left_out(found),
        {
            "failed": Value(ratio, "ratio", *(threshold if is_enough else ())),
            "refused": Value(refused),
            "requests": Value(found.requests),
        },
        Table(
            "statuses",
            ["status", "requests"],
            [[str(status), f"{times:,}"] for status, times in sorted(found.statuses.items())],
        ),
        grouped("failed and refused", list(found.failures.values())),
        least=least(found.since),
    )
