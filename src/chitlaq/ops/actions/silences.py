"""Silence alerts in Alertmanager while their cause is being dealt with, and end a silence early."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.formatting import duration
from chitlaq.core.local_time import local
from chitlaq.monitoring import alertmanager
from chitlaq.monitoring.alerts import registry
from chitlaq.ops.actions.model import Action, ActionContext
from chitlaq.ops.checks.model import Section

T = TypeVar("T")

LONGEST = timedelta(days=30)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_MATCHER = re.compile(r"([A-Za-z_]\w*)(=~|!~|!=|=)(.+)", re.ASCII | re.DOTALL)
_ANY_VALUE = "any value"
"""A label's value like any other: what matches it matches all."""
_EXAMPLE = (
    '`chitlaq ops do silence "DiskLow for 2h"`, or "ServiceDown service=feed-service for 30m"'
)


class Matcher(msgspec.Struct, frozen=True, rename="camel"):
    """One condition on a label, as Alertmanager's API names its parts."""

    name: str
    value: str
    is_regex: bool
    is_equal: bool

    def __str__(self) -> str:
        signs = ("=~", "!~") if self.is_regex else ("=", "!=")
        sign = signs[not self.is_equal]
        return f"{self.name}{sign}{msgspec.json.encode(self.value).decode()}"


@dataclass(frozen=True, slots=True)
class Wish:
    """Which alerts to silence, and for how long."""

    matchers: Sequence[Matcher]
    lasts: timedelta


class _Alert(msgspec.Struct):
    labels: dict[str, str]
    annotations: dict[str, str]


class _Silence(msgspec.Struct, rename="camel"):
    id: str
    matchers: list[Matcher]
    ends_at: datetime
    created_by: str
    comment: str
    status: dict[str, str]


class _Created(msgspec.Struct):
    silence_id: str = msgspec.field(name="silenceID")


def understood(target: str) -> Wish:
    """Read ``ALERT [LABEL=VALUE …] for DURATION``.

    Raises:
        OperatorError: it is not of this form, or too long or too broad.
    """
    try:
        *conditions, word, lasts = shlex.split(target)
    except ValueError:
        conditions, word, lasts = [], "", ""
    found = re.fullmatch(r"([0-9]{1,4})([mhd])", lasts)
    if not conditions or word != "for" or found is None:
        raise OperatorError(f"Say which alert, and for how long: {_EXAMPLE}.")
    length = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if not timedelta() < length <= LONGEST:
        raise OperatorError(
            f"A silence lasts from 1m to {LONGEST.days}d: it hides what goes wrong."
        )
    matchers = [condition(text) for text in conditions]
    if not any(map(_narrows, matchers)):
        raise OperatorError(
            "This would silence every alert, and nobody would notice an outage: name an alert, or a"
            f" LABEL=VALUE: {_EXAMPLE}."
        )
    return Wish(matchers, length)


def _narrows(matcher: Matcher) -> bool:
    """Whether a condition leaves alerts out that are like any other: ``!=`` and ``=~".*"`` hardly do."""
    if not (matcher.is_regex and matcher.is_equal):
        return matcher.is_equal
    try:
        pattern = re.compile(matcher.value)
    except re.error:
        return True  # Alertmanager says what is wrong with it.
    if matcher.name == "alertname":
        return not all(pattern.fullmatch(alert.name) for alert in registry.alerts())
    return not any(map(pattern.fullmatch, ("", _ANY_VALUE)))


def condition(text: str) -> Matcher:
    """Read an alert's name or ``LABEL=VALUE``.

    Raises:
        OperatorError: it is neither.
    """
    if re.fullmatch(r"\w+", text, re.ASCII):
        text = f"alertname={text}"
    found = _MATCHER.fullmatch(text)
    if found is None:
        raise OperatorError(f"{text!r} is neither an alert's name nor LABEL=VALUE: {_EXAMPLE}.")
    return Matcher(found[1], found[3], is_regex="~" in found[2], is_equal=found[2][0] == "=")


