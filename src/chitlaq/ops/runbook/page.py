"""The page: section by section in the seed's order, then a table of every line of the seed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from chitlaq.core.installation.settings import Settings
from chitlaq.ops.actions.model import Action
from chitlaq.ops.actions.registry import ACTIONS
from chitlaq.ops.checks import registry
from chitlaq.ops.checks.model import Check
from chitlaq.ops.routines import ROUTINES
from chitlaq.ops.runbook import seed

HEAD = """\
# Daily operations

This page is rendered from the program by `chitlaq ops runbook`: every procedure below is a check or an
action that ChitLaq runs, judges and records, and a test fails when page and program differ. Its order
is that of the document which ChitLaq was made from.

You need not type what stands under *by hand*: it is there for when you want to look with your own
eyes, once for the embedded stack and once for containers where that differs.
"""

# Chapters that hold no commands: contents, and what people agree on among themselves.
_WITHOUT = frozenset({"Executive Summary", "Table of Contents", "Conclusion"})

ESCALATION = """\
| severity | means | first answer | who |
|---|---|---|---|
| P0 | completely down, data lost, a breach | within 15 minutes | on call, then team lead, then CTO |
| P1 | degraded, slow, partly out | within 1 hour | on call, then team lead |
| P2 | minor, no member is kept from anything | within 4 hours | on call |
| P3 | small faults, wishes, words | within 24 hours | support |

Every alert carries its severity (`chitlaq alerts --active`, [alerts.md](alerts.md)).
"""

_LOGS = re.compile(r"chitlaq logs ([\w-]+) --tail (\d+)")


def rendered() -> str:
    """Return the page in Markdown."""
    return "\n".join([HEAD, *_routines(), *_chapters(), *_table()]) + "\n"


def _routines() -> Iterator[str]:
    yield "## The routines\n"
    yield "| you type | at | what it asks | checks |"
    yield "|---|---|---|---|"
    settings = Settings()
    for one in ROUTINES.values():
        at = getattr(settings.operations, one.name)
        yield f"| `chitlaq ops {one.name}` | {at} | {one.title} | {len(one.checks)} |"
    yield (
        "\nops-service runs them at these times by itself (settings `operations.…`). `--details` shows"
        " evidence, `--json`, `--nagios` and `--markdown` are for others; `chitlaq ops history`, `diff`,"
        " `ack`, `note` and `actions` are the record.\n"
    )


def _chapters() -> Iterator[str]:
    told: set[str] = set()
    sections = seed.sections()
    for index, section in enumerate(sections):
        if section.title in _WITHOUT:
            continue
        has_commands = bool(section.commands) or _has_commands(sections, index)
        if section.title == "Escalation Procedures":
            yield f"## {section.title}\n\n{ESCALATION}"
        if not has_commands:
            continue
        yield f"{'#' * section.level} {section.title}\n"
        names = dict.fromkeys(
            name for command in section.commands for name in seed.answer(command).by
        )
        again = [name for name in names if name in told]
        for name in names:
            if name not in told:
                told.add(name)
                yield from _procedure(name)
        if again:
            yield f"See above: {', '.join(_link(name) for name in again)}.\n"
    everything = (*registry.CHECKS, *(f"do {name}" for name in ACTIONS))
    yield "## What that document did not ask for\n"
    for name in everything:
        if name not in told:
            yield from _procedure(name)


def _has_commands(sections: tuple[seed.SeedSection, ...], index: int) -> bool:
    """Whether a section below this one has commands."""
    for one in sections[index + 1 :]:
        if one.level <= sections[index].level:
            return False
        if one.commands:
            return True
    return False


def _procedure(name: str) -> Iterator[str]:
    if name in registry.CHECKS:
        yield from _check(registry.CHECKS[name])
    elif name.startswith("do "):
        yield from _action(ACTIONS[name.removeprefix("do ")])
    else:
        yield f'<a id="{_anchor(name)}"></a>\n**`chitlaq {name}`**\n'


def _check(check: Check) -> Iterator[str]:
    yield f'<a id="{_anchor(check.id)}"></a>\n**{check.title}**: `chitlaq ops check {check.id}`\n'
    yield f"Looks at {check.looks_at}. When it is not OK: {check.remedy}\n"
    embedded = registry.commands(check, Settings())
    yield from _by_hand(embedded)


def _action(action: Action) -> Iterator[str]:
    target = f" {action.target.rpartition(' ')[2].upper()}" if action.target else ""
    yield f'<a id="{_anchor(f"do {action.name}")}"></a>'
    yield f'**{action.title}**: `chitlaq ops do {action.name}{target} --why "…"`\n'
    yield "It shows what it will do, asks, and is recorded.\n"
    yield from _by_hand(list(action.commands))


def _by_hand(embedded: list[str]) -> Iterator[str]:
    containers = [in_containers(command) for command in embedded]
    yield "```bash"
    yield from embedded
    if containers != embedded:
        yield "# in containers"
        yield from (b for a, b in zip(embedded, containers, strict=True) if a != b)
    yield "```\n"


def in_containers(command: str) -> str:
    """Return a command of the embedded stack as it is typed beside a compose file."""
    command = _LOGS.sub(r"docker compose logs \1 --tail=\2", command)
    for ours, theirs in (
        ("chitlaq exec ", "docker compose exec "),
        ("chitlaq ps", "docker compose ps"),
        ("chitlaq stats", "docker stats --no-stream"),
        ("chitlaq restart ", "docker compose restart "),
        ("chitlaq ", "docker compose exec ops-service chitlaq "),
    ):
        if command.startswith(ours):
            return theirs + command.removeprefix(ours)
    return command


def _table() -> Iterator[str]:
    yield "## Every line of the document this began as\n"
    yield "| line | answered by | correction |"
    yield "|---|---|---|"
    told = set()
    for section in seed.sections():
        for command in section.commands:
            if command in told:
                continue
            told.add(command)
            found = seed.answer(command)
            line = command.replace("|", "\\|")
            by = ", ".join(_link(name) for name in found.by)
            yield f"| `{line}` | {by} | {found.correction} |"


def _link(name: str) -> str:
    return f"[{name}](#{_anchor(name)})"


def _anchor(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name)
