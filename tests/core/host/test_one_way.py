"""One way each to start programs, send HTTP requests, and write files; exceptions give a reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "src" / "chitlaq"

RULES = {
    "core/host/programs.py starts programs": (
        ("subprocess", "asyncio.create_subprocess", "asyncio.subprocess", "os.fork", "os.exec",
         "os.spawn", "os.posix_spawn", "os.system", "os.popen", "pty", "multiprocessing"),
        {
            "core/host/programs.py": "the one way",
            "cli/exec.py": "becomes the program that the operator asked for",
            "stack/install/privileges.py": "becomes itself, as another user",
            "stack/supervisor/fork_server.py": "forks our own code, and starts no program",
        },
    ),
    "core/host/http_client.py asks over HTTP": (
        ("httpx", "urllib.request", "http.client", "h11", "urllib3", "requests", "aiohttp"),
        {
            "core/host/http_client.py": "the one way",
            "stack/acme/orders.py": "only what the library of ACME answers and raises",
        },
    ),
    "core/host/files.py puts files in place": (
        ("os.rename", "os.renames", "os.replace", "os.link", "os.fsync", "tempfile.NamedTemporaryFile",
         ".rename", ".hardlink_to"),
        {
            "core/host/files.py": "the one way",
            "logs/rotation.py": "rotation moves whole files, and is not durable",
            "core/http/server.py": "a socket has no content that could be half",
            "backups/wal/staging.py": "within a temporary folder",
            "backups/offsite/fetch.py": "within a temporary folder",
            "backups/restore/restore.py": "sets aside what was there; done again after a crash",
            "ops/database/overflow.py": "sets aside a record that nobody can read",
            "ops/database/postgres_import.py": "sets aside a record that nobody can read",
        },
    ),
    "cli/terminal.py reaches the terminal": (
        ("rich.console.Console", "rich.print", "rich.get_console", "sys.__stdout__", "sys.__stderr__",
         "sys.stdout.buffer", "sys.stderr.buffer", "os.write", "os.writev", ".styled",
         "typer.get_text_stream", "typer.get_binary_stream", "typer.open_file", "click"),
        {
            "cli/terminal.py": "the one way",
            "cli/output.py": "only the type",
            "cli/run_view.py": "only the type",
            "stack/supervisor/fork_server.py": "answers the supervisor through a pipe",
            "core/telemetry/logs.py": "writes JSON, escaped, in one write per line",
            "bench/load.py": "answers the process that started it",
            "bench/chat_load.py": "answers the process that started it",
            "bench/model_load.py": "answers the process that started it",
            "ops/oncall/apprise_child.py": "answers the process that started it",
        },
    ),
}  # fmt: skip


def names(tree: ast.AST) -> Iterator[str]:
    """Every import and every attribute, as written: ``os.fsync``, ``path.rename``."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module)):
                yield module
                yield from (f"{module}.{alias.name}" for alias in node.names)
            case ast.Attribute():
                yield ast.unparse(node)


def breaks(name: str, forbidden: str) -> bool:
    """Whether a name is of a forbidden module, begins with a forbidden function, or is the method."""
    if forbidden.startswith("."):
        return name.endswith(forbidden)
    is_below = name.startswith(f"{forbidden}.")
    return name == forbidden or is_below or ("." in forbidden and name.startswith(forbidden))


@pytest.mark.parametrize("rule", RULES)
def test_only_one_module_does_it_or_gives_a_reason(rule: str) -> None:
    forbidden, allowed = RULES[rule]
    found: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        used = {
            name
            for name in names(ast.parse(path.read_text()))
            if any(breaks(name, one) for one in forbidden)
        }
        if used:
            found[str(path.relative_to(SOURCE))] = used
    strangers = {path: sorted(used) for path, used in found.items() if path not in allowed}
    assert not strangers, f"{rule}; use it, or give a reason in {Path(__file__).name}"
    assert set(allowed) <= set(found), "an exception that nobody needs any more"


@pytest.mark.parametrize(
    ("code", "forbidden"),
    [
        ("import subprocess", "subprocess"),
        ("from subprocess import run", "subprocess"),
        ("from asyncio import create_subprocess_exec", "asyncio.create_subprocess"),
        ("asyncio.create_subprocess_shell('x')", "asyncio.create_subprocess"),
        ("os.execvp('x', [])", "os.exec"),
        ("import urllib.request as ask", "urllib.request"),
        ("def late():\n    import httpx", "httpx"),
        ("(folder / 'draft').rename(path)", ".rename"),
        ("os.replace(a, b)", "os.replace"),
    ],
)
def test_every_spelling_is_found(code: str, forbidden: str) -> None:
    assert any(breaks(name, forbidden) for name in names(ast.parse(code)))


def test_similar_code_is_not_reported() -> None:
    innocent = ast.parse(
        "import requests_of_ours; text.replace('a', 'b'); http.HTTPStatus; os.path"
    )
    forbidden = [one for words, _ in RULES.values() for one in words]
    assert not [name for name in names(innocent) for one in forbidden if breaks(name, one)]
