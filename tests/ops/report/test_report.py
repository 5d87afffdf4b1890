"""The daily report shows every result, and no log line can break it."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chitlaq.core import ids
from chitlaq.core.data import postgres
from chitlaq.core.data.postgres import Database
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Operations, Settings, Smtp
from chitlaq.ops import report
from chitlaq.ops.checks.model import Lines, Section, Table, TimeSeries, Verdict, worst
from chitlaq.ops.checks.runner import Note, Result, Run
from chitlaq.ops.database import overflow
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.history import run_diff
from chitlaq.ops.report import delivery, plots
from chitlaq.ops.schedule.scheduler import Scheduler
from tests.conftest import Stack, free_ports
from tests.debian_programs import unpacked

NOW = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=60)
ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "span", "b", "ul", "li",
    "div", "figure", "figcaption", "svg", "desc", "line", "polyline", "text", "table", "caption",
    "thead", "tbody", "tr", "th", "td", "pre", "code",
}  # fmt: skip
VOID = {"meta", "line", "polyline"}


def hours(*values: float, step: int = 1) -> list[tuple[datetime, float]]:
    return [(NOW + timedelta(hours=step * at), value) for at, value in enumerate(values)]


def result(
    check: str, verdict: Verdict = Verdict.OK, summary: str = "as it is", **more: object
) -> Result:
    evidence = more.get("evidence", [])
    return Result(
        check, str(more.get("title", f"Title of {check}")), Section.HOST, verdict, summary, {},
        evidence, "mend `it`", 0.1,  # type: ignore[arg-type]
    )  # fmt: skip


def run(*results: Result) -> Run:
    verdict = worst(one.verdict for one in results)
    return Run(ids.new(), "evening", NOW, 1.0, verdict, "ada", "vm", list(results))


class Page(HTMLParser):
    """The page as a browser parses it: balanced elements, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def rows_of(markdown: str) -> list[str]:
    return [line for line in markdown.splitlines() if line.startswith("|")]


def test_what_needs_attention_comes_first_with_what_to_do() -> None:
    made = report.build(
        run(
            result("host.disk", Verdict.CRITICAL, "the disk is full"),
            result("api.errors", Verdict.UNKNOWN, "Prometheus is away"),
            result("api.latency", Verdict.OK, "all is quick"),
        ),
        None,
        Settings(),
    )
    text = Page(report.html(made)).text
    places = [text.index(words) for words in ("CRITICAL", "the disk is full", "Prometheus is away")]
    assert places == sorted(places)
    assert text.index("Prometheus is away") < text.index("all is quick")
    assert "What to do: mend it" in text
    assert "2026" in made.title
    assert "There is no earlier run" in text
    plain = report.markdown(made)
    assert plain.index("the disk is full") < plain.index("all is quick")


def test_unchecked_parts_are_reported() -> None:
    made = report.build(run(result("api.latency")), None, Settings())
    for text in (Page(report.html(made)).text, report.markdown(made)):
        assert text.count("not checked") > 10


def test_report_opens_with_the_day_not_only_the_moment() -> None:
    said = "5,000 requests; most failed from 10:50 to 11:50: 45 % of 900 requests"
    found = [result("api.errors"), result("api.day", Verdict.WARNING, said, title="The day")]
    made = report.build(run(*found), None, Settings())
    for text in (Page(report.html(made)).text, report.markdown(made)):
        assert text.index(said) < text.index("Needs attention")
    without = report.build(run(result("api.errors")), None, Settings())
    for text in (Page(report.html(without)).text, report.markdown(without)):
        assert "The day : not checked" in text or "The day: not checked" in text


def test_operators_notes_are_shown_with_their_result() -> None:
    notes = [
        Note("host.disk", "acknowledgement", "disks come on *Friday*", "ada", NOW, None),
        Note("host.disk", "note", "ordered two", "grace", NOW, None),
    ]
    full = msgspec.structs.replace(
        result("capacity.disk", Verdict.WARNING, "nearly full"), notes=notes
    )
    fine = msgspec.structs.replace(result("api.latency"), notes=notes[1:])
    made = report.build(run(full, fine), None, Settings())
    text = Page(report.html(made)).text
    # Under "Needs attention", in its chapter, and in the full list.
    assert text.count("acknowledged by ada: disks come on *Friday*") == 3
    assert text.count("noted by grace: ordered two") == 5
    plain = report.markdown(made)
    assert plain.count("acknowledged by ada: disks come on \\*Friday\\*") == 3
    assert plain.count("noted by grace: ordered two") == 5
    assert "acknowledged by ada" in plain.partition("## What changed")[0]


