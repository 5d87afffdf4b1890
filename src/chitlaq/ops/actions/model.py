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
    """The installation that an action is done to."""

    home: Home
    settings: Settings


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that an operator may do.

    Args:
        name: the word that is typed.
        title: what it does.
        section: the runbook's chapter that asks for it.
        target: what must be named with it, in words; nothing when it needs none.
        commands: what a person would type for the same.
        plan: what it will do, line by line; looks only.
        do: does it, and says what happened.
    """

    name: str
    title: str
    section: Section
    target: str
    commands: tuple[str, ...]
    plan: Callable[[ActionContext, str], Coroutine[Any, Any, list[str]]]
    do: Callable[[ActionContext, str], Coroutine[Any, Any, str]]


class ActionRecord(msgspec.Struct, frozen=True):
    """An action as it is remembered."""

    id: UUID
    action: str
    target: str
    operator: str
    reason: str
    started_at: datetime
    ended_at: datetime | None
    succeeded: bool | None
    output: str
