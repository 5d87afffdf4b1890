"""What nobody but the operator can decide: said once, in one place, instead of as a warning of every run.

A new installation cannot know whom to wake, who keeps the key of its secrets, or what sets the clock of its
machine. What was decided and does not hold any more is a fault, which the check of the subject finds.
"""

from __future__ import annotations

from collections.abc import Sequence

from chitlaq.core.errors import UnknownResult
from chitlaq.core.formatting import count
from chitlaq.ops.checks.model import CheckOutcome, Lines, Section, Value, check, outcome
from chitlaq.ops.checks.sources.system import SystemView
from chitlaq.ops.oncall import current

WHERE = "a decision of the operator, see installation.decisions"
KEPT_LATELY = "min(max_over_time(node_timex_sync_status[7d]))"


async def on_call(system: SystemView) -> str:
    """Say that it is undecided who is told of incidents; empty if it is decided."""
    found = await system.blocking(lambda: current.read(system.home, system.settings.operations))
    # An empty file says that nobody is to be told.
    if found.fault or found.roster.people or system.home.oncall_file.exists():
        return ""
    return "who is told of incidents: `chitlaq oncall init`, or `operations.report_to`"


async def backup_key(system: SystemView) -> str:
    """Say that no key encrypts the secrets in backups; empty if one does."""
    if system.settings.backups.recipients:
        return ""
    return "who keeps the key to the secrets in backups: `chitlaq backup key`"


async def time_service(system: SystemView) -> str:
    """Say that nothing has kept the clock lately; empty if something has, even if it stopped.

    Raises:
        UnknownResult: Prometheus does not know.
    """
    if await system.prometheus.number(KEPT_LATELY) == 1:
        return ""
    return (
        "what keeps the clock: `systemctl enable --now systemd-timesyncd`, chrony, or the host of this"
        " virtual machine or container"
    )


@check(
    "installation.decisions",
    "Decisions of the operator",
    section=Section.CHECKLIST,
    looks_at="oncall.toml, the settings, and whether the clock has been kept within seven days",
    commands=("chitlaq oncall show", "chitlaq config show", "timedatectl status"),
    remedy="Decide what is named, or leave it: nothing else asks for it.",
)
async def decisions(system: SystemView) -> CheckOutcome:
    found = [await on_call(system), await backup_key(system)]
    try:
        found.append(await time_service(system))
    except UnknownResult as error:
        said = f"{_said(found)}; what keeps the clock is not known: {error}"
        raise type(error)(said, error.judged_by) from None
    undecided = [one for one in found if one]
    return outcome(_said(found), {"open": Value(len(undecided))}, Lines("undecided", undecided))


def _said(found: Sequence[str]) -> str:
    undecided = [one for one in found if one]
    if not undecided:
        return "none is open"
    return f"{count(len(undecided), 'decision')} open: {'; '.join(undecided)}"