def test_commands_can_be_copied_from_the_text() -> None:
    found = result("host.disk", Verdict.CRITICAL, "a `name` of theirs")
    made = report.build(run(found), None, Settings())
    plain = report.markdown(made)
    assert "→ mend `it`" in plain
    assert "a \\`name\\` of theirs" in plain, "what a log line holds is no command of ours"


def test_series_is_plotted_with_gaps_and_an_empty_one_is_reported() -> None:
    broken = [*hours(1.0, 2.0, 3.0), *((at + timedelta(hours=20), v) for at, v in hours(4.0, 5.0))]
    evidence = [
        TimeSeries("with a gap", "seconds", broken),
        TimeSeries("without samples", "ratio", []),
        TimeSeries("no numbers", "ratio", hours(float("nan"))),
    ]
    made = report.build(run(result("api.latency", evidence=evidence)), None, Settings())
    html = report.html(made)
    assert html.count("<polyline") == 2
    text = Page(html).text
    assert "with a gap: 1 s to 5 s, last 5 s" in text
    assert "without samples: no samples" in text
    assert "no numbers: no samples" in text


def test_chart_of_a_day_shows_its_first_date() -> None:
    drawn = plots.plot(TimeSeries("a day", "", hours(*(1.0 for _ in range(25)))))
    assert drawn is not None
    begins, ends = NOW.astimezone(), NOW.astimezone() + timedelta(days=1)
    assert (drawn.first, drawn.last) == (f"{begins:%a %H:%M}", f"{ends:%a %H:%M}")


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@given(values=st.lists(NUMBERS, max_size=40), steps=st.lists(st.integers(1, 100), min_size=40))
def test_any_numbers_stay_within_the_chart(values: list[float], steps: list[int]) -> None:
    at, points = NOW, []
    for value, step in zip(values, steps, strict=False):
        at += timedelta(minutes=step)
        points.append((at, value))
    drawn = plots.plot(TimeSeries("any", "bytes", points))
    if drawn is None:
        assert not [value for value in values if abs(value) < float("inf")]
        return
    for line in drawn.lines:
        for point in line.split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= plots.WIDTH
            assert 0 <= y <= plots.HEIGHT


@settings(max_examples=60)
@given(summary=TEXT, title=TEXT, cells=st.lists(TEXT, min_size=2, max_size=2), line=TEXT)
def test_no_text_breaks_the_page(summary: str, title: str, cells: list[str], line: str) -> None:
    evil = f"{summary}</td><script>alert(1)</script>|`x`"
    evidence = [Table(title, ["a", "b"], [cells, [evil, "2"]]), Lines(title, [line, evil])]
    found = result("host.disk", Verdict.WARNING, evil, title=title, evidence=evidence)
    logged = result("gateway.log", Verdict.WARNING, evil, title=title, evidence=evidence)
    made = report.build(run(found, logged), None, Settings())
    page = Page(report.html(made))
    assert set(page.elements) <= ELEMENTS
    everything = rows_of(report.markdown(made).partition("## Everything")[2])
    assert {re.sub(r"\\.", "", row).count("|") for row in everything} == {4}
    assert len(everything) == 4


def test_changes_are_complete_and_worst_first() -> None:
    before = run(result("a.a"), result("b.b", Verdict.CRITICAL), result("c.c"), result("gone.gone"))
    after = run(
        result("a.a", Verdict.WARNING),
        result("b.b"),
        result("c.c"),
        result("new.new", Verdict.CRITICAL),
    )
    found = [(one.check, one.before, one.after) for one in run_diff.compare(before, after)]
    assert found == [
        ("new.new", Verdict.SKIPPED, Verdict.CRITICAL),
        ("a.a", Verdict.OK, Verdict.WARNING),
        ("b.b", Verdict.CRITICAL, Verdict.OK),
        ("gone.gone", Verdict.OK, Verdict.SKIPPED),
    ]
    assert run_diff.compare(after, after) == []
    assert run_diff.compare(None, after) == []


