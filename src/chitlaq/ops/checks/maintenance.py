"""Maintenance: package updates, log rotation, and files that are safe to delete."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from chitlaq.core.errors import NotApplicable, OperatorError, UnknownResult
from chitlaq.core.formatting import count, duration, size
from chitlaq.ops.actions import cleanup
from chitlaq.ops.actions.machine import APT_UPGRADE
from chitlaq.ops.checks.model import (
    Check,
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
from chitlaq.ops.checks.sources.judged_by import SUPERVISOR
from chitlaq.ops.checks.sources.system import PROGRAM_SECONDS, SystemView
from chitlaq.stack.install import preflight
from chitlaq.stack.install.server_programs import State

SHOWN = 30
APT_LISTS = Path("/var/lib/apt/lists")
APT_STAMPS = Path("/var/lib/apt/periodic")
ROTATION_SLACK = 1.5
OLD_ROTATION_SECONDS = 2 * 86_400
OLD_LISTS_SECONDS = 7 * 86_400
WORKED_OUT_SECONDS = PROGRAM_SECONDS + 5.0
"""apt takes some seconds of a core, and ten times as long while the first start and backup want them too."""
FETCH = "`sudo apt update` fetches them, as does `chitlaq ops do updates`"

_VERDICTS: Mapping[State, Verdict] = {
    "unknown": Verdict.UNKNOWN,
    "warning": Verdict.WARNING,
    "ok": Verdict.OK,
}

# Inst libc6 [2.36-9+deb12u4] (2.36-9+deb12u7 Debian:12.5/stable, Debian-Security:12/stable-security [amd64])
_UPDATE = re.compile(r"^Inst (\S+) (?:\[(\S+)\] )?\((\S+) ([^)]*)\)", re.MULTILINE)
_REMOVAL = re.compile(r"^Remv ", re.MULTILINE)
_STATE = re.compile(r"^Reading state from file: (.+)$", re.MULTILINE)
_LIST = re.compile(r"(?:Release|Packages)(?:\.\w+)?$")


class _Update(NamedTuple):
    package: str
    installed: str
    new: str
    mends_vulnerability: bool
    is_kept_back: bool
    """The action does not install it, because it would remove other packages."""


async def _updates(system: SystemView) -> list[_Update]:
    """Return the pending updates in the package lists.

    Raises:
        NotApplicable: the machine has no apt.
        UnknownResult: the lists are missing or out of date.
    """

    async def simulated(*words: str) -> str:
        # Uses the lists as they are: it fetches nothing and needs no root.
        return await system.run("apt-get", "-s", "-o", "Debug::NoLocking=1", *words, package="apt")

    async def ask() -> list[_Update]:
        # Each works out for seconds what depends on what: whether a package has to go tells whether the
        # action, which removes none, would keep something back.
        text = await simulated("dist-upgrade")
        everything = _UPDATE.findall(text)
        if _REMOVAL.search(text):
            text = await simulated(*APT_UPGRADE)
        installable = {name for name, *_ in _UPDATE.findall(text)}
        await system.blocking(_require_fresh_lists)
        return [
            _Update(name, installed, new, "security" in sources.lower(), name not in installable)
            for name, installed, new, sources in everything
        ]

    return await system.once("updates", ask)


def _require_fresh_lists() -> None:
    # The time of a list is that of the mirror, not of the download. The newest one counts, because the
    # security list changes every day. The stamps are from apt's timers.
    files = [
        *(file for file in APT_LISTS.glob("*") if _LIST.search(file.name)),
        *APT_STAMPS.glob("update-*stamp"),
    ]
    if not any(file.parent == APT_LISTS for file in files):
        raise UnknownResult(f"apt has no package lists in {APT_LISTS}: {FETCH}")
    age = time.time() - max(file.stat().st_mtime for file in files)
    if age > OLD_LISTS_SECONDS:
        raise UnknownResult(f"apt's package lists are {duration(age)} old: {FETCH}")


def _waiting(id: str, title: str, limit: str, *, only_security: bool) -> Check:  # noqa: A002
    @check(
        id,
        title,
        section=Section.MAINTENANCE,
        looks_at="a simulated upgrade with package lists of the last 7 days (`sudo apt update`)",
        commands=(
            ("sudo apt update", "apt list --upgradable 2>/dev/null | grep -- -security")
            if only_security
            else ("sudo apt update", "apt list --upgradable")
        ),
        remedy="`chitlaq ops do updates` shows what would change, and installs it after confirmation.",
        timeout_seconds=WORKED_OUT_SECONDS,
        is_heavy=True,
    )
    async def updates(system: SystemView) -> CheckOutcome:
        waiting = [
            one for one in await _updates(system) if one.mends_vulnerability or not only_security
        ]
        kept_back = sum(one.is_kept_back for one in waiting)
        said = f"{count(len(waiting), 'pending security update' if only_security else 'pending update')}"
        if kept_back:
            said += f", {kept_back} of them kept back because they remove packages: `sudo apt full-upgrade`"
        return outcome(
            said,
            {
                "waiting": Value(len(waiting), "", *getattr(system.thresholds, limit)),
                "kept_back": Value(kept_back),
            },
            Table(
                "packages",
                ["package", "installed", "new", "kept back"],
                [
                    [one.package, one.installed, one.new, "yes" if one.is_kept_back else ""]
                    for one in waiting[:SHOWN]
                ],
            ),
        )

    return updates


updates = _waiting("updates.all", "Package updates", "updates_waiting", only_security=False)
security_updates = _waiting(
    "updates.security", "Security updates", "security_updates_waiting", only_security=True
)


@check(
    "updates.programs",
    "Programs of the servers",
    section=Section.MAINTENANCE,
    looks_at="nginx, PostgreSQL, Valkey, the observers: which program runs, where it came from, and whether"
    " package lists or the package index have a newer one",
    commands=("chitlaq doctor",),
    remedy="Update the package that is named, then `chitlaq restart` the component. nginx: install the"
    " distribution's package, or give this machine access to its mirror, and ChitLaq fetches it.",
    timeout_seconds=25.0,
    is_heavy=True,
)
async def server_programs(system: SystemView) -> CheckOutcome:
    statuses = await system.statuses()
    try:
        found = await system.blocking(
            lambda: preflight.server_programs(system.home, system.settings, statuses)
        )
    except OperatorError as error:
        raise UnknownResult(str(error)) from None
    by_state = {state: [one for one in found if one.state == state] for state in _VERDICTS}
    said = [
        f"{one.component} {one.detail}"
        for state in _VERDICTS
        for one in by_state[state]
        if state != "ok"
    ]
    return outcome(
        "; ".join(said) or f"{count(len(found), 'program')}, none with a newer one known",
        {"newer": Value(len(by_state["warning"])), "unknown": Value(len(by_state["unknown"]))},
        Table(
            "programs",
            ["component", "version", "state", "detail"],
            [[one.component, one.version, one.state, one.detail] for one in found],
        ),
        least=worst(_VERDICTS[one.state] for one in found),
    )


@check(
    "cleanup.candidates",
    "Files safe to delete",
    section=Section.MAINTENANCE,
    looks_at="rotated logs, downloaded package archives, drafts left behind by killed processes",
    commands=("chitlaq ops do prune",),
    remedy="`chitlaq ops do prune` lists each file with the reason; `--yes` deletes them.",
    is_heavy=True,
)
async def candidates(system: SystemView) -> CheckOutcome:
    found = await cleanup.candidates(system.home)
    total = sum(one.bytes for one in found)
    return outcome(
        f"{count(len(found), 'file')}, {size(total)} in total",
        {"bytes": Value(total, "bytes"), "files": Value(len(found))},
        Table(
            "files",
            ["size", "file", "why"],
            [[size(one.bytes), str(one.path), one.reason] for one in found[:SHOWN]],
        ),
    )


@check(
    "logs.rotation",
    "Log rotation",
    section=Section.MAINTENANCE,
    looks_at="CHITLAQ_HOME/logs: size and age of each current file; logrotate, if it is installed",
    commands=("ls -la $CHITLAQ_HOME/logs", "sudo logrotate -d /etc/logrotate.conf"),
    remedy="ChitLaq's logs: `chitlaq rotate`; if that fails, the supervisor is down or the disk is full. The"
    " machine's: fix what logrotate reports, then `sudo logrotate /etc/logrotate.conf`.",
)
async def rotation(system: SystemView) -> CheckOutcome:
    files = await system.blocking(lambda: _files(system.home.logs))
    written = {name: state for name, state in files.items() if name.endswith(".log")}
    if not written:
        raise UnknownResult(f"no log files in {system.home.logs}", SUPERVISOR)
    name, largest = max(written.items(), key=lambda pair: pair[1].st_size)
    is_late = largest.st_size > system.settings.logs.max_bytes * ROTATION_SLACK
    total = sum(state.st_size for state in files.values())
    rows = [
        [
            one,
            size(state.st_size),
            f"{datetime.fromtimestamp(state.st_mtime).astimezone():%m-%d %H:%M}",
        ]
        for one, state in sorted(written.items())
    ]
    said = (
        f"{name} is {size(largest.st_size)} and overdue for rotation"
        if is_late
        else f"{count(len(files), 'file')}, {size(total)} in total, {name} the largest"
    )
    machine, least, complaints = await _logrotate(system)
    return outcome(
        f"{said}; {machine}",
        {"total": Value(total, "bytes"), "largest": Value(largest.st_size, "bytes")},
        Table("current files", ["file", "size", "last written"], rows),
        Lines("logrotate", complaints),
        least=worst((least, Verdict.WARNING if is_late else Verdict.OK)),
    )


def _files(folder: Path) -> dict[str, os.stat_result]:
    found = {}
    for file in folder.glob("*.log*"):
        with suppress(FileNotFoundError):  # rotated meanwhile
            found[file.name] = file.stat()
    return found


async def _logrotate(system: SystemView) -> tuple[str, Verdict, list[str]]:
    """Return a summary, a verdict and the errors of logrotate's configuration and last run."""
    try:
        result = await system.command_result(
            "logrotate", "-d", "/etc/logrotate.conf", package="logrotate"
        )
    except NotApplicable as error:
        return str(error), Verdict.OK, []
    found = _STATE.search(result.stderr)
    if found is None:
        raise UnknownResult(
            f"logrotate does not print the path of its state: {result.stderr[-200:]}"
        )
    errors = [
        line
        for line in result.stderr.splitlines()
        # Only root can read its state, but anyone can read the time of the file.
        if line.startswith("error: ") and found[1] not in line
    ]
    hidden = [line for line in errors if "Permission denied" in line]
    if len(errors) > len(hidden):
        return f"logrotate reports {count(len(errors), 'error')}", Verdict.WARNING, errors
    if hidden:
        return (
            "logrotate cannot read everything as this user: check as root",
            Verdict.UNKNOWN,
            hidden,
        )
    try:
        state = await system.blocking(Path(found[1]).stat)
    except FileNotFoundError:
        return "logrotate has never run", Verdict.WARNING, []
    age = time.time() - state.st_mtime
    is_old = age > OLD_ROTATION_SECONDS
    return f"logrotate ran {duration(age)} ago", Verdict.WARNING if is_old else Verdict.OK, []
