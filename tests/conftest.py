"""One real stack for the whole run: on free ports, in a temporary home, stopped at the end."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import importlib
import json
import os
import random
import re
import secrets
import shutil
import string
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, TypeVar, overload

import asyncpg
import httpx
import hypothesis
import msgspec
import psutil
import pytest

from chitlaq import inventory
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation import ports
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.ops.database import overflow
from chitlaq.services.auth.sessions.signing import Signer
from chitlaq.stack.servers import nginx
from chitlaq.stack.supervisor import control
from tests import commands, joining, prepared_data

pytest_plugins = ["tests.observers", "tests.lone_edge", "tests.left_behind"]

PORTS = tuple(port.setting for port in inventory.PORTS)
PASSWORD = "correct horse battery"

T = TypeVar("T")

MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 6e9
RUN_FOLDER = re.compile("ct-[0-9a-f]{6}")
"""Short, so that the path leaves room for a home's sockets."""
RUN = "TESTS_RUN_FOLDER"
"""Tells the workers the run's folder."""
KEPT_SECONDS = 3600.0
"""For how long what a failed run has left may be looked at."""


def _quick_folder() -> Path:
    """Where homes and temporary folders lie: in memory if there is room.

    A run writes a hundred thousand files and flushes most of them, which takes a disk ten times as long.
    """
    if MEMORY.is_dir():
        room = min(psutil.virtual_memory().available, psutil.disk_usage(str(MEMORY)).free)
        if room > ENOUGH_BYTES:
            return MEMORY
    return Path(tempfile.gettempdir())


QUICK_FOLDER = _quick_folder()

# Each client would read all certificate authorities anew, which takes 15 ms.
httpx._transports.default.create_ssl_context = cache(httpx.create_ssl_context)  # type: ignore[attr-defined]

# How long an example takes is the machine's matter.
hypothesis.settings.register_profile(
    "run",
    deadline=None,
    suppress_health_check=[
        hypothesis.HealthCheck.too_slow,
        hypothesis.HealthCheck.function_scoped_fixture,
    ],
)
hypothesis.settings.load_profile("run")

# A thousand processes would each compile ChitLaq's modules, and each worker all tests.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

_is_green = False
_locks: list[int] = []
_given: set[int] = set()
_reservations = -1


def pytest_configure(config: pytest.Config) -> None:
    """Give the run a folder of its own."""
    # Nothing that is collected is garbage; see pytest_collection_finish.
    gc.disable()
    if hasattr(config, "workerinput"):
        return
    _refuse_a_hidden_clone(config.rootpath)
    _remove_runs_that_are_over()
    folder = _new_folder(QUICK_FOLDER)
    os.environ[RUN] = str(folder)
    config.option.basetemp = config.option.basetemp or folder / "t"

    def remove() -> None:
        if _is_green:
            _remove_run(folder)

    config.add_cleanup(remove)


def _refuse_a_hidden_clone(clone: Path) -> None:
    """As root, the servers run as another user, who has to reach the code: say so once, not in each test."""
    hidden = [folder for folder in (clone, *clone.parents) if not folder.stat().st_mode & 0o001]
    if os.geteuid() == 0 and hidden:
        closed = hidden[-1]
        pytest.exit(
            f"root's tests run servers as another user, who cannot enter {closed}: "
            f"chmod o+x {closed}, or clone elsewhere.",
            returncode=2,
        )


def _remove_runs_that_are_over() -> None:
    """Remove what failed runs left a while ago, and killed ones."""
    for place in {QUICK_FOLDER, Path(tempfile.gettempdir())}:
        for folder in filter(lambda one: RUN_FOLDER.fullmatch(one.name), place.iterdir()):
            with suppress(OSError):  # it has just been removed
                state = folder.lstat()
                is_old = time.time() - state.st_mtime > KEPT_SECONDS
                if state.st_uid == os.getuid() and is_old and _is_locked_by_us(folder):
                    _remove_run(folder)
                    os.close(_locks.pop())


