"""Who is told of incidents, whether their channels work, and whether anybody notices when nothing works."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec

from chitlaq.core.errors import NotApplicable
from chitlaq.core.formatting import count, duration
from chitlaq.ops.checks import decisions, lease
from chitlaq.ops.checks.model import (
    CheckOutcome,
    Lines,
    Section,
    Table,
    Value,
    Verdict,
    check,
    outcome,
    worst,
)
from chitlaq.ops.checks.sources.system import SystemView
from chitlaq.ops.oncall import current, duties, rotations
from chitlaq.ops.oncall.current import Current
from chitlaq.ops.oncall.roster import ON_CALL, Roster
from chitlaq.ops.oncall.rotations import Override
from chitlaq.ops.watchdog.heartbeat_sender import CHANNEL, SENDER

UNTRIED_AFTER = timedelta(days=35)
"""A channel that carried no message for so long may have died meanwhile."""
GAP_SOON = timedelta(hours=24)
HEARTBEAT_SECONDS = (180.0, 600.0)


async def _read(system: SystemView) -> tuple[Current, list[Override]]:
    found = await system.blocking(lambda: current.read(system.home, system.settings.operations))
    rows = await system.recorded("overrides", datetime.now(UTC))
    return found, msgspec.convert(list(map(dict, rows)), list[Override], strict=False)


@check(
    "oncall.now",
    "Who is on call",
    section=Section.ESCALATION,
    looks_at="oncall.toml and the overrides",
    commands=("chitlaq oncall now",),
    remedy="`chitlaq oncall init` writes an example; `chitlaq oncall override add` fills a gap at once.",
)
async def now(system: SystemView) -> CheckOutcome:
    found, overrides = await _read(system)
    roster, at = found.roster, datetime.now(UTC)
    told = {
        level: [one.name or one.id for one in rotations.told(roster, overrides, level, at)]
        for level in roster.levels
    }
    table = Table(
        "levels", ["level", "who"], [[level, ", ".join(who)] for level, who in told.items()]
    )
    if await decisions.on_call(system):
        raise NotApplicable(f"nobody is told of incidents yet: {decisions.WHERE}")
    if not roster.people:
        return outcome(f"nobody. {found.why_nobody}", {"told": Value(0)}, least=Verdict.WARNING)
    if not current.is_configured(roster):
        said = (
            "only the recipients of reports (operations.report_to). Missing: people in oncall.toml"
        )
        return outcome(said, {"told": Value(1)}, table, least=Verdict.WARNING)
    on_call = told.get(ON_CALL, [])
    said = ", ".join(on_call) or f"nobody. {found.why_nobody}"
    return outcome(
        said,
        {"told": Value(len(on_call))},
        table,
        least=Verdict.OK if on_call else Verdict.CRITICAL,
    )


@check(
    "oncall.roster",
    "On-call plan",
    section=Section.ESCALATION,
    looks_at="oncall.toml and the overrides of the next four weeks",
    commands=("chitlaq oncall show", "chitlaq oncall override list"),
    remedy="Correct the line that is named in oncall.toml; fill gaps with `chitlaq oncall override add`.",
)
async def roster(system: SystemView) -> CheckOutcome:
    found, overrides = await _read(system)
    if found.fault:
        return outcome(found.fault, {"valid": Value(0)}, least=Verdict.CRITICAL)
    if not current.is_configured(found.roster):
        raise NotApplicable("there is no plan: `chitlaq oncall init` writes an example")
    at = datetime.now(UTC)
    gaps = duties.gaps(found.roster, overrides, at)
    faults = [
        f"nobody has {one.rotation} from {_local(one.starts_at)} until {_local(one.ends_at)}"
        for one in gaps
    ]
    overlapping = rotations.overlaps(overrides)
    faults += [
        f"{one.person} and {other.person} both stand in for {one.rotation} from"
        f" {_local(max(one.starts_at, other.starts_at))}: the last that was made counts"
        for one, other in overlapping
    ]
    faults += _structure(found.roster, overrides, at)
    with suppress(OSError):
        if stat.S_IMODE(system.home.oncall_file.stat().st_mode) & 0o077:
            faults.append("others can read oncall.toml, which contains secrets: chmod 600")
    is_soon = any(one.starts_at - at < GAP_SOON for one in gaps)
    verdict = Verdict.CRITICAL if is_soon else Verdict.WARNING if faults else Verdict.OK
    return outcome(
        faults[0] + (f"; {len(faults) - 1} more" if faults[1:] else "")
        if faults
        else "no gap within four weeks",
        {"valid": Value(1), "gaps": Value(len(gaps)), "overlaps": Value(len(overlapping))},
        Lines("faults", faults),
        least=verdict,
    )


def _structure(roster: Roster, overrides: Sequence[Override], at: datetime) -> list[str]:
    """Return what is valid and yet not what anybody wants."""
    faults = []
    for severity, policy in roster.policies.items():
        missing = [level for level in policy.levels if level not in roster.levels]
        if missing:
            faults.append(
                f"{severity} names levels that [levels] does not have: {', '.join(missing)}"
            )
        told = [
            {one.id for one in rotations.told(roster, overrides, level, at)}
            for level in policy.levels
            if level in roster.levels
        ]
        for first, second in pairwise(told):
            if first and first == second:
                faults.append(
                    f"two levels of {severity} that follow each other are {', '.join(first)} now"
                )
    for rotation in roster.rotations.values():
        for number, layer in enumerate(rotation.layers[:-1]):
            if any(not one.hours and not one.days for one in rotation.layers[number + 1 :]):
                faults.append(
                    f"the layer of {', '.join(layer.people)} is covered by a later one always"
                )
    return faults


@check(
    "oncall.channels",
    "Channels of whoever is told",
    section=Section.ESCALATION,
    looks_at="how the last page or test of each channel went",
    commands=("chitlaq oncall people", "chitlaq oncall test"),
    remedy="`chitlaq oncall test PERSON` sends to each channel and says what came back.",
)
async def channels(system: SystemView) -> CheckOutcome:
    found, _ = await _read(system)
    if not found.roster.people:
        raise NotApplicable("nobody is told of incidents: `chitlaq oncall init` writes an example")
    last = {(row["person"], row["channel"]): row for row in await system.recorded("deliveries")}
    at = datetime.now(UTC)
    rows, verdicts, faults = [], [], []
    for person in found.roster.people.values():
        states = []
        for channel in person.channels:
            row = last.get((person.id, channel.name))
            state = _channel_state(row["outcome"], row["at"], at) if row else "never tried"
            states.append(state)
            rows.append([person.id, channel.name, state, row["detail"] if row else ""])
        if all(state == "failed" for state in states):
            verdicts.append(Verdict.CRITICAL)
            faults.append(f"no channel of {person.id} works")
        elif bad := [state for state in states if state != "works"]:
            verdicts.append(Verdict.WARNING)
            faults.append(
                f"{count(len(bad), 'channel')} of {person.id}: {', '.join(dict.fromkeys(bad))}"
            )
    return outcome(
        "; ".join(faults) if faults else f"all {len(rows)} work",
        {"channels": Value(len(rows)), "faults": Value(sum(row[2] != "works" for row in rows))},
        Table("channels", ["person", "channel", "state", "what came back"], rows),
        least=worst([Verdict.OK, *verdicts]),
    )


def _channel_state(result: str, last_at: str, at: datetime) -> str:
    if result != "sent":
        return "failed"
    return "works" if at - datetime.fromisoformat(last_at) < UNTRIED_AFTER else "not tried for long"


@check(
    "oncall.heartbeat",
    "Heartbeat to the outside",
    section=Section.ESCALATION,
    looks_at="when `operations.heartbeat_url` last took one",
    commands=("chitlaq ops check oncall.heartbeat",),
    remedy=(
        "It is sent while the Watchdog arrives: look at `chitlaq ps` for prometheus, alertmanager and"
        " ops-service; then at the address itself."
    ),
)
async def heartbeat(system: SystemView) -> CheckOutcome:
    if not system.settings.operations.heartbeat_url:
        raise NotApplicable(
            "nobody outside notices when this machine falls silent: set operations.heartbeat_url to a"
            " second ChitLaq's (`chitlaq heartbeat expect`) or to a service's URL"
        )
    if host := await lease.elsewhere(system):
        raise NotApplicable(f"ops-service on {host} sends it, which holds the lease of operations")
    found = [row for row in await system.recorded("deliveries") if row["person"] == SENDER]
    last = next((row for row in found if row["channel"] == CHANNEL), None)
    if last is None:
        return outcome("none was sent yet", {"sent": Value(0)}, least=Verdict.CRITICAL)
    age = (datetime.now(UTC) - datetime.fromisoformat(last["at"])).total_seconds()
    if last["outcome"] != "sent":
        return outcome(
            f"not accepted {duration(age)} ago: {last['detail']}",
            {"sent": Value(0)},
            least=Verdict.CRITICAL,
        )
    warning, critical = HEARTBEAT_SECONDS
    return outcome(
        f"sent {duration(max(0.0, age))} ago", {"age": Value(age, "seconds", warning, critical)}
    )


def _local(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M}"
