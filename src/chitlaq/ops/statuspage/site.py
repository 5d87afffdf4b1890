"""The files of the status page: what they say, written where nginx serves them, or as a copy elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, tzinfo
from functools import partial
from pathlib import Path

import msgspec

from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.languages import LANGUAGES
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.statuspage import bars, snapshot
from chitlaq.ops.statuspage.bars import Day
from chitlaq.ops.statuspage.components import COMPONENTS, FAULTS, State
from chitlaq.ops.statuspage.current import ComponentStatus
from chitlaq.ops.statuspage.maintenance import Maintenance
from chitlaq.ops.statuspage.published import PublishedIncident
from chitlaq.ops.statuspage.snapshot import Snapshot
from chitlaq.web.console.status import pages
from chitlaq.web.console.status.words import StatusWords, words

COPIED_MINUTES = 5
"""A copy is written when something changes, and after this time in any case."""

UNKNOWN = "unknown"
"""The state of a day that nobody watched."""
# The worse a day was, the taller its bar: colours alone would not tell.
_HEIGHTS = {
    UNKNOWN: 4,
    State.OPERATIONAL: 14,
    State.UNDER_MAINTENANCE: 14,
    State.DEGRADED_PERFORMANCE: 20,
    State.PARTIAL_OUTAGE: 25,
    State.MAJOR_OUTAGE: 30,
}
_WIDTH = 5


class Bar(msgspec.Struct, frozen=True):
    """A day as the table shows it."""

    day: date
    state: str
    seconds_down: float


class ShownComponent(msgspec.Struct, frozen=True):
    id: str
    state: State
    is_by_person: bool
    since: datetime | None
    shapes: Mapping[str, str]
    bars_text: str
    uptime_text: str
    problem_days: list[Bar]


class ShownUpdate(msgspec.Struct, frozen=True):
    status: str
    text: str
    at: datetime


class ShownEntry(msgspec.Struct, frozen=True):
    """An incident or a maintenance in one language, with local times."""

    number: int
    is_maintenance: bool
    title: str
    status: str
    components: list[str]
    published_at: datetime
    updated_at: datetime
    is_over: bool = False
    updates: list[ShownUpdate] = []
    text: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    @property
    def anchor(self) -> str:
        return f"{'maintenance' if self.is_maintenance else 'incident'}-{self.number}"


async def write(home: Home, settings: Settings, database: OpsDatabase) -> Snapshot:
    """Write the page where nginx serves it, and return what it says.

    Each file is replaced in one step.

    Raises:
        OpsDatabaseUnavailableError: what it says cannot be read; the page stays as it is.
        OSError: it cannot be written.
    """
    said = await snapshot.taken(database, settings)
    # A disk may keep whoever writes there waiting, and ops-service has others to answer.
    await asyncio.to_thread(put, home.status_page, content(said, settings))
    return said


def put(folder: Path, found: Mapping[str, bytes]) -> None:
    """Write files into a folder, which is made if need be.

    Raises:
        OSError: one cannot be written.
    """
    for name, body in found.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written every half minute.
        files.write(path, body, mode=0o644, is_durable=False)


def content(said: Snapshot, settings: Settings) -> Mapping[str, bytes]:
    """Return the files that nginx serves, by name."""
    return dict(_content(said, settings, is_copy=False))


def copied(said: Snapshot, settings: Settings) -> Mapping[str, bytes]:
    """Return the files of a copy on another machine, which works as it is in any folder."""
    found = dict(_content(said, settings, is_copy=True))
    found["index.html"] = found[f"{LANGUAGES[0]}.html"]
    found["api/v2/summary.json"] = found["status.json"]
    return found


def _content(said: Snapshot, settings: Settings, *, is_copy: bool) -> Iterator[tuple[str, bytes]]:
    document = msgspec.json.encode(snapshot.document(said, settings))
    yield "status.json", msgspec.json.format(document) + b"\n"
    yield "status.css", pages.style_sheet()
    site, where = settings.base_url, snapshot.zone(settings)
    for language in LANGUAGES:
        render = partial(
            pages.rendered,
            language=language,
            links=pages.links(language, site if is_copy else ""),
            other=LANGUAGES[1 - LANGUAGES.index(language)],
            contact=settings.statuspage.contact,
            theme="" if is_copy else pages.CHOSEN_THEME,
        )
        entries = _entries(said, language, where)
        names = {"index.html.j2": f"{language}.html", "history.html.j2": f"{language}.history.html"}
        if not is_copy:
            names["subscribe.html.j2"] = f"{language}.subscribe.html"
        for template, name in names.items():
            # Of "en.history.html", "/status/en/history".
            place = name.removesuffix(".html").replace(".", "/")
            text = render(
                template,
                address="" if is_copy else f"{site}/status/{place}",
                now=said.at.astimezone(where),
                overall=said.overall,
                components=[
                    _component(one, said.days[one.id], words(language), where)
                    for one in said.components
                ],
                incidents=[one for one in entries if not one.is_maintenance],
                # The next one first.
                maintenances=[
                    one for one in reversed(entries) if one.is_maintenance and not one.is_over
                ],
                history=entries,
                days=bars.DAYS,
                names=list(COMPONENTS),
                is_copy=is_copy,
                copied_minutes=COPIED_MINUTES,
                fresh=pages.fresh_minutes(said.at),
            )
            yield name, text.encode()
        updated_at = max((one.updated_at for one in entries), default=said.at)
        feed = pages.rendered(
            "feed.atom.j2", language, site=site, history=entries, updated_at=updated_at
        )
        yield f"{language}.atom", feed.encode()


def _component(
    one: ComponentStatus, days: Sequence[Day], spoken: StatusWords, where: tzinfo | None
) -> ShownComponent:
    drawn = [Bar(day.day, day.state or UNKNOWN, day.seconds_down) for day in days]
    problems = [bar for bar in reversed(drawn) if bar.state in FAULTS]
    uptime = bars.uptime(days)
    if uptime is None:
        said = spoken("bars.unknown")
        text = f"{spoken(f'component.{one.id}')}: {said}"
    else:
        said = spoken("uptime", share=spoken.share(uptime))
        count = spoken("bars.some", count=len(problems)) if problems else spoken("bars.none")
        text = spoken(
            "bars",
            component=spoken(f"component.{one.id}"),
            uptime=said,
            count=len(days),
            days=count,
        )
    since = one.since.astimezone(where) if one.since else None
    return ShownComponent(
        one.id, one.state, one.set_by is not None, since, _shapes(drawn), text, said, problems
    )


def _shapes(drawn: Sequence[Bar]) -> Mapping[str, str]:
    """Return a path of SVG for the bars of each state, from left to right."""
    found: dict[str, str] = {}
    for number, bar in enumerate(drawn):
        height = _HEIGHTS[bar.state]
        shape = f"M{number * _WIDTH} 30v-{height}h{_WIDTH - 1}v{height}z"
        found[bar.state] = found.get(bar.state, "") + shape
    return found


def _entries(said: Snapshot, language: str, where: tzinfo | None) -> list[ShownEntry]:
    """Return incidents and maintenance, the newest first."""
    found = [_incident(one, language, where) for one in said.incidents]
    found += [_maintenance(one, said.at, language, where) for one in said.maintenances]
    return sorted(found, key=lambda one: one.starts_at or one.published_at, reverse=True)


def _incident(one: PublishedIncident, language: str, where: tzinfo | None) -> ShownEntry:
    return ShownEntry(
        one.incident_id,
        False,
        one.title_in(language),
        one.status,
        one.components,
        one.published_at.astimezone(where),
        one.updated_at.astimezone(where),
        one.is_over,
        [
            ShownUpdate(
                update.status, update.text_in(language), update.published_at.astimezone(where)
            )
            for update in one.updates
        ],
    )


def _maintenance(one: Maintenance, at: datetime, language: str, where: tzinfo | None) -> ShownEntry:
    status = one.status(at)
    return ShownEntry(
        one.id,
        True,
        one.title_tr if language == "tr" else one.title,
        "withdrawn" if one.is_withdrawn else status,
        one.components,
        one.made_at.astimezone(where),
        (one.ended_at or one.made_at).astimezone(where),
        status == "completed",
        text=one.text_tr if language == "tr" else one.text,
        starts_at=one.starts_at.astimezone(where),
        ends_at=one.over_at.astimezone(where)
        if not one.is_withdrawn
        else one.ends_at.astimezone(where),
    )