def _remove_run(folder: Path) -> None:
    """Remove a run's folder with what belongs to its homes, and stop what still runs in them."""
    for home in (folder, *folder.glob("chitlaq-*")):
        with suppress(OperatorError):
            control.stop(Home(home))
    for home in (folder, *folder.glob("*"), *folder.glob("t/*"), *folder.glob("t/*/*")):
        shutil.rmtree(overflow.folder(Home(home)), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def _new_folder(place: Path) -> Path:
    """Make a folder that others leave alone until this process ends."""
    folder = place / f"ct-{secrets.token_hex(3)}"
    folder.mkdir(mode=0o711)
    assert _is_locked_by_us(folder)
    return folder


def _is_locked_by_us(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    _locks.append(descriptor)
    return True


def pytest_sessionstart(session: pytest.Session) -> None:
    """Let each worker compile its share of the files first: in a new clone, each would compile all."""
    worker: dict[str, Any] | None = getattr(session.config, "workerinput", None)
    if worker is None:
        return
    given = [Path(argument.partition("::")[0]).absolute() for argument in session.config.args]
    found = sorted(file for path in given for file in ([path, *path.rglob("test_*.py")]))
    share = found[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]
    for file in filter(Path.is_file, share):
        name = ".".join(file.relative_to(session.config.rootpath).with_suffix("").parts)
        # What fails here is imported again, and reported, when it is collected.
        with suppress(Exception, pytest.skip.Exception), warnings.catch_warnings(action="error"):
            importlib.import_module(name)


def pytest_collection_finish() -> None:
    """What was loaded and collected stays: looking for garbage among it takes a percent of the run."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_sessionfinish(exitstatus: int) -> None:
    global _is_green  # noqa: PLW0603 - the hooks share nothing else
    _is_green = exitstatus == 0


# More than that are not flaky: they are broken, or pytest found none of those that failed and runs all.
MOST_TO_REPEAT = 20


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the largest files: a long one that came last would run alone."""
    if config.getoption("lf", False) and len(items) > MOST_TO_REPEAT:
        pytest.exit(f"{len(items)} tests are too many to repeat.", returncode=1)
    sizes = {path: path.stat().st_size for path in {item.path for item in items}}
    items.sort(key=lambda item: -sizes[item.path])


def free_ports(count: int) -> list[int]:
    """Free ports that nobody else gets: no other worker, no later call, and no other run beside this one."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    size = (ports.LAST - ports.FIRST) // 8
    first = ports.FIRST + worker * size
    found: list[int] = []
    while len(found) < count:
        (port,) = ports.free_ports(1, first, first + size - 1)
        if port not in _given and _is_reserved(port):
            _given.add(port)
            found.append(port)
    return found


def _is_reserved(port: int) -> bool:
    """Reserve a port until this process ends; false if another run has it and may not listen yet."""
    global _reservations  # noqa: PLW0603 - one descriptor: closing another would release all
    if _reservations < 0:
        file = Path(tempfile.gettempdir(), f"chitlaq-test-ports-{os.getuid()}")
        _reservations = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(_reservations, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


class Answer(httpx.Response):
    """What the gateway answered. A test that looks for something else in a refusal fails with the refusal."""

    def json(self, **options: Any) -> Any:
        body = super().json(**options)
        return Refusal(body) if self.is_error and isinstance(body, dict) else body


class Refusal(dict[str, Any]):
    """A problem document."""

    def __missing__(self, key: str) -> NoReturn:
        raise AssertionError(f"no {key!r} in {dict(self)}")


class Answering(httpx.AsyncHTTPTransport):
    """Gives a client answers of this kind."""

    async def handle_async_request(self, request: httpx.Request) -> Answer:
        found = await super().handle_async_request(request)
        return Answer(
            found.status_code,
            headers=found.headers,
            stream=found.stream,
            extensions=found.extensions,
        )


@overload
async def eventually(condition: Callable[[], Awaitable[T | None]], seconds: float = 60.0) -> T: ...
@overload
async def eventually(condition: Callable[[], T | None], seconds: float = 60.0) -> T: ...
async def eventually(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait until a condition holds, and return what it gave; fail with the last fault otherwise.

    The limit is for what never comes. It promises no speed, so it is the same for all.
    What takes long to ask, such as a command, is asked less often: the cores are others' meanwhile.
    So is what takes long to come: who asks on and on is refused for that (429), which hides the rest.
    """
    began = time.monotonic()
    deadline = began + seconds
    while True:
        asked = time.monotonic()
        fault: BaseException | None = None
        try:
            result = condition()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return result
        except (AssertionError, httpx.HTTPError, OSError, asyncpg.PostgresError) as error:
            fault = error
        now = time.monotonic()
        if now > deadline:
            raise AssertionError(f"not so within {seconds:g} s") from fault
        await asyncio.sleep(min(max(0.05, 2 * (now - asked), (now - began) / 40), 1.0))


def short_form(cases: Iterable[T], *short: str, name: Callable[[T], str] = str) -> list[Any]:
    """Mark all cases but those named as `long`: `make test` runs a few, `make test-long` all."""
    return [
        pytest.param(case, id=name(case), marks=() if name(case) in short else pytest.mark.long)
        for case in cases
    ]


@pytest.fixture(scope="session")
def tmp_path_factory(tmp_path_factory: pytest.TempPathFactory) -> pytest.TempPathFactory:
    """If we are root, temporary folders that the service user can enter, too."""
    make = tmp_path_factory.mktemp

    def mktemp(basename: str, numbered: bool = True) -> Path:
        folder = make(basename, numbered)
        folder.chmod(0o777)
        return folder

    if os.geteuid() == 0:
        run = run_folder()
        for folder in (base := tmp_path_factory.getbasetemp(), *base.parents):
            # A worker's folder lies in that of its run.
            if folder.is_relative_to(run) or folder.name.startswith("popen-"):
                folder.chmod(0o711)
        tmp_path_factory.mktemp = mktemp  # type: ignore[method-assign]
    return tmp_path_factory


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """A folder, which may be a home or have some: what these keep in shared memory goes with it."""
    yield tmp_path
    for home in (tmp_path, *tmp_path.glob("*")):
        shutil.rmtree(overflow.folder(Home(home)), ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def shared_folders_keep_their_modes() -> Iterator[None]:
    """No test changes the mode of a folder that others use too."""
    shared = [folder for folder in (Path("/"), Path("/tmp"), MEMORY) if folder.is_dir()]
    before = {folder: oct(folder.stat().st_mode) for folder in shared}
    yield
    assert {folder: oct(folder.stat().st_mode) for folder in shared} == before


@dataclass
class Stack:
    """A running installation, used as an operator and as a client would."""

    home: Path
    environment: dict[str, str]
    ports: dict[str, int]

    @property
    def gateway(self) -> str:
        return f"http://127.0.0.1:{self.ports['gateway']}"

    @property
    def edge(self) -> str:
        return f"http://127.0.0.1:{self.ports['edge']}"

    @property
    def issuer(self) -> str:
        """What its access tokens say whose they are."""
        return f"http://localhost:{self.ports['edge']}"

    @property
    def signer(self) -> Signer:
        """One that signs as auth-service does."""
        secrets = Secrets(self.home / "secrets")
        return Signer(next(iter(secrets.signing_keys.values())), secrets.edge_key, self.issuer)

    def command(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run ``chitlaq WORDS`` for this installation."""
        return commands.run(words, self.environment | options.pop("env", {}), **options)

    def up(self, **options: Any) -> None:
        """Start it as an operator does, and wait until it is healthy."""
        if "PYTEST_XDIST_WORKER" in os.environ:
            options["is_handed_over"] = prepared_data.give(self.environment, run_folder())
        answer = self.command("up", "--detach", **options)
        assert answer.returncode == 0, answer.stdout + answer.stderr

    def json(self, *words: str) -> Any:
        answer = self.command(*words, "--json")
        assert answer.stdout, answer.stderr
        return json.loads(answer.stdout)

    def ps(self) -> dict[str, dict[str, Any]]:
        """What ``chitlaq ps --json`` shows, asked without a process, since tests wait for it in loops."""
        try:
            statuses = control.ask(Home(self.home), control.Ps())
        except control.NotRunningError:
            return {}
        except OperatorError as error:
            raise AssertionError(str(error)) from error
        return {status.service: msgspec.to_builtins(status) for status in statuses}

    def is_healthy(self) -> bool:
        return all(row["state"] in {"healthy", "done"} for row in self.ps().values())

    def dsn(self, role: str = "postgres", database: str = "chitlaq") -> str:
        password = (self.home / "secrets" / f"postgres-{role}").read_text().strip()
        return f"postgresql://{role}:{password}@127.0.0.1:{self.ports['postgres']}/{database}"

    async def sql(self, statement: str, *args: object, role: str = "postgres") -> list[Any]:
        connection = await _connected(self, role)
        try:
            found = await connection.fetch(statement, *args)
        except BaseException:
            connection.terminate()
            raise
        if self in shared:
            _idle.setdefault(self.dsn(role), []).append((asyncio.get_running_loop(), connection))
        else:
            await connection.close()
        return found

    async def add_university(self, name: str, domain: str) -> None:
        """Let a university's addresses register, if they may not yet."""
        await self.sql(
            "WITH u AS (INSERT INTO auth.universities (name) SELECT $1 WHERE NOT EXISTS"
            " (SELECT FROM auth.university_domains WHERE domain = $2) RETURNING id)"
            " INSERT INTO auth.university_domains SELECT $2, id FROM u",
            name,
            domain,
        )

    def redis(self, *words: str) -> str:
        return self.command("exec", "redis", "redis-cli", *words).stdout.strip()

    def mail_token(self, address: str) -> str:
        (link,) = self.json("mail", "show", "--to", address)["links"]
        found = re.search(r"\?token=(.+)$", link)
        assert found
        return found[1]


@dataclass
class Member:
    """Somebody who is signed in, at the gateway."""

    id: str
    username: str
    email: str
    token: str
    client: httpx.AsyncClient
    refresh_token: str = ""
    headers: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.headers = {"Authorization": f"Bearer {self.token}"}

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.client.get(path, headers=self.headers, **options)

    async def post(self, path: str, body: object = None, **headers: str) -> httpx.Response:
        return await self.client.post(path, json=body, headers=self.headers | headers)

    async def put(self, path: str, body: object = None) -> httpx.Response:
        return await self.client.put(path, json=body, headers=self.headers)

    async def patch(self, path: str, body: object) -> httpx.Response:
        return await self.client.patch(path, json=body, headers=self.headers)

    async def delete(self, path: str) -> httpx.Response:
        return await self.client.delete(path, headers=self.headers)

    async def write(self, text: str, **fields: Any) -> dict[str, Any]:
        answer = await self.post("/api/posts", {"text": text, **fields})
        assert answer.status_code == 201, answer.text
        written: dict[str, Any] = answer.json()
        return written

    async def home(self, **params: Any) -> list[dict[str, Any]]:
        answer = await self.get("/api/feed/home", params={"page": 1, "limit": 10, **params})
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


def run_folder() -> Path:
    """The folder of this test run, in memory if there is room."""
    return Path(os.environ[RUN])


def new_home(*, is_on_disk: bool = False) -> Path:
    """Make the folder of an installation; node-exporter reports no file systems in memory."""
    if is_on_disk:
        home = _new_folder(Path(tempfile.gettempdir()))
    else:
        home = Path(tempfile.mkdtemp(prefix="chitlaq-", dir=run_folder()))
    home.chmod(0o755)
    return home


def remove_home(home: Path) -> None:
    """Remove an installation that does not run, with what it keeps in shared memory."""
    shutil.rmtree(overflow.folder(Home(home)), ignore_errors=True)
    shutil.rmtree(home, ignore_errors=True)


def start_stack(home: Path | None = None, /, **settings: str) -> Stack:
    """An installation in a home of its own, which `Stack.up` starts; without a home, it gets one."""
    if home is None:
        home = new_home(is_on_disk=settings.get("CHITLAQ_MONITORING_EMBEDDED") == "true")
    home.mkdir(exist_ok=True)
    given = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith("CHITLAQ_")
    }
    for url in ("DATABASE_URL", "REDIS_URL"):
        environment.pop(url, None)
    environment |= {
        "CHITLAQ_HOME": str(home),
        "CHITLAQ_DEMO": "false",
        "CHITLAQ_MONITORING_EMBEDDED": "false",
        "CHITLAQ_OPERATIONS_SCHEDULED": "false",
        "CHITLAQ_BACKUPS_FOLDER": str(home / "backups"),
        "CHITLAQ_BACKUPS_ARCHIVE": "off",
        # Else each stack on a machine without nginx would fetch the package.
        "CHITLAQ_PROGRAMS_NGINX": str(nginx.wheel()),
        **{f"CHITLAQ_PORTS_{name.upper()}": str(port) for name, port in given.items()},
        **settings,
    }
    return Stack(home, environment, given)


def stop_stack(stack: Stack) -> None:
    stack.command("down")
    remove_home(stack.home)


shared: list[Stack] = []
"""The stack that modules share, once one of them has wanted it."""
_idle: dict[str, list[tuple[asyncio.AbstractEventLoop, asyncpg.Connection[asyncpg.Record]]]] = {}
"""Connections to it that `Stack.sql` has opened: to open one costs ten times as much as to ask it."""


async def _connected(stack: Stack, role: str) -> asyncpg.Connection[asyncpg.Record]:
    """Return a connection that nobody uses, and that works."""
    dsn, here = stack.dsn(role), asyncio.get_running_loop()
    while idle := _idle.get(dsn):
        loop, connection = idle.pop()
        if loop is here:
            try:
                await connection.fetchval("SELECT 1")
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                connection.terminate()
            else:
                return connection
    return await asyncpg.connect(dsn)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    stack = start_stack(
        CHITLAQ_CORS_ALLOWED_ORIGINS="https://app.example.edu",
        # Binds 127.0.0.2 and others, signed out; 127.0.0.1 is not limited by default.
        CHITLAQ_LIMITS_ADDRESS_REQUESTS_PER_SECOND="5",
        CHITLAQ_TRUSTED_PROXIES="127.0.0.9",
        # The tests' push service is here, and answers at once.
        CHITLAQ_NOTIFICATIONS_PUSH_ANYWHERE="true",
        CHITLAQ_NOTIFICATIONS_PUSH_DELAY_SECONDS="0",
        CHITLAQ_NOTIFICATIONS_PUSH_PAUSE_SECONDS="0",
    )
    try:
        stack.up()
        shared.append(stack)
        yield stack
    finally:
        stop_stack(stack)


@pytest.fixture(scope="session")
async def client(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    answering = Answering(limits=httpx.Limits(max_connections=100, max_keepalive_connections=20))
    async with httpx.AsyncClient(base_url=stack.gateway, timeout=20, transport=answering) as client:
        yield client


@pytest.fixture
def name() -> Callable[[], str]:
    """Unused usernames, so far apart that no search takes one for another, mistyped."""
    return lambda: "m" + "".join(random.choices(string.ascii_lowercase, k=12))


async def register(
    stack: Stack, client: httpx.AsyncClient, username: str, domain: str = "example.edu"
) -> Member:
    """Let somebody join as people do: register, verify, log in, all through the gateway."""
    email = f"{username}@{domain}"
    answer = await client.post(
        "/api/auth/register",
        json={
            "email": email,
            "password": PASSWORD,
            "username": username,
            "display_name": f"Member {username}",
        },
    )
    assert answer.status_code == 201, answer.text
    (row,) = await stack.sql(
        "SELECT links FROM mail.messages WHERE to_address = $1 ORDER BY id DESC LIMIT 1", email
    )
    token = row["links"][0].partition("?token=")[2]
    answer = await client.post("/api/auth/verify", json={"token": token})
    assert answer.status_code == 200, answer.text
    answer = await client.post("/api/auth/login", json={"login": username, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return Member(
        body["user"]["id"], username, email, body["access_token"], client, body["refresh_token"]
    )


async def become_member(
    stack: Stack, client: httpx.AsyncClient, username: str, domain: str = "example.edu"
) -> Member:
    """Let somebody be a member, and signed in: as after `register`, which costs ten times as much."""
    email = f"{username}@{domain}"
    signed_in = await joining.signed_in(
        stack.home,
        stack.environment,
        stack.dsn("chitlaq_auth"),
        email=email,
        username=username,
        display_name=f"Member {username}",
        password=PASSWORD,
    )
    return Member(
        str(signed_in.user.id),
        username,
        email,
        str(signed_in.access_token),
        client,
        str(signed_in.refresh_token),
    )


@pytest.fixture
def join(
    stack: Stack, client: httpx.AsyncClient, name: Callable[[], str]
) -> Callable[[], Awaitable[Member]]:
    """Let somebody new join at each call."""

    async def join(domain: str = "example.edu") -> Member:
        return await become_member(stack, client, name(), domain)

    return join
