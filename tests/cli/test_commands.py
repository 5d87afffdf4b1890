"""Every command, collected from the program: it has help, and its examples work."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
from click import Command

from chitlaq.cli.app import app, named
from chitlaq.monitoring.alerts import registry
from chitlaq.ops.console.now import remedies

Words = tuple[str, ...]

TESTS = Path(__file__).parents[1]
STARTED_BY_OTHERS = {"archive", "supervise"}
"""What the supervisor and PostgreSQL start, and nobody types."""


def walk(command: Any, words: Words = ()) -> Iterator[tuple[Words, Any]]:
    """Each leaf command, with its path of words."""
    below: dict[str, Command] = getattr(command, "commands", {})
    if not below:
        yield words, command
    for name, sub in below.items():
        yield from walk(sub, (*words, name))


PROGRAM: Any = typer.main.get_command(app)
"""Built once: typer's own runner builds all commands anew for each call."""
COMMANDS = dict(walk(PROGRAM))
PARTS = sorted({words[:count] for words in COMMANDS for count in range(len(words) + 1)})


def examples(command: Any) -> list[str]:
    found = re.search(r"^ *Examples?: (.+)$", command.callback.__doc__ or "", re.M)
    return found[1].split(" · ") if found else []


EXAMPLES = [(words, one) for words, command in COMMANDS.items() for one in examples(command)]


def code_of(program: Any, *words: str) -> object:
    """Run a command in this process, and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        program.main(words, prog_name="chitlaq")
    return ended.value.code


@pytest.mark.parametrize("words", PARTS, ids=" ".join)
def test_command_explains_itself(words: Words, capsys: pytest.CaptureFixture[str]) -> None:
    reduced = named(words)
    program = PROGRAM if reduced is app else typer.main.get_command(reduced)
    assert code_of(program, *words, "--help") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"Usage: chitlaq {' '.join(words)}".strip() in said


def test_program_reduced_to_a_word_has_all_its_commands_and_no_others() -> None:
    for first in {words[0] for words in COMMANDS}:
        found = dict(walk(typer.main.get_command(named([first]))))
        assert found.keys() == {words for words in COMMANDS if words[0] == first}
    for other in ([], ["--help"], ["no such word"]):
        assert named(other) is app


@pytest.mark.parametrize("words", PARTS, ids=" ".join)
def test_words_that_are_not_understood_are_exit_code_two(
    words: Words, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong in ((*words, "--no-such-option"), ("no such word", *words)):
        assert code_of(PROGRAM, *wrong) == 2
        assert "Traceback" not in capsys.readouterr().err


def test_only_what_nobody_types_has_no_example() -> None:
    assert {
        words[-1] for words, command in COMMANDS.items() if not examples(command)
    } == STARTED_BY_OTHERS


@pytest.mark.parametrize(("words", "example"), EXAMPLES, ids=[one for _, one in EXAMPLES])
def test_example_is_understood(words: Words, example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, *given = shlex.split(example.partition(" > ")[0])
    assert program == "chitlaq"
    assert tuple(given[: len(words)]) == words
    called = []
    monkeypatch.setattr(COMMANDS[words], "callback", lambda **values: called.append(values))
    assert code_of(PROGRAM, *given) == 0
    assert len(called) == 1


def test_console_names_commands_that_there_are() -> None:
    shown = {one for alert in registry.alerts() for one in remedies.commands(alert.procedure)}
    assert "chitlaq ops do restart" in shown
    for one in shown:
        words = tuple(one.split())[1:]
        assert any(words[:count] in COMMANDS for count in (1, 2, 3)), one


@cache
def other_tests() -> list[str]:
    return [path.read_text() for path in TESTS.rglob("*.py") if path != Path(__file__)]


def is_named(words: Words) -> bool:
    """Whether another test runs a command: as a list of words, or as typed."""
    quoted, typed = [f'"{word}"' for word in words], f"chitlaq {' '.join(words)}"
    return any(typed in text or all(one in text for one in quoted) for text in other_tests())


@pytest.mark.parametrize("words", sorted(COMMANDS.keys() - {("supervise",)}), ids=" ".join)
def test_command_is_known_to_a_test_of_what_it_does(words: Words) -> None:
    assert is_named(words), f"no test runs chitlaq {' '.join(words)}"