def browsed(folder: Path, script: str, *words: str, width: int = 1280) -> str:
    """The report's layout in a frame of that width, measured by a script: no window is so narrow."""
    chromium = unpacked("chromium", "chromium", "usr/lib/chromium/chromium", "fonts-dejavu-core")
    (folder / "frame.html").write_text(
        '<!doctype html><meta name="color-scheme" content="light dark">'
        f"<iframe id=f width={width} height=900 src=report.html></iframe><script>"
        "onload=()=>{const page=document.getElementById('f').contentWindow;"
        f"document.title=(()=>{{{script}}})()}}</script>"
    )
    done = subprocess.run(
        [
            str(chromium.path), "--headless", "--no-sandbox", "--disable-gpu",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--allow-file-access-from-files", *words,
            f"--user-data-dir={folder / 'profile'}", "--window-size=1400,1000", "--dump-dom",
            f"file://{folder / 'frame.html'}",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=chromium.environment,
    )  # fmt: skip
    found = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)
    assert found, done.stderr[-500:]
    return unescape(found[1])


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_screen(width: int, tmp_path: Path) -> None:
    long = "x" * 300
    evidence = [
        Table("long words", ["a", "b"], [[long, "/a/very/long/path/" * 20], ["1", "2"]]),
        Lines("lines", [long * 3]),
        TimeSeries("requests", "", hours(*(float(n % 7) for n in range(96)))),
    ]
    made = report.build(
        run(
            result("api.latency", Verdict.CRITICAL, long, evidence=evidence),
            result("gateway.log", Verdict.WARNING, "words " * 80, evidence=evidence),
        ),
        None,
        Settings(),
    )
    (tmp_path / "report.html").write_text(report.html(made))
    said = browsed(
        tmp_path,
        "const d=page.document.documentElement;return d.scrollWidth+' of '+d.clientWidth",
        width=width,
    )
    wide, room = map(int, said.split(" of "))
    assert wide <= room


COLOURS = """
const parts = colour => colour.match(/[\\d.]+/g).map(Number);
const light = colour => {
  const [r, g, b] = parts(colour).map(one => one / 255)
    .map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = element => {
  for (let at = element; at; at = at.parentElement) {
    const colour = page.getComputedStyle(at).backgroundColor;
    if (parts(colour).length < 4 || parts(colour)[3] > 0) return colour;
  }
  return "rgb(255, 255, 255)";
};
const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
const found = {};
for (const element of page.document.body.querySelectorAll("*")) {
  const style = page.getComputedStyle(element);
  const words = [...element.childNodes].some(one => one.nodeType === 3 && one.data.trim());
  const line = element.matches("polyline");
  if (!(words || line) || element.matches("title, desc")) continue;
  const ink = element.closest("svg") ? (line ? style.stroke : style.fill) : style.color;
  const name = `${element.localName}.${element.getAttribute("class") || ""}`;
  found[name] = Math.min(found[name] ?? 99, contrast(light(ink), light(ground(element))));
}
return JSON.stringify({
  dark: page.matchMedia("(prefers-color-scheme: dark)").matches,
  ground: light(page.getComputedStyle(page.document.body).backgroundColor),
  found,
});
"""


@pytest.mark.parametrize(("scheme", "is_dark"), [("0", True), ("1", False)])
def test_page_is_readable_in_light_and_dark_mode(
    scheme: str, is_dark: bool, tmp_path: Path
) -> None:
    """A contrast of 4.5 for text, and 3 for lines: WCAG 2.2, 1.4.3 and 1.4.11."""
    evidence = [
        Table("routes", ["route", "p95"], [["/api/feed/home", "80 ms"]]),
        Lines("newest", ["one line"]),
        TimeSeries("requests", "", hours(*(float(n % 7) for n in range(24)))),
        TimeSeries("nothing", "", []),
    ]
    notes = [Note("gateway.log", "note", "seen", "ada", NOW, None)]
    found = [
        msgspec.structs.replace(result(name, verdict, evidence=evidence), notes=notes)
        for name, verdict in zip(
            ("gateway.log", "feed.log", "auth.log", "search.log", "api.latency"),
            Verdict,
            strict=True,
        )
    ]
    before = run(*(result(one.check, Verdict.SKIPPED) for one in found))
    made = report.build(run(*found), before, Settings())
    (tmp_path / "report.html").write_text(report.html(made))
    said = json.loads(browsed(tmp_path, COLOURS, f"--blink-settings=preferredColorScheme={scheme}"))
    assert said["dark"] is is_dark
    assert (said["ground"] < 0.1) is is_dark
    seen = said["found"]
    names = {f"span.verdict {one}" for one in (Verdict.CRITICAL, Verdict.UNKNOWN, Verdict.WARNING)}
    names |= {"h1.", "h2.", "p.soft", "p.note", "td.", "th.", "caption.", "pre.", "text.", "code."}
    assert names | {"polyline."} <= seen.keys()
    for name, contrast in seen.items():
        assert contrast >= (3 if name == "polyline." else 4.5), name


