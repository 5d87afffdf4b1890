"""The web application on a cheap phone with bad reception, beside a plain page in the same run.

Chromium has 360 by 740 px, a quarter of a core's speed, and 1.6 Mbit/s with 150 ms of latency.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from chitlaq.bench import queries, web_scripts
from chitlaq.bench.benchmark import HOST, sign_in
from chitlaq.bench.installation import Installation, installed
from chitlaq.core.data import postgres
from chitlaq.core.errors import MissingProgramError
from chitlaq.core.http import cookies
from chitlaq.stack.install import unpacked_programs

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, CDPSession, Page

MEMBERS = 200
MESSAGES = 5000
ROUNDS = 5
LIMIT_MS = 60_000
SLOWED = 4
"""The CPU, as often."""
LATENCY_MS = 150
BYTES_PER_SECOND = 200_000
EARLIER_PAGES = 3
"""Of 50 messages beyond the first: as many as are held at most."""

_BEGIN = """
    INSERT INTO websocket.conversations (kind, lower_id, upper_id, created_by, last_seq)
    VALUES ('direct', least($1::uuid, $2), greatest($1::uuid, $2), $1, $3) RETURNING id"""
_JOIN = """
    INSERT INTO websocket.participants (conversation_id, account_id, state, read_seq)
    SELECT $1, one, 'joined', $3 FROM unnest($2::uuid[]) one"""
_WRITE = """
    INSERT INTO websocket.messages (conversation_id, seq, sender_id, client_id, text, sent_at)
    SELECT $1, n, $2, n::text, repeat('Message number ' || n || '. ', 1 + n % 5),
        now() - make_interval(mins => $3 - n)
    FROM generate_series(1, $3::integer) n"""
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip


class Opened(msgspec.Struct, frozen=True):
    """Opening a page: medians over the rounds, in milliseconds from the navigation."""

    name: str
    first_paint: float
    largest_paint: float
    shift: float
    """Cumulative layout shift, without a unit."""
    requests: int
    """Until the largest paint is known; also those that the service worker answers."""
    kilobytes: float
    """As they are transferred meanwhile, with headers."""
    ratio: float
    """The largest paint beside that of the plain page."""


class Used(msgspec.Struct, frozen=True):
    """Using a page: milliseconds over all rounds."""

    name: str
    p50: float
    p95: float
    nodes: int
    """At most."""
    ratio: float
    """``p95`` beside that of the plain page."""


class Report(msgspec.Struct, frozen=True):
    cores: int
    load_average: float
    """Before anything was measured."""
    messages: int
    rounds: int
    opened: list[Opened]
    interactions: list[Used]
    """From a click or a key to the next paint: what INP is made of."""
    frames: list[Used]
    """Time between frames while the page is scrolled."""


@dataclass(frozen=True, slots=True)
class _Place:
    name: str
    url: str
    is_member: bool = True
    is_repeated: bool = False
    """Whether it is opened again, once what stays in the browser is there."""


async def run(say: Callable[[str], None]) -> Report:
    """Measure on a temporary stack, which is always removed.

    Raises:
        OperatorError: a component did not start, or a response was wrong.
        MissingProgramError: there is no Playwright, or no Chromium.
    """
    load_average = os.getloadavg()[0]
    async with _chromium() as browser, installed() as installation:
        say("starting")
        await installation.start()
        await installation.command("seed", "--members", str(MEMBERS), "--json")
        (member, username), (other, _) = await queries.some_members(installation, 2)
        (token,) = await sign_in(installation, [username])
        talk = await _conversation(installation, member, other)
        origin = f"http://localhost:{installation.settings.port_of('api-gateway')}"
        async with _plain_page() as plain:
            places = [
                _Place("plain page", plain, is_member=False),
                _Place("landing page", f"{origin}/", is_member=False),
                _Place("profile, not signed in", f"{origin}/@{username}", is_member=False),
                _Place("home, first visit", f"{origin}/home"),
                _Place("home, repeated visit", f"{origin}/home", is_repeated=True),
                _Place("conversation of 5,000 messages", f"{origin}/chat/{talk}"),
            ]
            visits = _Visits(browser, token)
            opened: dict[str, list[dict[str, float]]] = {one.name: [] for one in places}
            acted: dict[str, list[float]] = {}
            frames: dict[str, list[float]] = {}
            nodes: dict[str, int] = {}
            for number in range(ROUNDS):
                say(f"pages, round {number + 1} of {ROUNDS}")
                for place in places:
                    opened[place.name].append(await visits.opened(place))
                for name, place, use in (
                    ("plain page", places[0], _use_plain),
                    ("home", places[3], _use_home),
                    ("conversation of 5,000 messages", places[5], _use_conversation),
                ):
                    async with visits.visiting(place) as page:
                        await page.evaluate(web_scripts.SHOW_EACH_FRAME)
                        await use(page)
                        acted.setdefault(name, []).extend(await page.evaluate(web_scripts.EVENTS))
                        await page.evaluate(web_scripts.NO_LONGER)
                        frames.setdefault(name, []).extend(await page.evaluate(web_scripts.SCROLL))
                        found = await page.evaluate("document.querySelectorAll('*').length")
                        nodes[name] = max(found, nodes.get(name, 0))
    return Report(
        os.cpu_count() or 1,
        round(load_average, 1),
        MESSAGES,
        ROUNDS,
        _opened(opened),
        _used(acted, nodes),
        _used(frames, nodes),
    )


def _opened(rounds: dict[str, list[dict[str, float]]]) -> list[Opened]:
    def middle(name: str, key: str) -> float:
        return median(one[key] for one in rounds[name])

    plain = middle(next(iter(rounds)), "largest")
    return [
        Opened(
            name,
            round(middle(name, "first")),
            round(middle(name, "largest")),
            round(middle(name, "shift"), 3),
            round(middle(name, "requests")),
            round(middle(name, "bytes") / 1000, 1),
            round(middle(name, "largest") / plain, 2),
        )
        for name in rounds
    ]


def _used(times: dict[str, list[float]], nodes: dict[str, int]) -> list[Used]:
    p95 = {name: _p95(found) for name, found in times.items()}
    plain = next(iter(p95.values()))
    return [
        Used(
            name,
            round(median(found), 1),
            round(p95[name], 1),
            nodes[name],
            round(p95[name] / plain, 2),
        )
        for name, found in times.items()
    ]


def _p95(times: Sequence[float]) -> float:
    return quantiles(times, n=20, method="inclusive")[-1]


@dataclass(frozen=True, slots=True)
class _Visits:
    """Visits of one browser, each with nothing kept from another."""

    browser: Browser
    token: str

    async def opened(self, place: _Place) -> dict[str, float]:
        """Open a page, and return what the browser measured."""
        async with self._context(place) as context:
            page = await context.new_page()
            if place.is_repeated:
                await self._go(page, place)
                await page.wait_for_function(web_scripts.IS_KEPT)
            session = await _slowed(context, page)
            sizes = _Sizes(session)
            await self._go(page, place)
            found: dict[str, float] = await page.evaluate(web_scripts.PAINTS)
            return {**found, "requests": sizes.requests, "bytes": sizes.bytes}

    @asynccontextmanager
    async def visiting(self, place: _Place) -> AsyncIterator[Page]:
        """Yield a page that is ready, on a slow CPU."""
        async with self._context(place) as context:
            page = await context.new_page()
            await self._go(page, place)
            await _slowed(context, page)
            yield page

    @asynccontextmanager
    async def _context(self, place: _Place) -> AsyncIterator[BrowserContext]:
        context = await self.browser.new_context(
            viewport={"width": 360, "height": 740}, service_workers="allow"
        )
        context.set_default_timeout(LIMIT_MS)
        await context.add_init_script(web_scripts.OBSERVE)
        try:
            if place.is_member:
                kept: Any = {"name": cookies.ACCESS, "value": self.token, "domain": "localhost"}
                kept |= {"path": "/", "secure": True, "httpOnly": True, "sameSite": "Lax"}
                await context.add_cookies([kept])
            yield context
        finally:
            await context.close()

    async def _go(self, page: Page, place: _Place) -> None:
        await page.goto(place.url)
        if place.is_member:
            await page.wait_for_selector("html[data-ready]")


class _Sizes:
    """What is transferred from now on."""

    def __init__(self, session: CDPSession) -> None:
        self.requests = 0
        self.bytes = 0.0
        session.on("Network.requestWillBeSent", self._count)
        session.on("Network.loadingFinished", self._add)

    def _count(self, event: dict[str, Any]) -> None:
        if not event["request"]["url"].startswith("data:"):
            self.requests += 1

    def _add(self, event: dict[str, Any]) -> None:
        self.bytes += event["encodedDataLength"]


async def _slowed(context: BrowserContext, page: Page) -> CDPSession:
    session = await context.new_cdp_session(page)
    await session.send("Network.enable")
    await session.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": LATENCY_MS,
            "downloadThroughput": BYTES_PER_SECOND,
            "uploadThroughput": BYTES_PER_SECOND,
        },
    )
    await session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWED})
    return session


async def _use_plain(page: Page) -> None:
    for _ in range(6):
        await page.click("button")


async def _use_home(page: Page) -> None:
    for number in range(3):
        await page.locator("article .like").nth(number).click()
        await page.locator("article .bookmark").nth(number).click()


async def _use_conversation(page: Page) -> None:
    await page.locator("textarea").press_sequentially("Hello")
    rows = page.locator("[data-seq]")
    for _ in range(EARLIER_PAGES):
        top = await rows.first.get_attribute("data-seq")
        await page.locator("p.more button").first.click()
        await page.wait_for_function(web_scripts.IS_ANOTHER_FIRST, arg=top)


async def _conversation(installation: Installation, member: UUID, other: UUID) -> UUID:
    """Return a conversation of two members with `MESSAGES` messages of the other, all of which are read."""
    async with (
        postgres.connection(queries.dsn(installation)) as connection,
        connection.transaction(),
    ):
        begun: UUID = await connection.fetchval(_BEGIN, member, other, MESSAGES)
        await connection.execute(_JOIN, begun, [member, other], MESSAGES)
        await connection.execute(_WRITE, begun, other, MESSAGES)
        return begun


@asynccontextmanager
async def _chromium() -> AsyncIterator[Browser]:
    """Yield a browser; Playwright is a dependency of development, which no service needs.

    Raises:
        MissingProgramError: there is no Playwright, or no Chromium.
    """
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        raise MissingProgramError(
            "chitlaq bench --web needs the development dependencies: make check installs them."
        ) from None
    program = await asyncio.to_thread(unpacked_programs.chromium)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program.path, args=FLAGS, env=dict(program.environment)
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def _plain_page() -> AsyncIterator[str]:
    """Yield the address of a page that does nothing but show texts and count clicks."""
    body = web_scripts.PLAIN.encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").encode() + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, HOST, 0) as server:
        yield f"http://localhost:{server.sockets[0].getsockname()[1]}/"
