"""Every answer is one that the API's description declares: schemathesis asks all services and the gateway."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import Path

import httpx
import pytest

from chitlaq import inventory
from chitlaq.services.gateway import nginx
from tests.conftest import Member, Stack
from tests.services.test_bad_input import assert_is_problem

Join = Callable[[], Awaitable[Member]]

DESCRIPTIONS = {row.name: (row.setting, "/openapi.json") for row in inventory.SERVICES}
DESCRIPTIONS["the whole API"] = ("edge", "/api/openapi.json")

SHORT = ("--phases=fuzzing", "--max-examples=2")
LONG = ("--phases=coverage,fuzzing", "--max-examples=40")
# 422 also refuses what no schema can say: a page and a limit that reach too deep together, for example.
EXCLUDED_CHECKS = "positive_data_acceptance"


@pytest.fixture(scope="module")
def working_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all runs: hypothesis keeps its tables of characters there, which take a second to make."""
    return tmp_path_factory.mktemp("schemathesis")


@pytest.mark.parametrize(
    "effort",
    [pytest.param(SHORT, id="short"), pytest.param(LONG, id="long", marks=pytest.mark.long)],
)
@pytest.mark.parametrize("who", ["stranger", "member"])
@pytest.mark.parametrize("description", DESCRIPTIONS)
async def test_every_answer_is_declared_and_none_is_a_fault(
    stack: Stack,
    join: Join,
    working_folder: Path,
    description: str,
    who: str,
    effort: tuple[str, ...],
) -> None:
    port, path = DESCRIPTIONS[description]
    headers = []
    if who == "member":
        token = (await join()).token
        if description == "ops-service":
            token = (stack.home / "secrets" / "ops-token").read_text().strip()
            headers = ["--include-method=GET"]  # POST would store made-up alerts for other tests
        headers += ["--header", f"Authorization: Bearer {token}"]
    if effort is SHORT and path == "/openapi.json":
        # What the whole API has as well is asked there.
        headers += await _of_the_whole_api(stack, f"http://127.0.0.1:{stack.ports[port]}{path}")
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("schemathesis"), "run",
        f"http://127.0.0.1:{stack.ports[port]}{path}",
        "--seed=1", "--mode=all", "--no-color", "--generation-database=none",
        "--suppress-health-check=all", f"--exclude-checks={EXCLUDED_CHECKS}", *effort, *headers,
        cwd=working_folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()


async def _of_the_whole_api(stack: Stack, description: str) -> list[str]:
    """Return options that leave out the paths of a service that the description of the whole API has."""
    async with httpx.AsyncClient() as client:
        whole = (await client.get(f"{stack.edge}/api/openapi.json")).json()["paths"]
        own = (await client.get(description)).json()["paths"]
    return [f"--exclude-path={one}" for one in own if f"/api{one}" in whole]


def test_what_nginx_answers_by_itself_is_in_the_description() -> None:
    """But 404 and 405: a declared route and method gets neither from nginx."""
    template = resources.files("chitlaq.services.gateway").joinpath("nginx.conf.j2").read_text()
    answered = {int(status) for status in re.findall(r"\{\{ problem\((\d{3}),", template)}
    mapped = {int(status) for status in re.findall(r"^error_page .*=(\d{3}) ", template, re.M)}
    assert answered - {404, 405} == set(nginx.EDGE_STATUSES)
    assert mapped <= answered


async def test_description_names_refusals_and_security_of_each_route(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=stack.edge) as client:
        paths = (await client.get("/api/openapi.json")).json()["paths"]
    write, read = paths["/api/posts"]["post"], paths["/api/posts/{post_id}"]["get"]
    assert write["security"] == [{"bearer": []}]
    assert read["security"] == [{}, {"bearer": []}]
    assert paths["/api/auth/register"]["post"]["security"] == []
    assert {"201", "400", "401", "409", "413", "415", "422", "429", "503"} <= set(
        write["responses"]
    )
    assert {"200", "401", "404", "429", "503"} <= set(read["responses"])
    assert not {"403", "421"} & set(read["responses"]), "nginx is not answered so"
    assert "403" in paths["/api/users/{username}/followers"]["get"]["responses"], (
        "a private profile"
    )
    assert {"101", "426"} <= set(paths["/ws"]["get"]["responses"])
    for item in paths.values():
        for operation in item.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "evil.example"}, 421), ({"Origin": "http://evil.example"}, 403)],
)
@pytest.mark.parametrize("service", [row for row in inventory.SERVICES if not row.is_gateway])
async def test_what_web_pages_are_answered_on_a_service_s_own_port_is_declared(
    stack: Stack, service: inventory.Component, headers: dict[str, str], status: int
) -> None:
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{stack.ports[service.setting]}"
    ) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
        for path, item in paths.items():
            for method, operation in item.items():
                answer = await client.request(method, path, headers=headers)
                assert answer.status_code == status
                assert str(status) in operation["responses"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/posts", {"POST", "OPTIONS"}),
        ("/users/me", {"GET", "HEAD", "PATCH", "OPTIONS"}),
        ("/users/somebody/follow", {"PUT", "DELETE", "OPTIONS"}),
        ("/feed/home", {"GET", "HEAD", "OPTIONS"}),
    ],
)
@pytest.mark.parametrize("method", ["OPTIONS", "POST", "PUT", "TRACE", "PROPFIND"])
async def test_allow_lists_exactly_the_methods_of_the_path(
    stack: Stack, path: str, allowed: set[str], method: str
) -> None:
    """RFC 9110, 10.2.1 and 15.5.6."""
    if method in allowed - {"OPTIONS"}:
        pytest.skip("it is allowed")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{stack.ports['feed']}") as client:
        answer = await client.request(method, path)
    assert answer.status_code == (204 if method == "OPTIONS" else 405)
    assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/posts", {"POST", "OPTIONS"}),
        ("/api/users/me?x=1", {"GET", "HEAD", "PATCH", "OPTIONS"}),
        ("/api/users/somebody/block", {"PUT", "DELETE", "OPTIONS"}),
        ("/ws", {"GET", "HEAD", "OPTIONS"}),
    ],
)
async def test_what_nginx_refuses_by_itself_lists_the_methods_too(
    stack: Stack, path: str, allowed: set[str]
) -> None:
    async with httpx.AsyncClient(base_url=stack.edge) as client:
        answer = await client.request("TRACE", path)
    assert answer.status_code == 405
    assert_is_problem(answer)
    assert set(answer.headers["allow"].split(", ")) == allowed


async def test_method_that_nobody_knows_is_a_problem(stack: Stack) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{stack.ports['feed']}") as client:
        answer = await client.request("UNHEARD-OF", "/feed/home")
    assert answer.status_code == 400
    assert_is_problem(answer)


@pytest.mark.parametrize(
    ("path", "status"), [("/feed/home", 200), ("/users/nobody", 404), ("/posts", 405)]
)
async def test_head_is_answered_as_get_without_the_body(
    stack: Stack, path: str, status: int
) -> None:
    """RFC 9110, 9.3.2."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{stack.ports['feed']}") as client:
        answer, get = await client.head(path), await client.get(path)
    assert answer.status_code == get.status_code == status
    assert answer.content == b""
    assert answer.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "x"])
async def test_body_that_is_no_json_is_415(client: httpx.AsyncClient, media_type: str) -> None:
    answer = await client.post(
        "/api/auth/login", content=b"{}", headers={"Content-Type": media_type}
    )
    assert answer.status_code == 415
    assert "application/json" in answer.json()["detail"]
