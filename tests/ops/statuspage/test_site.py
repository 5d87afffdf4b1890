"""The page, its feed and its JSON say the same, in both languages, in valid documents."""

from __future__ import annotations

import string
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import msgspec
import pytest

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.languages import LANGUAGES
from chitlaq.ops.database.database import OpsDatabase, statement
from chitlaq.ops.statuspage import copies, site, snapshot
from chitlaq.ops.statuspage.components import COMPONENTS, State
from chitlaq.web.console.status.words import words
from tests.ops.statuspage.full_page import SETTINGS, fill

NOW = datetime(2026, 11, 26, 2, 51, tzinfo=UTC)
ATOM = "{http://www.w3.org/2005/Atom}"
VOID = {"meta", "link", "input", "br"}


class Balanced(HTMLParser):
    """Notes tags that are not closed, ids that come twice, and where links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        found = dict(attrs)
        if name := found.get("id"):
            if name in self.ids:
                self.faults.append(f"twice: {name}")
            self.ids.add(name)
        self.links += [value for key, value in attrs if key in {"href", "action"} and value]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"not opened: {tag}")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def parsed(page: bytes) -> Balanced:
    found = Balanced()
    found.feed(page.decode())
    assert (found.faults, found.open) == ([], [])
    return found


@pytest.fixture
async def told(database: OpsDatabase) -> OpsDatabase:
    await fill(database)
    return database


async def files(database: OpsDatabase, *, is_copy: bool = False) -> Mapping[str, bytes]:
    said = await snapshot.taken(database, SETTINGS)
    return (site.copied if is_copy else site.content)(said, SETTINGS)


@pytest.mark.parametrize("is_copy", [False, True], ids=["own", "copy"])
async def test_documents_are_valid(told: OpsDatabase, is_copy: bool) -> None:
    for name, body in (await files(told, is_copy=is_copy)).items():
        match name.rpartition(".")[2]:
            case "html":
                assert parsed(body).texts
                # Names of languages and times are texts; a key would be a mistake.
                assert b"state." not in body
            case "atom":
                ElementTree.fromstring(body)
            case "json":
                msgspec.json.decode(body)


async def test_page_tells_everything_in_each_language(told: OpsDatabase) -> None:
    found = await files(told)
    english = " ".join(parsed(found["en.html"]).texts)
    for text in (
        "Some parts do not work", "set by a person", "Under maintenance", "Problems with Feed",
        "We are investigating problems with Feed.", '<b>&"', "Disks & fans", "At night.",
        "Days with problems", "status@example.edu", "100.00 % available",
    ):  # fmt: skip
        assert text in english, text
    turkish = " ".join(parsed(found["tr.html"]).texts)
    for text in (
        "bir kişi tarafından belirlendi", "Sorun yaşanan bölümler: Akış", "Diskler", "Gece.",
        "Sorunlu günler", "%100,00 erişilebilir",
    ):  # fmt: skip
        assert text in turkish, text
    assert "Operational" not in turkish


async def test_times_are_those_of_the_university(told: OpsDatabase) -> None:
    said = await snapshot.taken(told, SETTINGS, NOW)
    body = site.content(said, SETTINGS)
    assert b"As of 26 November 2026 05:51 UTC+3." in body["en.html"]
    assert "26 Kasım 2026 05:51".encode() in body["tr.html"]
    assert b'datetime="2026-11-26T05:51:00+03:00"' in body["en.html"]


def test_period_says_once_what_both_its_moments_share() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 10, 24, 22, tzinfo=berlin)
    english, turkish = words("en"), words("tr")
    for hours, said in (
        (1, "24 October 2026 22:00 to 23:00 CEST"),
        (3, "24 October 2026 22:00 to 25 October 2026 01:00 CEST"),
    ):
        assert english.period(start, start + timedelta(hours=hours)) == said
    assert turkish.period(start, start + timedelta(days=1)) == (
        "24 Ekim 2026 22:00 CEST \N{EN DASH} 25 Ekim 2026 22:00 CET"
    )


async def test_json_has_the_form_of_statuspage(told: OpsDatabase) -> None:
    body = msgspec.json.decode((await files(told))["status.json"])
    assert body.keys() == {"page", "status", "components", "incidents", "scheduled_maintenances"}
    assert body["page"].keys() >= {"id", "name", "url", "time_zone", "updated_at"}
    assert body["page"]["url"] == "https://chat.example.edu/status"
    assert body["status"] == {"indicator": "major", "description": "Some parts do not work"}
    states = {one["id"]: one["status"] for one in body["components"]}
    assert states == {
        "sign-in": "operational", "feed": "under_maintenance", "chat": "under_maintenance",
        "search": "partial_outage", "mail": "degraded_performance",
    }  # fmt: skip
    (incident,) = body["incidents"]
    assert (incident["status"], incident["impact"]) == ("identified", "critical")
    assert [one["status"] for one in incident["incident_updates"]] == [
        "identified",
        "investigating",
    ]
    assert [one["status"] for one in body["scheduled_maintenances"]] == ["in_progress", "scheduled"]
    fields = {"scheduled_for", "scheduled_until", "incident_updates", "components", "shortlink"}
    assert all(fields <= one.keys() for one in body["scheduled_maintenances"])


@pytest.mark.parametrize(
    ("states", "indicator"),
    [
        ([], "none"),
        ([State.UNDER_MAINTENANCE] * 5, "none"),
        ([State.DEGRADED_PERFORMANCE], "minor"),
        ([State.PARTIAL_OUTAGE], "major"),
        ([State.MAJOR_OUTAGE] * 2, "major"),
        ([State.MAJOR_OUTAGE] * 3, "critical"),
    ],
)
async def test_indicator_is_as_bad_as_the_parts(
    database: OpsDatabase, states: list[State], indicator: str
) -> None:
    for name, state in zip(COMPONENTS, states, strict=False):
        await database.write(statement("keep_component_state", name, state, NOW))
    body = msgspec.json.decode((await files(database))["status.json"])
    assert body["status"]["indicator"] == indicator


async def test_feed_has_an_entry_for_each_incident_and_maintenance(told: OpsDatabase) -> None:
    feed = ElementTree.fromstring((await files(told))["en.atom"])
    assert [feed.findtext(f"{ATOM}{name}") for name in ("title", "id")] == [
        "ChitLaq status",
        "https://chat.example.edu/status/en",
    ]
    entries = feed.findall(f"{ATOM}entry")
    assert [one.findtext(f"{ATOM}title") for one in entries] == [
        "Disks & fans",
        "Problems with Feed",
        "Disks & fans",
    ]
    ids = [one.findtext(f"{ATOM}id") for one in (feed, *entries)]
    assert len(set(ids)) == 4
    for one in (feed, *entries):
        assert datetime.fromisoformat(one.findtext(f"{ATOM}updated") or "").tzinfo
        assert one.find(f"{ATOM}link[@rel='alternate']") is not None
    history = parsed((await files(told))["en.history.html"])
    for identifier in ids[1:]:
        assert identifier
        assert identifier.partition("#")[2] in history.ids


async def test_copy_needs_nothing_but_its_own_files(told: OpsDatabase, tmp_path: Path) -> None:
    said = await snapshot.taken(told, SETTINGS)
    found = site.copied(said, SETTINGS)
    copies.export(SETTINGS, str(tmp_path / "copy"), found)
    assert {
        str(one.relative_to(tmp_path / "copy")) for one in (tmp_path / "copy").rglob("*.*")
    } == {*found}
    for name, body in found.items():
        assert b"<!--#" not in body
        if name.endswith("html"):
            assert "data:," in parsed(body).links, (
                "browsers ask for /favicon.ico, which is not there"
            )
            for link in parsed(body).links:
                is_own = link.partition("#")[0] in {"", "data:,", *found}
                assert is_own or link.startswith("https://chat.example.edu/status/"), link
    with pytest.raises(OperatorError, match="no place"):
        copies.export(SETTINGS, "relative/folder", found)


def test_each_language_has_every_word_with_the_same_values() -> None:
    assert len({words(one).keys for one in LANGUAGES}) == 1
    for key in words("en").keys:
        used = [
            {name for _, name, _, _ in string.Formatter().parse(words(one)._texts[key]) if name}
            for one in LANGUAGES
        ]
        assert used[0] == used[1], key


def test_numbers_are_written_as_each_language_writes_them() -> None:
    english, turkish = words("en"), words("tr")
    assert [one.share(0.99994) for one in (english, turkish)] == ["99.99 %", "%99,99"]
    assert english.share(1.0) == "100.00 %"
    assert english.share(0.999999) == "99.99 %", "an outage is never rounded away"
    assert [english.duration(seconds) for seconds in (20, 90, 3600, 7300)] == [
        "1 min",
        "2 min",
        "1 h",
        "2 h 2 min",
    ]
    assert turkish.day(NOW.date()) == "26 Kasım 2026"
    assert english.components(["feed"]) == "Feed"
    assert english.components(["feed", "chat", "mail"]) == "Feed, Chat and Mail"


async def test_files_are_replaced_in_one_step(home: Home, database: OpsDatabase) -> None:
    before: dict[str, Any] = {}
    for _ in range(2):
        await site.write(home, SETTINGS, database)
        inodes = {path.name: path.stat().st_ino for path in home.status_page.iterdir()}
        assert not set(before.items()) & set(inodes.items())
        assert not [name for name in inodes if name.endswith(".draft")]
        before = inodes
