"""Who is told, and how: people with their channels, rotations, levels and deadlines, from ``oncall.toml``.

The file is checked as a whole: either all of it is in effect, or the last version that was valid
(`current.read`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, time, timedelta
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from chitlaq.core import addresses
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation import toml_files
from chitlaq.core.installation.secret_values import Secret, from_text
from chitlaq.core.visible import is_one_line
from chitlaq.ops.oncall.toml_lines import Path, line_of, lines

T = TypeVar("T")

SEVERITIES = ("P0", "P1", "P2", "P3")
ON_CALL, SUPPORT = "on-call", "support"
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAIL = "mail"

Minutes = Annotated[int, msgspec.Meta(ge=0, le=24 * 60)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to reach a person.

    Args:
        url: an Apprise URL or a mail address; Apprise URLs contain tokens.
        after_minutes: how long after the person's turn began it is used.
        name: what messages, pages and records call it; by default the service's name.
    """

    url: Secret
    after_minutes: Minutes = 0
    name: str = ""

    @property
    def is_mail(self) -> bool:
        return "://" not in self.url.reveal()

    @property
    def service(self) -> str:
        """``slack``, ``mailto``, or ``mail`` for a plain address."""
        return MAIL if self.is_mail else self.url.reveal().partition("://")[0].lower()


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who can be told.

    Args:
        channels: in the order in which they are tried.
        name: as colleagues say it.
        id: the word that operators type; the name of the table.
    """

    channels: tuple[Channel, ...]
    name: str = ""
    id: str = ""

    def channel(self, name: str) -> Channel | None:
        return next((one for one in self.channels if one.name == name), None)


class Layer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """People who take turns.

    Args:
        people: in the order of their turns.
        first_day: when the first turn begins.
        every: how long a turn is.
        handover: when it ends: ``mon 09:00`` for weeks, ``09:00`` for days.
        hours: the local hours that the layer covers, such as ``18:00-08:00``; by default all.
        days: the days on which these hours begin; by default all.
    """

    people: tuple[str, ...]
    first_day: date
    every: Literal["day", "week"] = "week"
    handover: str = "09:00"
    hours: str = ""
    days: tuple[Weekday, ...] = ()

    @property
    def handover_weekday(self) -> int | None:
        day, _, _ = self.handover.rpartition(" ")
        return WEEKDAYS.index(day) if day else None

    @property
    def handover_time(self) -> time:
        return time.fromisoformat(self.handover.rpartition(" ")[2])

    @property
    def window(self) -> tuple[time, time] | None:
        if not self.hours:
            return None
        first, _, last = self.hours.partition("-")
        return time.fromisoformat(first.strip()), time.fromisoformat(last.strip())


class Rotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who has a duty when. A later layer goes before an earlier one wherever it covers the time.

    Args:
        layers: at least one.
        timezone: of handovers and hours; by default that of the file.
    """

    layers: tuple[Layer, ...]
    timezone: str = ""

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to an incident that nobody acknowledges; the runbook's "Escalation Procedures".

    Args:
        levels: who is told, one after the other.
        within_minutes: the time in which all of them are told, in equal parts.
        repeats: whether it begins again after that.
    """

    levels: tuple[str, ...]
    within_minutes: Annotated[int, msgspec.Meta(ge=1, le=7 * 24 * 60)]
    repeats: bool = False

    @property
    def pause(self) -> timedelta:
        """The time that each level has."""
        return timedelta(minutes=self.within_minutes) / len(self.levels)


RUNBOOK: Mapping[str, Policy] = {
    "P0": Policy((ON_CALL, "lead", "cto"), 15, repeats=True),
    "P1": Policy((ON_CALL, "lead"), 60),
    "P2": Policy((ON_CALL,), 240),
    # No page: the support queue gets a list each day.
    "P3": Policy((SUPPORT,), 1440),
}


class Roster(msgspec.Struct, frozen=True):
    """A valid ``oncall.toml``; empty where there is none.

    Args:
        levels: the people of a level, or its rotation.
        timezone: in which people read times: the file's, else that of all rotations, else empty.
    """

    people: Mapping[str, Person] = {}
    rotations: Mapping[str, Rotation] = {}
    levels: Mapping[str, tuple[str, ...] | str] = {}
    policies: Mapping[str, Policy] = msgspec.field(default_factory=lambda: RUNBOOK)
    timezone: str = ""

    @property
    def secrets(self) -> list[str]:
        """The URLs of all channels: nothing that is shown or logged may contain them."""
        return [one.url.reveal() for person in self.people.values() for one in person.channels]

    def person(self, word: str) -> Person:
        """Return the person with this id.

        Raises:
            OperatorError: there is nobody; the message names the nearest.
        """
        return _known(word, self.people, "nobody is called", "`chitlaq oncall people` lists all.")

    def rotation(self, word: str) -> Rotation:
        """Return a rotation.

        Raises:
            OperatorError: there is none; the message names the nearest.
        """
        return _known(
            word, self.rotations, "there is no rotation", "`chitlaq oncall show` lists all."
        )


def _known(word: str, among: Mapping[str, T], missing: str, hint: str) -> T:
    if word in among:
        return among[word]
    near = difflib.get_close_matches(word, among, n=1)
    said = f" Did you mean {near[0]}?" if near else f" {hint}"
    raise OperatorError(f"In oncall.toml, {missing} {word!r}.{said}")


class RosterError(OperatorError):
    """``oncall.toml`` is not valid; the message says which line, why, and what to write."""


def parse(text: str) -> Roster:
    """Return what the text of an ``oncall.toml`` says.

    Raises:
        RosterError: it is not valid.
    """
    try:
        document = toml_files.parsed(text)
    except ValueError as error:
        raise RosterError(f"oncall.toml is not valid TOML: {error}.") from None
    return _Reader(document, lines(text)).roster()


class _Reader:
    """Checks a document, and says on which line it is wrong."""

    def __init__(self, document: dict[str, Any], known: Mapping[Path, int]) -> None:
        self._document = document
        self._lines = known

    def roster(self) -> Roster:
        unknown = set(self._document) - {"timezone", "people", "rotations", "levels", "policy"}
        for name in sorted(unknown):
            raise self._error(
                (name,),
                f"{name} is unknown: write timezone, people, rotations, levels or policy",
            )
        people = {name: self._person(name, said) for name, said in self._tables("people")}
        rotations = {
            name: self._rotation(name, said, people) for name, said in self._tables("rotations")
        }
        levels = self._levels(people, rotations)
        policies = dict(RUNBOOK) | {
            name: self._policy(name, said, levels) for name, said in self._tables("policy")
        }
        zones = {one.timezone for one in rotations.values()}
        common = zones.pop() if len(zones) == 1 else ""
        return Roster(people, rotations, levels, policies, self._zone_of_file() or common)

    def _zone_of_file(self) -> str:
        return self._zone(("timezone",), self._document.get("timezone", ""))

    def _zone(self, path: Path, said: object) -> str:
        """Return a time zone, or an empty string if none is named."""
        try:
            if not isinstance(said, str):
                raise ValueError
            return ZoneInfo(said).key if said else ""
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise self._error(
                path, f"{said!r} is no time zone: write one such as Europe/Istanbul"
            ) from None

    def _tables(self, section: str) -> Iterable[tuple[str, Any]]:
        found = self._document.get(section, {})
        if not isinstance(found, dict):
            raise self._error((section,), f"write [{section}.NAME] and its keys below it")
        for name, said in found.items():
            if section != "policy" and not _ID.fullmatch(name):
                raise self._error(
                    (section, name),
                    f"{name!r} is no name: write small English letters, digits, - and _",
                )
            yield name, said

    def _person(self, name: str, said: Any) -> Person:
        path: Path = ("people", name)
        read = self._converted(path, said, Person)
        if read.id:
            raise self._error((*path, "id"), f"remove id: it is {name}, from [people.{name}]")
        if not read.channels:
            raise self._error(
                path, f'{name} has no channel: write channels = [{{ url = "{name}@example.edu" }}]'
            )
        if not is_one_line(read.name):
            raise self._error((*path, "name"), "a name is one line of visible characters")
        named: list[Channel] = []
        for number, channel in enumerate(read.channels):
            where = (*path, "channels", number)
            self._check_channel(where, channel)
            service = channel.service
            made = channel.name or service
            if not channel.name and any(one.name == made for one in named):
                made = f"{service} {sum(one.service == service for one in named) + 1}"
            if any(one.name == made for one in named):
                raise self._error(
                    (*where, "name"), f"{name} has two channels that are called {made!r}"
                )
            named.append(msgspec.structs.replace(channel, name=made))
        return Person(tuple(named), read.name, name)

    def _check_channel(self, path: Path, channel: Channel) -> None:
        said = channel.url.reveal()
        if not is_one_line(channel.name) or len(channel.name) > 40:
            raise self._error((*path, "name"), "a channel's name is one line of 40 characters")
        if channel.is_mail:
            try:
                addresses.checked(said)
            except ValueError as error:
                raise self._error(
                    (*path, "url"),
                    f"this is neither a mail address ({error}) nor a URL such as slack://…",
                ) from None
            return
        try:
            parts = urlsplit(said)
        except ValueError:
            parts = None
        # Without the URL, which is a secret.
        if parts is None or not is_one_line(said) or not re.fullmatch(r"\w+", parts.scheme):
            raise self._error((*path, "url"), "this is no URL: write one as of Apprise, slack://…")

    def _rotation(self, name: str, said: Any, people: Mapping[str, Person]) -> Rotation:
        path: Path = ("rotations", name)
        read = self._converted(path, said, Rotation)
        zone = self._zone((*path, "timezone"), read.timezone) or self._zone_of_file()
        if not zone:
            raise self._error(path, 'it has no time zone: write timezone = "Europe/Istanbul"')
        if not read.layers:
            raise self._error(path, f"it has no layer: write [[rotations.{name}.layers]]")
        for number, layer in enumerate(read.layers):
            self._check_layer((*path, "layers", number), layer, people)
        return Rotation(read.layers, zone)

    def _check_layer(self, path: Path, layer: Layer, people: Mapping[str, Person]) -> None:
        if not 1970 <= layer.first_day.year < 2200:
            raise self._error(
                (*path, "first_day"), f"{layer.first_day} is no day on which a turn can begin"
            )
        if not layer.people:
            raise self._error((*path, "people"), "it has nobody: write at least one person")
        self._require_people((*path, "people"), layer.people, people)
        pattern, example = {
            "day": (r"\d\d:\d\d", "09:00"),
            "week": (rf"(?:{'|'.join(WEEKDAYS)}) \d\d:\d\d", "mon 09:00"),
        }[layer.every]
        try:
            if not re.fullmatch(pattern, layer.handover):
                raise ValueError
            assert layer.handover_time is not None
        except ValueError:
            raise self._error(
                (*path, "handover"),
                f"{layer.handover!r} is no handover of a layer with every = {layer.every!r}:"
                f' write "{example}"',
            ) from None
        if layer.hours:
            try:
                if not re.fullmatch(r"\d\d:\d\d-\d\d:\d\d", layer.hours):
                    raise ValueError
                first, last = layer.window or (time(), time())
            except ValueError:
                raise self._error(
                    (*path, "hours"), f'{layer.hours!r} are no hours: write "18:00-08:00"'
                ) from None
            if first == last:
                raise self._error((*path, "hours"), "leave hours out for the whole day")

    def _levels(
        self, people: Mapping[str, Person], rotations: Mapping[str, Rotation]
    ) -> dict[str, tuple[str, ...] | str]:
        found = self._document.get("levels", {})
        example = '[levels] with on-call = "ROTATION" and lead = ["PERSON"]'
        if not isinstance(found, dict):
            raise self._error(("levels",), f"write {example}")
        levels: dict[str, tuple[str, ...] | str] = {}
        for name, said in found.items():
            path: Path = ("levels", name)
            if isinstance(said, str):
                if said not in rotations:
                    raise self._error(path, self._nearest("there is no rotation", said, rotations))
                levels[name] = said
            elif isinstance(said, list) and said and all(isinstance(one, str) for one in said):
                self._require_people(path, said, people)
                levels[name] = tuple(said)
            else:
                raise self._error(path, f'write {name} = "ROTATION" or {name} = ["PERSON"]')
        if people and ON_CALL not in levels:
            raise self._error(("levels",), f"nobody is on call: write {example}")
        return levels

    def _policy(self, name: str, said: Any, levels: Mapping[str, object]) -> Policy:
        path: Path = ("policy", name)
        if name not in SEVERITIES:
            raise self._error(path, f"{name!r} is no severity: write P0, P1, P2 or P3")
        usual = msgspec.to_builtins(RUNBOOK[name])
        if not isinstance(said, dict):
            raise self._error(path, f"write [policy.{name}] and its keys below it")
        read = self._converted(path, usual | said, Policy)
        if not read.levels:
            raise self._error((*path, "levels"), 'it has no level: write levels = ["on-call"]')
        for level in read.levels if "levels" in said else ():
            if level not in levels:
                raise self._error(
                    (*path, "levels"), self._nearest("[levels] does not have", level, levels)
                )
        return read

    def _require_people(
        self, path: Path, names: Sequence[str], people: Mapping[str, Person]
    ) -> None:
        for name in names:
            if name not in people:
                raise self._error(
                    path, self._nearest("there is no [people] table of", name, people)
                )

    def _nearest(self, missing: str, name: str, among: Iterable[str]) -> str:
        known = list(among)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
        return f"{missing} {name!r}: {hint}"

    def _converted(self, path: Path, said: Any, kind: type[T]) -> T:
        try:
            return msgspec.convert(said, kind, dec_hook=from_text)
        except msgspec.ValidationError as error:
            reason, _, at = str(error).partition(" - at `$")
            inner = tuple(
                int(number) if number else key
                for key, number in re.findall(r"\.(\w+)|\[(\d+)\]", at)
            )
            unknown = re.search(r"unknown field `(\w+)`", reason)
            where = (*path, *inner, *([unknown[1]] if unknown else []))
            raise self._error(where, _explained(reason, kind, inner)) from None

    def _error(self, path: Path, reason: str) -> RosterError:
        line = line_of(path, self._lines)
        shown = ".".join(str(one) for one in path if isinstance(one, str))
        return RosterError(f"oncall.toml, line {line} ({shown}): {reason}.")


def _explained(reason: str, kind: type, inner: Path) -> str:
    unknown = re.search(r"unknown field `(\w+)`", reason)
    if unknown is None:
        return reason.replace("Object", "it").replace("`", "")
    inside = {"channels": Channel, "layers": Layer}.get(str(inner[0]) if inner else "", kind)
    fields = [one.name for one in msgspec.structs.fields(inside) if one.name != "id"]
    near = difflib.get_close_matches(unknown[1], fields, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(fields)}"
    return f"{unknown[1]} is unknown: {hint}"
