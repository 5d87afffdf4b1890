"""What an action is, and the record of one that was carried out."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
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
    say: Callable[[str], None] = lambda _text: None
    """Told how an action that is carried out goes on, line by line."""


@dataclass(frozen=True, slots=True)
class Action:
    """An action that an operator can carry out.

    Args:
        name: the word that operators type.
        title: what it does.
        section: the runbook's chapter that calls for it.
        target: what must be given with it, in words; empty if nothing.
        commands: the equivalent shell commands.
        plan: returns what it will do, line by line, without doing it; only the first line decides whether
            two plans are the same, where ``has_figures``.
        do: does it, and returns what happened.
        is_destructive: what it does cannot be undone by doing something else: a browser lets nobody do it
            who has not typed the target.
        is_detached: it goes on when ops-service ends: the console has a process of its own carry it out.
        needs_fresh_sign_in: the console asks to sign in again, unless that was minutes ago.
        has_figures: the lines of its plan after the first are figures, which change all the time.
    """

    name: str
    title: str
    section: Section
    target: str
    commands: tuple[str, ...]
    plan: Callable[[ActionContext, str], Coroutine[Any, Any, list[str]]]
    do: Callable[[ActionContext, str], Coroutine[Any, Any, str]]
    is_destructive: bool = False
    is_detached: bool = False
    needs_fresh_sign_in: bool = False
    has_figures: bool = False

    def is_same(self, plan: Sequence[str], later: Sequence[str]) -> bool:
        """Whether what a plan describes is still so."""
        return plan[:1] == later[:1] if self.has_figures else plan == later


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
