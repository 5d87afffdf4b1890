"""What must be done now and then: updates of the machine, and what may be cleared away."""

from __future__ import annotations

import re

from chitlaq.ops import pruning
from chitlaq.ops.checks.check import Check, Finding, Section, Table, Value, check, finding, judged
from chitlaq.ops.checks.system import System
from chitlaq.ops.checks.words import count, size

SHOWN = 30

# Inst libc6 [2.36-9+deb12u4] (2.36-9+deb12u7 Debian:12.5/stable, Debian-Security:12/stable-security [amd64])
_UPDATE = re.compile(r"^Inst (\S+) (?:\[(\S+)\] )?\((\S+) ([^)]*)\)", re.MULTILINE)


async def _updates(system: System) -> list[tuple[str, str, str, bool]]:
    """(package, installed, new version, whether it mends a vulnerability) of what waits.

    Raises:
        NotHere: the machine has no apt.
    """

    async def ask() -> list[tuple[str, str, str, bool]]:
        # Simulated, and from the lists as they are: nothing is fetched, and no root is needed.
        text = await system.run(
            "apt-get", "-s", "-o", "Debug::NoLocking=1", "dist-upgrade", package="apt"
        )
        return [
            (name, installed or "", new, "security" in sources.lower())
            for name, installed, new, sources in _UPDATE.findall(text)
        ]

    return await system.once("updates", ask)


def _waiting(id: str, title: str, limit: str, *, only_security: bool) -> Check:  # noqa: A002
    @check(
        id,
        title,
        section=Section.MAINTENANCE,
        looks_at="the package manager's lists as they were last fetched, by a simulated upgrade",
        commands=(
            ("sudo apt update", "apt list --upgradable 2>/dev/null | grep -- -security")
            if only_security
            else ("sudo apt update", "apt list --upgradable")
        ),
        remedy="`chitlaq ops do updates` shows what would change, and does it when told.",
        seconds=20.0,
        is_heavy=True,
    )
    async def updates(system: System) -> Finding:
        waiting = [one for one in await _updates(system) if one[3] or not only_security]
        kind = "security update" if only_security else "update"
        return finding(
            f"{count(len(waiting), kind)} waiting",
            {"waiting": judged(len(waiting), "", getattr(system.limits, limit))},
            Table(
                "packages",
                ["package", "installed", "new"],
                [[name, installed, new] for name, installed, new, _ in waiting[:SHOWN]],
            ),
        )

    return updates


updates = _waiting("updates.all", "Updates of the machine", "updates_waiting", only_security=False)
security_updates = _waiting(
    "updates.security", "Security updates", "security_updates_waiting", only_security=True
)


@check(
    "cleanup.candidates",
    "What may be cleared away",
    section=Section.MAINTENANCE,
    looks_at="rotated logs, fetched package archives, drafts left behind by killed processes",
    commands=("chitlaq ops do prune",),
    remedy="`chitlaq ops do prune` shows each file and why; `--yes` removes them.",
    is_heavy=True,
)
async def candidates(system: System) -> Finding:
    found = await system.blocking(lambda: pruning.candidates(system.home))
    total = sum(one.bytes for one in found)
    return finding(
        f"{count(len(found), 'file')}, {size(total)} in all",
        {"bytes": Value(total, "bytes"), "files": Value(len(found))},
        Table(
            "files",
            ["size", "file", "why"],
            [[size(one.bytes), str(one.path), one.reason] for one in found[:SHOWN]],
        ),
    )
