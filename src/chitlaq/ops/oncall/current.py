"""The roster that is in effect: ``oncall.toml``, or while that is broken the last version that was valid.

The last valid version is kept in a file beside the operations database rather than in it: it contains
secrets, and backups have the database in the open.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files
from chitlaq.core.installation import toml_files
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import Secret
from chitlaq.core.installation.settings import Operations
from chitlaq.core.telemetry import logs
from chitlaq.ops.oncall.roster import (
    ON_CALL,
    RUNBOOK,
    SUPPORT,
    Channel,
    Person,
    Policy,
    Roster,
    RosterError,
    parse,
)

REPORT_TO = "report_to"

log = logs.get("oncall")


class Current(msgspec.Struct, frozen=True):
    """The roster in effect; where the file is at fault also why, and what follows from that."""

    roster: Roster
    fault: str = ""

    @property
    def why_nobody(self) -> str:
        """Why nobody is told, where nobody is."""
        if self.fault:
            return self.fault
        if not self.roster.people:
            return (
                "Neither oncall.toml nor operations.report_to names anybody: `chitlaq oncall init` writes an"
                " example."
            )
        return "The plan has a gap now: `chitlaq oncall override add` fills it."


def read(home: Home, operations: Operations, *, is_keeper: bool = False) -> Current:
    """Return the roster in effect. Without people it is that of `operations.report_to`.

    Args:
        home: has the file, and the last valid version.
        operations: who is told where nobody is configured.
        is_keeper: whether this is ops-service, which keeps the file as the last valid version.
    """
    is_missing = False
    try:
        text = toml_files.text_of(home.oncall_file)
        valid = parse(text)
    except (FileNotFoundError, NotADirectoryError):
        is_missing = True
        fault = f"{home.oncall_file} is missing: put it back, or write an empty file to have nobody on call."
    except RosterError as error:
        fault = str(error)
    except (OSError, ValueError) as error:
        fault = f"{home.oncall_file} cannot be read: {error}."
    else:
        if is_keeper:
            try:
                # What was checked: the file may have been replaced since.
                files.ensure(home.last_roster, text.encode(), mode=0o600)
            except OSError as error:
                log.warning("valid roster not kept", error=str(error))
        return Current(_or_report_to(valid, operations))
    try:
        kept = _or_report_to(parse(toml_files.text_of(home.last_roster)), operations)
    except (FileNotFoundError, NotADirectoryError):
        if is_missing:
            return Current(_or_report_to(Roster(), operations))
        then = "There is no earlier version that was valid"
    except (OSError, ValueError, OperatorError) as error:
        then = f"The last valid version cannot be read either ({error})"
    else:
        return Current(kept, f"{fault} The last valid version is in effect.")
    told = _or_report_to(Roster(), operations)
    whom = "only operations.report_to is told" if told.people else "nobody is told of incidents"
    return Current(told, f"{fault} {then}: {whom}.")


def _or_report_to(roster: Roster, operations: Operations) -> Roster:
    """Return a roster, or if it has nobody one in which the recipients of reports are told at once."""
    if roster.people:
        return roster
    urls = [*(Secret(one) for one in operations.report_to), *operations.notify]
    channels = [Channel(url) for url in urls]
    if not channels:
        return roster
    named = tuple(
        msgspec.structs.replace(one, name=f"{one.service} {number}")
        for number, one in enumerate(channels, 1)
    )
    person = Person(named, "operations.report_to", REPORT_TO)
    policies: Mapping[str, Policy] = {
        severity: msgspec.structs.replace(
            policy, levels=(SUPPORT if severity == "P3" else ON_CALL,)
        )
        for severity, policy in RUNBOOK.items()
    }
    levels = dict.fromkeys((ON_CALL, SUPPORT), (REPORT_TO,))
    return Roster({REPORT_TO: person}, {}, levels, policies)


def is_configured(roster: Roster) -> bool:
    """Whether people are configured, rather than only the recipients of reports."""
    return bool(roster.people) and REPORT_TO not in roster.people
