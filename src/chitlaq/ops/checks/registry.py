"""All checks, by their id."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.checks import (
    access_log,
    alerts,
    answers,
    backups,
    capacity,
    chat,
    components,
    containers,
    daily_traffic,
    databases,
    decisions,
    disks,
    fail2ban,
    feed,
    host,
    incidents,
    lease,
    logs,
    mail,
    maintenance,
    media,
    network,
    notifications,
    oncall,
    performance,
    search,
    security,
    services,
    sites,
    ssh,
    statuspage,
    transactions,
)
from chitlaq.ops.checks.model import Check
from chitlaq.stack import commands as typed

_MODULES = (
    host, disks, network, services, components, answers, chat, feed, search, notifications, mail, alerts,
    incidents,
    containers, databases, sites, transactions, performance, logs, access_log, backups, ssh,
    fail2ban, security, maintenance, media, capacity, daily_traffic, oncall, lease,
    statuspage, decisions,
)  # fmt: skip

CHECKS: Mapping[str, Check] = {
    declared.id: declared
    for module in _MODULES
    for value in vars(module).values()
    for declared in (value if isinstance(value, tuple) else (value,))
    if isinstance(declared, Check)
}


def select(words: Sequence[str]) -> list[Check]:
    """Return the checks that an operator names: by id, or by the part before the dot.

    Raises:
        OperatorError: there is no such check; the message suggests the nearest.
    """
    found: dict[str, Check] = {}
    for word in words:
        chosen = [one for one in CHECKS.values() if word in {one.id, one.id.partition(".")[0]}]
        if not chosen:
            near = difflib.get_close_matches(word, CHECKS, n=1, cutoff=0.4)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise OperatorError(f"There is no check {word}.{hint} `chitlaq ops list` shows all.")
        found |= {one.id: one for one in chosen}
    return list(found.values())


def one(word: str) -> Check:
    """Return the check with this id.

    Raises:
        OperatorError: there is none, or the word names several.
    """
    if word not in CHECKS:
        select([word])
        raise OperatorError(f"{word} is several checks; name one of them: `chitlaq ops list`.")
    return CHECKS[word]


def commands(check: Check, settings: Settings, home: Home | None = None) -> list[str]:
    """Return the equivalent shell commands, with the ports and folders of this installation, as typed here.

    Without a home, they are those of the documentation.
    """
    root, backups = "$CHITLAQ_HOME", "/opt/backups/chitlaq"
    if home is not None:
        # CHITLAQ_HOME need not be set in the shell that a command is pasted into.
        root, backups = (
            shlex.quote(str(folder)) for folder in (home.root, settings.backup_folder(home))
        )
    found = [
        re.sub(r"\{port:([\w-]+)\}", lambda found: str(settings.port_of(found[1])), command)
        .replace("{backups}", backups)
        .replace("$CHITLAQ_HOME", root)
        for command in check.commands
    ]
    return found if home is None else [typed.here(one, home) for one in found]