@pytest.fixture
def hook() -> Iterator[tuple[str, list[bytes]]]:
    """A service that accepts notifications: its address, and the received ones."""
    came: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"json://127.0.0.1:{server.server_port}/secret-part", came
    server.shutdown()
    thread.join()
    server.server_close()


async def test_mail_without_postgresql_is_sent_once_it_is_back(
    stack: Stack, tmp_path: Path
) -> None:
    address = f"ops-{secrets.token_hex(4)}@example.edu"
    to = Operations(report_to=(address,))
    (nobody,) = free_ports(1)
    home = Home(tmp_path)
    queries = postgres.load_queries("chitlaq.core.data", "test")
    away = Database(f"postgresql://x:y@127.0.0.1:{nobody}/chitlaq", "test", queries)
    back = Database(stack.dsn("chitlaq_ops"), "test", queries)
    try:
        with OpsDatabase(home) as database:
            (said,) = await delivery.deliver(
                database, away, Settings(operations=to), "the day", "in *text*", "<p>page"
            )
            assert said.startswith(f"not mailed to {address} yet")
            assert await delivery.send_waiting(database, away) == 0
            # What is handed to the queue is not called mailed either.
            via = Settings(operations=to, smtp=Smtp(host="smtp.example.edu"))
            (said,) = await delivery.deliver(database, back, via, "another day", "text", "page")
            assert said.startswith(f"queued for {address}")
            # As ops-service does periodically.
            scheduler = Scheduler(home, Operations(timezone="UTC"), database, back)
            for _ in range(2):
                await scheduler.tidy()
            assert await database.rows("waiting_mails") == []
    finally:
        await away.close()
        await back.close()
    mails = await stack.sql("SELECT * FROM mail.messages WHERE to_address = $1", address)
    assert sorted((one["subject"], one["text"], one["html"]) for one in mails) == [
        ("another day", "text", "page"),
        ("the day", "in *text*", "<p>page"),
    ]


async def test_mail_that_cannot_be_kept_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nobody,) = free_ports(1)
    away = Database(f"postgresql://x:y@127.0.0.1:{nobody}/chitlaq", "test", {})
    (tmp_path / "ops").write_text("in the way")
    monkeypatch.setattr(overflow, "MEMORY", tmp_path / "ops")
    to = Operations(report_to=("ops@example.edu",))
    with OpsDatabase(Home(tmp_path)) as database:
        (said,) = await delivery.deliver(
            database, away, Settings(operations=to), "the day", "text", "page"
        )
    assert "kept nowhere" in said


async def test_report_that_goes_to_nobody_is_not_called_sent(tmp_path: Path) -> None:
    away = Database("postgresql://x:y@127.0.0.1:1/chitlaq", "test", {})
    with OpsDatabase(Home(tmp_path)) as database:
        said = await delivery.deliver(database, away, Settings(), "the day", "text", "page")
    assert said == ["not sent: operations.report_to and operations.notify name nobody"]


def test_report_is_written_mailed_and_sent(
    stack: Stack, hook: tuple[str, list[bytes]], tmp_path: Path
) -> None:
    url, came = hook
    answer = stack.command(
        "ops", "report", "--send", "--to", str(tmp_path),
        env={
            "CHITLAQ_OPERATIONS_REPORT_TO": "ops@example.edu",
            "CHITLAQ_OPERATIONS_NOTIFY": f"{url},nonsense://x",
        },
    )  # fmt: skip
    assert answer.returncode == 3, answer.stderr
    # Nobody can send it: there is no mail server.
    assert "not mailed to ops@example.edu: no mail server is set" in answer.stdout
    assert "sent to json" in answer.stdout
    assert "not sent to nonsense" in answer.stdout
    assert "secret-part" not in answer.stdout
    (page,) = tmp_path.glob("*.html")
    (plain,) = tmp_path.glob("*.md")
    assert "Needs attention" in Page(page.read_text()).text
    mailed = stack.json("mail", "show", "--to", "ops@example.edu")
    assert mailed["html"] == page.read_text()
    assert mailed["text"] == plain.read_text()
    assert "CRITICAL" in mailed["subject"]
    assert "Needs attention" in json.loads(came[0])["message"]