async def _plan(context: ActionContext, target: str) -> list[str]:
    wish = understood(target)
    known = {alert.name for alert in registry.alerts()}
    filters = urlencode([("filter", str(matcher)) for matcher in wish.matchers])
    found = _decoded(
        await alertmanager.ask(context.home, context.settings, f"/alerts?{filters}"), list[_Alert]
    )
    lines = [
        f"silence {', '.join(map(str, wish.matchers))} for {duration(wish.lasts.total_seconds())}"
    ]
    lines += [
        f"firing now: {one.labels.get('alertname')}: {one.annotations.get('summary', '')}"
        for one in found
    ] or ["no alert that fires now is among them"]
    lines += [
        f"ChitLaq has no alert {one.value}: is it spelled right? (docs/alerts.md)"
        for one in wish.matchers
        if one.name == "alertname" and not one.is_regex and one.value not in known
    ]
    return lines


async def create(context: ActionContext, matchers: Sequence[Matcher], ends_at: datetime) -> str:
    """Silence alerts from now on, and return the silence's ID.

    Raises:
        OperatorError: Alertmanager does not answer, or refuses.
    """
    document = {
        "matchers": matchers,
        "startsAt": datetime.now(UTC),
        "endsAt": ends_at,
        "createdBy": context.operator,
        "comment": context.reason,
    }
    answer = await alertmanager.ask(
        context.home, context.settings, "/silences", "POST", msgspec.json.encode(document)
    )
    return _decoded(answer, _Created).silence_id


async def find(context: ActionContext, matchers: Sequence[Matcher]) -> str | None:
    """Return the ID of a silence that this operator made for this reason, and that is not over.

    Raises:
        OperatorError: Alertmanager does not answer, or refuses.
    """
    answer = await alertmanager.ask(context.home, context.settings, "/silences")
    wanted = (context.operator, context.reason, [*matchers])
    for one in _decoded(answer, list[_Silence]):
        if (one.created_by, one.comment, one.matchers) == wanted and one.status[
            "state"
        ] != "expired":
            return one.id
    return None


async def expire(context: ActionContext, identifier: str) -> None:
    """End a silence before its time; one that is over stays so.

    Raises:
        OperatorError: Alertmanager does not answer, or refuses.
    """
    silence = await _existing(context, identifier)
    if silence.status.get("state") != "expired":
        await alertmanager.ask(
            context.home, context.settings, f"/silence/{UUID(identifier)}", "DELETE"
        )


async def _silence(context: ActionContext, target: str) -> str:
    wish = understood(target)
    ends = datetime.now(UTC) + wish.lasts
    created = await create(context, wish.matchers, ends)
    return (
        f"silenced until {local(ends):%Y-%m-%d %H:%M}; `chitlaq ops do unsilence {created}` ends it"
    )


async def _existing(context: ActionContext, identifier: str) -> _Silence:
    try:
        path = f"/silence/{UUID(identifier)}"
    except ValueError:
        raise OperatorError(
            f"{identifier!r} is not a silence: `chitlaq ops actions` lists those that were made."
        ) from None
    return _decoded(await alertmanager.ask(context.home, context.settings, path), _Silence)


def _decoded(answer: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.DecodeError as error:
        raise OperatorError(f"Alertmanager's answer is not what it should be: {error}.") from None


async def _plan_end(context: ActionContext, identifier: str) -> list[str]:
    silence = await _existing(context, identifier)
    if silence.status.get("state") == "expired":
        return []
    of = ", ".join(map(str, silence.matchers))
    return [
        f"end the silence of {of} until {local(silence.ends_at):%Y-%m-%d %H:%M}",
        f"made by {silence.created_by}: {silence.comment}",
    ]


async def _end(context: ActionContext, identifier: str) -> str:
    silence = await _existing(context, identifier)
    await expire(context, identifier)
    return f"{', '.join(map(str, silence.matchers))} is no longer silenced"


SILENCE = Action(
    "silence",
    "Silence alerts while their cause is being dealt with",
    Section.INCIDENTS,
    "ALERT [LABEL=VALUE …] for DURATION",
    ('chitlaq ops do silence "DiskLow for 2h" --why "waiting for the new disk"',),
    _plan,
    _silence,
)
UNSILENCE = Action(
    "unsilence",
    "End a silence before its time",
    Section.INCIDENTS,
    "a silence's ID",
    ("chitlaq ops do unsilence ID",),
    _plan_end,
    _end,
)
