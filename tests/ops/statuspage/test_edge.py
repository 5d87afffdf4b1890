"""nginx serves the status page when everything else is dead, and says when it is no longer written."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from itertools import islice
from xml.etree import ElementTree

import pytest
from litestar import get, post

from chitlaq import inventory
from chitlaq.cli.serve import load
from chitlaq.core.http import routes
from chitlaq.core.installation.settings import Settings
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.incidents import incidents
from chitlaq.ops.statuspage import published, site, snapshot
from chitlaq.ops.statuspage.published import UpdateStatus
from chitlaq.web.console.status import pages
from tests.conftest import Stack
from tests.lone_edge import Edge
from tests.services.gateway.raw_http import Answer, ask
from tests.services.gateway.test_edge_routes import spellings

# All routes of ops-service are tried, each in its commonest spellings; test_edge_routes tries all spellings.
SPELLINGS = 8
STALE = "This page is out of date"


async def ask_edge(edge: Edge, path: str, *headers: str, method: str = "GET") -> Answer:
    return await ask(edge.port, path, *headers, method=method)


@pytest.fixture
async def written(lone_edge: Edge, database: OpsDatabase) -> Edge:
    await site.write(lone_edge.home, Settings(), database)
    return lone_edge


async def test_page_stands_while_everything_else_is_dead(written: Edge) -> None:
    assert (await ask_edge(written, "/api/health")).status == 503
    for path, file in pages.FILES.items():
        answer = await ask_edge(written, path)
        assert answer.status == 200, path
        ending = file.rpartition(".")[2]
        assert f"Content-Type: {pages.MEDIA_TYPES[ending]}" in answer.head
        assert "Access-Control-Allow-Origin: *" in answer.head
    summary = (await ask_edge(written, "/status.json")).json()
    assert {one["name"] for one in summary["components"]} >= {"Feed", "Chat"}
    ElementTree.fromstring((await ask_edge(written, "/status/feed.atom")).body)


async def test_page_that_is_no_longer_written_says_so(written: Edge, database: OpsDatabase) -> None:
    assert STALE not in (await ask_edge(written, "/status/en")).body
    then = datetime.now(UTC) - timedelta(minutes=pages.STALE_AFTER_MINUTES + 1)
    said = await snapshot.taken(database, Settings(), then)
    site.put(written.home.status_page, site.content(said, Settings()))
    page = await ask_edge(written, "/status/en")
    assert STALE in page.body
    assert "<!--#" not in page.body
    assert "güncel değil" in (await ask_edge(written, "/status/tr")).body


async def test_browser_gets_the_language_that_was_chosen_or_that_it_names_first(
    written: Edge,
) -> None:
    for header, language in (
        ("tr-TR,tr;q=0.9,en;q=0.8", "tr"),
        ("en,tr;q=0.5", "en"),
        ("xx", "en"),
        ("en\r\nCookie: theme=dark; lang=tr", "tr"),
        ("tr\r\nCookie: lang=en", "en"),
    ):
        answer = await ask_edge(written, "/status", f"Accept-Language: {header}")
        assert f'<html lang="{language}"' in answer.body
        assert "Vary: Accept-Language, Cookie" in answer.head
    assert '<html lang="en"' in (await ask_edge(written, "/status")).body


async def test_page_has_the_colours_that_were_chosen_on_members_pages(written: Edge) -> None:
    for cookie, theme in (
        ("theme=contrast", "contrast"),
        ("lang=tr; theme=dark", "dark"),
        ("theme=<b>", "auto"),
        ("other=contrast", "auto"),
    ):
        for path in ("/status", "/status/tr/history", "/status/en/subscribe"):
            page = (await ask_edge(written, path, f"Cookie: {cookie}")).body
            assert f"data-theme='{theme}'" in page, (path, cookie)


async def test_page_reloads_itself_only_where_asked_to(written: Edge) -> None:
    plain, reloading = (
        await ask_edge(written, "/status/en"),
        await ask_edge(written, "/status/en?refresh=1"),
    )
    assert "Refresh:" not in plain.head
    assert '<a href="/status/en?refresh=1">' in plain.body
    assert "Refresh: 60" in reloading.head
    assert '<a href="/status/en">Stop refreshing</a>' in reloading.body


async def test_only_the_declared_files_of_the_folder_are_served(written: Edge) -> None:
    (written.home.status_page / "en.html.0a1b2c3d.draft").write_text("draft")
    for path in (
        "/status/en.html", "/status/en.html.0a1b2c3d.draft", "/status/", "/status/../secrets",
        "/status/%2e%2e/secrets/ops-token", "/status//en.atom", "/status/en/", "/en.html",
    ):  # fmt: skip
        assert (await ask_edge(written, path)).status in {400, 404}, path
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = await ask_edge(written, "/status", "Content-Length: 0", method=method)
        assert answer.status == 405


async def test_page_that_was_never_written_is_unavailable(lone_edge: Edge) -> None:
    answer = await ask_edge(lone_edge, "/status")
    assert answer.status == 503
    assert "Retry-After" in answer.head


async def test_no_text_is_a_command_to_nginx(written: Edge, database: OpsDatabase) -> None:
    """The page has commands of Server Side Includes; what people write must never be one."""
    trick = (
        '<!--# include virtual="/-/alive" --><!--# echo var="edge_key" --><script>alert(1)</script>'
    )
    made = await incidents.open_by_hand(database, "x", "P1", "ada", subject="component:postgres")
    await published.publish(
        database, made.id, UpdateStatus.INVESTIGATING, "ada", text=trick, title=trick
    )
    await site.write(written.home, Settings(), database)
    for path in pages.FILES:
        body = (await ask_edge(written, path)).body
        if path.endswith("json"):
            assert json.loads(body)["incidents"][0]["name"] == trick
        else:
            assert "<script" not in body
            assert not re.search(r"<!--#|error occurred", body)
    assert "&lt;!--# include virtual=" in (await ask_edge(written, "/status/en")).body


async def test_edge_forwards_of_ops_service_what_is_declared_for_members(stack: Stack) -> None:
    service = load(inventory.COMPONENTS["ops-service"])
    public = {route.template for route in routes.for_members(service)}
    assert public == {"/status/subscribe", "/status/confirm", "/status/unsubscribe"}
    for path in public:
        answer = await ask(stack.ports["edge"], path, method="GET")
        assert answer.status in {400, 405}, path
        assert "nothing at this address" not in answer.body
    own, others = (
        {route.template for route in routes.declared(load(inventory.COMPONENTS[name]))}
        for name in ("ops-service", "api-gateway")
    )
    hidden = own - public - others
    reached = [
        (target, answer.status)
        for template in sorted(hidden)
        for target in islice(spellings(re.sub(r"\{\w+\}", "1", template)), SPELLINGS)
        if (answer := await ask(stack.ports["edge"], target)).status not in {400, 404}
    ]
    assert reached == []


def test_path_is_members_with_all_its_handlers_or_with_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def handle() -> None:
        pass

    both = [
        get("/both", status_code=204, is_public=True)(handle),
        post("/both", status_code=204)(handle),
    ]
    monkeypatch.setattr(routes, "collect", lambda _: iter(both))
    with pytest.raises(ValueError, match="/both"):
        routes.for_members(load(inventory.COMPONENTS["ops-service"]))
