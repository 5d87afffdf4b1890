"""What an action is, and the record of one that was carried out."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.checks.model import Section


@dataclass(frozen=True, slots=True)
class ActionContext:
    """The installation that an action works on; when it is carried out, also by whom and why."""

    home: Home
    settings: Settings
    operator: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Action:
    """An action that an operator can carry out.

    Args:
        name: the word that operators type.
        title: what it does.
        section: the runbook's chapter that calls for it.
        target: what must be given with it, in words; empty if nothing.
        commands: the equivalent shell commands.
        plan: returns what it will do, line by line, without doing it.
        do: does it, and returns what happened.
    """

    name: str
    title: str
    section: Section
    target: str
    commands: tuple[str, ...]
    plan: Callable[[ActionContext, str], Coroutine[Any, Any, list[str]]]
    do: Callable[[ActionContext, str], Coroutine[Any, Any, str]]


class ActionRecord(msgspec.Struct, frozen=True):
    """An action as it is recorded."""

    id: UUID
    action: str
    target: str
    operator: str
    reason: str
    started_at: datetime
    ended_at: datetime | None
    succeeded: bool | None
    output: str
