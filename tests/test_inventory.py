"""A service is one row in the inventory and one package: everything else is derived."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import chitlaq
from chitlaq import inventory
from tests.conftest import Stack, eventually, free_ports, start_stack, stop_stack

ROW = """\
    Component(
        "dummy-service", "service", "dummy", 3007, is_for_members=True, workers=1,
        package="chitlaq.services.dummy", role="chitlaq_dummy", title="ChitLaq dummies",
    ),
"""
PACKAGE = {
    "services/dummy/__init__.py": '"""dummy-service: a service that a test adds."""\n',
    "services/dummy/queries.sql": """\
-- name: add_dummy
-- Adds a row, and tells whose it is and which row it was.
INSERT INTO dummy.dummies DEFAULT VALUES RETURNING id, current_user AS role;
""",
    "services/dummy/routes.py": '''\
"""HTTP in and out of dummy-service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import post

from chitlaq import inventory
from chitlaq.core.data.postgres import Database
from chitlaq.core.http.service import Context, Service, ServiceState
from chitlaq.core.telemetry import logs

log = logs.get("dummies")


class DummyState(ServiceState):
    database: Database


@post("/dummies", summary="Add a dummy")
async def add(state: DummyState) -> dict[str, str]:
    row = await state.database.row("add_dummy")
    log.error("no real dummy", id=row["id"])
    return {"id": str(row["id"]), "role": row["role"]}


@asynccontextmanager
async def run(context: Context) -> AsyncIterator[DummyState]:
    yield DummyState(database=context.database)


SERVICE = Service(inventory.COMPONENTS["dummy-service"], run=run)
''',
    "migrations/9999_dummy.sql": """\
CREATE SCHEMA dummy;
CREATE TABLE dummy.dummies (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
""",
}


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack of a copy of the source with one more service."""
    source = tmp_path_factory.mktemp("source")
    package = source / "chitlaq"
    shutil.copytree(Path(chitlaq.__file__).parent, package)
    declared = (package / "inventory.py").read_text()
    before, nginx, after = declared.partition('    Component("nginx"')
    assert nginx
    (package / "inventory.py").write_text(before + ROW + nginx + after)
    for name, text in PACKAGE.items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(text)
    (port,) = free_ports(1)
    stack = start_stack(PYTHONPATH=str(source), CHITLAQ_PORTS_DUMMY=str(port))
    stack.ports["dummy"] = port
    try:
        stack.up()
        yield stack
    finally:
        stop_stack(stack)


def test_new_service_runs_on_its_port_with_its_role_and_may_use_its_tables(extended: Stack) -> None:
    row = extended.ps()["dummy-service"]
    assert (row["state"], row["port"]) == ("healthy", extended.ports["dummy"])
    direct = httpx.post(f"http://127.0.0.1:{extended.ports['dummy']}/dummies")
    assert direct.json() == {"id": "1", "role": "chitlaq_dummy"}, direct.text


async def test_new_service_is_forwarded_aggregated_and_documented(extended: Stack) -> None:
    async with httpx.AsyncClient(base_url=extended.gateway) as client:
        assert (await client.post("/api/dummies")).json()["role"] == "chitlaq_dummy"
        health = (await client.get("/api/health")).json()
        assert health["checks"]["dummy-service"]["status"] == "healthy"
        document = (await client.get("/api/docs")).json()
        assert document["paths"]["/api/dummies"]["post"]["tags"] == ["Dummy"]
        page = (await client.get("/api/docs", headers={"Accept": "text/html"})).text
        assert "<h2>Dummy</h2>" in page
        assert "Add a dummy" in page


async def test_new_service_is_monitored(extended: Stack) -> None:
    httpx.post(f"http://127.0.0.1:{extended.ports['dummy']}/dummies")
    scraped = json.loads(extended.command("config", "prometheus").stdout)["scrape_configs"]
    (job,) = [one for one in scraped if one["job_name"] == "dummy-service"]
    assert job["static_configs"] == [{"targets": [f"127.0.0.1:{extended.ports['dummy']}"]}]
    rules = extended.command("config", "rules").stdout
    assert "websocket|feed-service|search-service|auth-service|dummy-service" in rules
    await eventually(
        lambda: "no real dummy" in extended.command("logs", "dummy-service", "--errors").stdout
    )
    found = {
        one["check"]: one
        for one in extended.json("ops", "check", "dummy.health", "dummy.log")["results"]
    }
    assert found["dummy.health"]["verdict"] == "OK"
    assert "no real dummy" in json.dumps(found["dummy.log"])
    listed = {one["check"]: one["routines"] for one in extended.json("ops", "list")}
    assert "morning" in listed["dummy.health"]
    assert "morning" in listed["dummy.log"]


def test_new_service_is_configured_like_any_other(extended: Stack) -> None:
    shown = {row["setting"]: row for row in extended.json("config", "show")["settings"]}
    assert shown["ports.dummy"]["value"] == str(extended.ports["dummy"])
    assert shown["ports.dummy"]["variable"] == "CHITLAQ_PORTS_DUMMY"
    assert (shown["workers.dummy"]["value"], shown["workers.dummy"]["is_default"]) == ("1", True)


def test_row_of_every_component_is_complete() -> None:
    rows = inventory.COMPONENTS.values()
    assert len({port.number for port in inventory.PORTS}) == len(inventory.PORTS)
    assert len({port.setting for port in inventory.PORTS}) == len(inventory.PORTS)
    assert sum(row.is_gateway for row in rows) == 1
    for row in rows:
        is_service = row.kind == "service"
        assert bool(row.package) == bool(row.role) == bool(row.title) == is_service, row.name
        assert bool(row.setting) == bool(row.port), row.name
        assert bool(row.optional_setting) == bool(row.optional_port), row.name
        assert is_service or not row.workers, row.name
