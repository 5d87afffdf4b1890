"""Whether a running stack may be brought to this version: its settings, migrations, disk, proven backups."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime

import msgspec

from chitlaq import __version__
from chitlaq.backups.catalog import status
from chitlaq.backups.context import BackupContext
from chitlaq.core import versions
from chitlaq.core.data import migration_review
from chitlaq.core.data.migration_review import Review
from chitlaq.core.errors import OperatorError
from chitlaq.core.formatting import duration, size
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.supervisor import control
from chitlaq.stack.supervisor.control import Status
from chitlaq.stack.supervisor.reloading import Change

SPARE_BYTES = 500e6
"""What has to stay free beside what migrations write."""
COPIES = 2
"""A table that is written anew is there twice until the end, and once more in the WAL."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    Args:
        subject: what.
        said: how it is.
        refusal: why the upgrade must not begin; empty if it may.
    """

    subject: str
    said: str
    refusal: str = ""


class UpgradeCheck(msgspec.Struct, frozen=True):
    """What an upgrade to this version would meet."""

    findings: list[Finding]
    migrations: list[Review]

    @property
    def refusals(self) -> list[str]:
        return [one.refusal for one in self.findings if one.refusal]


def look(home: Home, settings: Settings) -> UpgradeCheck:
    """Look at the running stack, and change nothing.

    Raises:
        NotRunningError: no stack runs here.
        OperatorError: the database cannot be asked, or this version does not work with it.
    """
    running = control.running_version(home)
    pending = migration_review.pending(settings, home)
    findings = [
        _versions(running),
        _health(control.ask(home, control.Ps())),
        _settings(control.reload(home, control.Reload())),
        _migrations(pending, running),
        _disk(home, settings, pending),
        _backup(home, settings),
    ]
    return UpgradeCheck(findings, pending)


def _versions(running: str) -> Finding:
    if not running or running == __version__:
        return Finding("version", f"{__version__} runs, and is installed")
    way = "back" if versions.is_older(__version__, running) else "on"
    return Finding("version", f"{way} from {running} to {__version__}")


def _health(statuses: list[Status]) -> Finding:
    bad = [f"{one.name} ({one.state})" for one in statuses if one.is_needed and not one.is_well]
    refusal = f"{', '.join(bad)} must be well before: see `chitlaq ps`" if bad else ""
    return Finding("components", refusal or "all are well", refusal)


def _settings(changed: list[Change]) -> Finding:
    """Say which settings are others than those that run: who is replaced reads them."""
    if not changed:
        return Finding("settings", "as they run")
    names = ", ".join(one.setting for one in changed)
    starts = ", ".join(one.setting for one in changed if one.means == "start")
    refusal = f"{starts} in the file can change only while everything is stopped" if starts else ""
    return Finding("settings", f"changed, and read with it: {names}", refusal)


def _migrations(pending: list[Review], running: str) -> Finding:
    faults = [f"{one.name} {one.refusal}" for one in pending if one.refusal]
    faults += [
        f"{one.name} takes away what {running or 'the version before'} may use"
        for one in pending
        if one.is_too_new_for(running)
    ]
    seconds = sum(one.seconds for one in pending)
    said = f"{len(pending)} pending, at most about {seconds:.0f} s" if pending else "none pending"
    return Finding("migrations", said, "; ".join(faults))


def _disk(home: Home, settings: Settings, pending: list[Review]) -> Finding:
    """Judge the disk of the home, where an embedded PostgreSQL has its data; another one's is not seen."""
    free = shutil.disk_usage(home.root).free
    writes = COPIES * sum(work.bytes for one in pending for work in one.works)
    needed = SPARE_BYTES + (0 if settings.database_url else writes)
    said = f"{size(free)} free, {size(needed)} needed"
    refusal = f"the disk of {home.root} has {said}" if free < needed else ""
    if settings.database_url and writes:
        said += f"; see that PostgreSQL's has {size(writes)}"
    return Finding("disk", said, refusal)


def _backup(home: Home, settings: Settings) -> Finding:
    """Say how old the newest proof is; an upgrade that only adds does not depend on one."""
    context = BackupContext(home, settings)
    try:
        kinds = status.read(context).kinds
    except OSError as error:
        raise OperatorError(f"Cannot read {context.folder}: {error.strerror}.") from None
    proofs = [
        last.drilled.at
        for kind in kinds
        if kind.name != "configuration" and (last := kind.last_drilled) and last.drilled
    ]
    if not proofs:
        return Finding("proven backup", "none: `chitlaq backup run`, then `chitlaq backup drill`")
    age = (datetime.now(UTC) - max(proofs)).total_seconds()
    return Finding("proven backup", f"restored and compared {duration(age)} ago")
