"""The runbook is what the program does, and answers every line of the document it began as."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Operations, Settings
from chitlaq.core.installation.settings_loading import load
from chitlaq.ops import routines, runbook
from chitlaq.ops.actions.registry import ACTIONS
from chitlaq.ops.checks import registry
from chitlaq.ops.checks.model import Check
from chitlaq.ops.runbook import original, page
from chitlaq.ops.schedule.scheduler import recurrences
from tests.conftest import Stack

DOCS = Path(__file__).parents[3] / "docs"
COMMANDS = sorted({command for section in original.sections() for command in section.commands})
OTHERS = {
    "ops watch", "ops report", "bench --here", "backup verify", "backup drill", "backup prune",
    "incidents severity", "incidents list", "oncall show", "oncall people", "oncall test",
    "status publish",
}  # fmt: skip


def test_committed_page_is_what_the_program_renders() -> None:
    assert (DOCS / "runbook.md").read_text() == runbook.rendered(), (
        "run: chitlaq ops runbook > docs/runbook.md"
    )


def test_original_is_read_as_a_person_reads_it() -> None:
    assert len(COMMANDS) > 120
    assert original.sections()[0].title == "Executive Summary"
    assert all(not command.startswith("#") for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_line_of_the_original_has_a_check_or_an_action(command: str) -> None:
    found = original.replacement(command)
    for name in found.by:
        is_known = name in registry.CHECKS or name.removeprefix("do ") in ACTIONS or name in OTHERS
        assert is_known, name


def test_no_replacement_is_left_over() -> None:
    used = {original.replacement(command).pattern for command in COMMANDS}
    assert {one.pattern for one in original.REPLACEMENTS} == used


def test_every_check_is_in_a_routine_and_on_the_page() -> None:
    in_routines = {name for one in routines.ROUTINES.values() for name in one.checks}
    assert in_routines <= registry.CHECKS.keys()
    assert registry.CHECKS.keys() == in_routines
    text = runbook.rendered()
    for name in (*registry.CHECKS, *(f"do {action}" for action in ACTIONS)):
        assert text.count(f'<a id="{page._anchor(name)}"></a>') == 1, name


def test_every_link_of_the_page_is_valid() -> None:
    text = runbook.rendered()
    anchors = set(re.findall(r'<a id="([^"]+)"></a>', text))
    assert set(re.findall(r"\(#([^)]+)\)", text)) <= anchors


@pytest.mark.parametrize("check", registry.CHECKS.values(), ids=lambda check: check.id)
def test_each_check_has_commands_and_a_remedy(check: object) -> None:
    assert isinstance(check, Check)
    assert re.fullmatch(r"[a-z]+\.[a-z0-9_]+", check.id)
    assert check.title
    assert check.remedy.endswith((".", "?"))
    assert check.commands
    for command in registry.commands(check, Settings()):
        assert "{port:" not in command
        shlex.split(command.replace("\\;", ";"))
    # What uses much CPU runs after all others, and keeps nobody waiting.
    assert 0 < check.timeout_seconds < (90 if check.is_heavy else 30)


def test_every_shell_command_is_complete_and_valid(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path / "a home's folder")
    settings = load(home, {"CHITLAQ_PORTS_PROMETHEUS": "12345", "CHITLAQ_DEMO": "false"})
    for check in registry.CHECKS.values():
        for command in registry.commands(check, settings, home):
            answer = subprocess.run(["bash", "-n", "-c", command], capture_output=True, check=False)
            assert answer.returncode == 0, command
            assert not answer.stderr, command
            assert not re.search(r"\{port:|\{backups\}|\$[A-Z]", command), command
    (prometheus, _) = registry.commands(registry.CHECKS["capacity.database"], settings, home)
    assert "localhost:12345" in prometheus


OURS = ("chitlaq ", "curl ", "ls ", "tar ")
CHANGE_OR_TAKE_LONG = ("chitlaq ops do", "chitlaq backup")
# The other components' are the same words.
LOGS_OF = ("nginx", "postgres")
PLAIN = re.compile(r"""chitlaq( [\w./:=@,+-]+| "[^"$`\\!]*"| '[^']*')*""")
"""A command in which a shell finds nothing to do but to part its words."""
OF_OBSERVERS = ("{port:prometheus}", "{port:alertmanager}", "wscat")


def rendered(stack: Stack) -> dict[str, str]:
    """What is printed of our own commands that only read, by what was declared."""
    home = Home(stack.home)
    settings = load(home, stack.environment)
    return {
        declared: command
        for check in registry.CHECKS.values()
        for declared, command in zip(
            check.commands, registry.commands(check, settings, home), strict=True
        )
        if declared.startswith(OURS)
        and not declared.startswith(CHANGE_OR_TAKE_LONG)
        and not any(part in declared for part in OF_OBSERVERS)
        and (not declared.startswith("chitlaq logs") or declared.split()[2] in LOGS_OF)
    }


def test_printed_commands_can_be_pasted(stack: Stack, tmp_path: Path) -> None:
    """Into the shell of an operator who never heard of our variables, but for the home's."""
    assert stack.command("backup", "run", "configuration").returncode == 0
    # On any real day nginx has complained, too, and not in JSON.
    with (stack.home / "logs" / "nginx.log").open("a") as log:
        log.write(f"{datetime.now(UTC):%Y/%m/%d %H:%M:%S} [warn] 7#7: *1 a line in words\n")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    commands = rendered(stack)
    assert len(commands) > 30
    for tool in ("curl", "jq"):
        if shutil.which(tool) is None:
            commands = {d: c for d, c in commands.items() if tool not in d}

    by_shell = [one for one in commands.values() if not PLAIN.fullmatch(one)]
    plain = [one for one in commands.values() if PLAIN.fullmatch(one)]
    # The one that the operating system starts stands for all that differ in their words only.
    by_shell.append(plain.pop())

    def paste(command: str) -> tuple[str, subprocess.CompletedProcess[str]]:
        if command in plain:
            return command, stack.command(*shlex.split(command)[1:])
        return command, subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            env={**stack.environment, "PATH": path},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    with ThreadPoolExecutor(2) as pool:
        for command, answer in pool.map(paste, [*by_shell, *plain]):
            # `chitlaq ps` and its like say with 3 that something is not well.
            assert answer.returncode in {0, 3}, (command, answer.stdout, answer.stderr)


def test_listed_commands_can_be_pasted(stack: Stack) -> None:
    listed = {one["check"]: one["commands"] for one in stack.json("ops", "list")}
    assert f"http://localhost:{stack.ports['feed']}/health" in listed["feed.health"][0]
    assert f"du -sh {stack.home}" in listed["host.disk"]
    assert f"ls -la {stack.home}/backups/config_*.tar.gz" in listed["backup.configuration"]
    shown = stack.command("ops", "check", "host.disk", "--details").stdout
    assert f"$ du -sh {stack.home}" in shown


def test_each_routine_has_a_command_and_a_time(stack: Stack) -> None:
    said = stack.command("ops", "--help").stdout
    for name in routines.ROUTINES:
        assert name in said
    assert [rule.routine for rule in recurrences(Operations())] == list(routines.ROUTINES)


def test_page_offers_the_lines_for_containers_below_what_answers_them() -> None:
    text = runbook.rendered()
    offered = {line for name in registry.CHECKS for line in original.in_containers(name)}
    assert 'docker compose exec postgres psql -U postgres -c "SELECT 1;"' in offered
    for line in (*offered, "docker compose restart SERVICE_NAME"):
        assert f"\n{line}\n" in text, line
