"""The file of operators: what it says, who reads it, and what is refused."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path

import pyotp
import pytest

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation.home import Home
from chitlaq.ops.console.access import operators as module
from chitlaq.ops.console.access.operators import Operators, enrolment, step_of
from tests.conftest import Stack
from tests.ops.console.conftest import PASSWORD


def test_operators_are_added_listed_and_removed_by_command(
    alone: Stack, name: Callable[[], str]
) -> None:
    who = name()
    added = alone.command("operators", "add", who, input=f"{PASSWORD}\n")
    assert f"otpauth://totp/ChitLaq:{who}?secret=" in added.stdout
    assert who in [one["name"] for one in alone.json("operators", "list")]
    path = alone.home / "secrets" / module.FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert PASSWORD not in path.read_text()

    for words, said in (
        (("add", who), "There is an operator"),
        (("add", "1a"), "cannot be an operator's name"),
        (("remove", "nobody"), "There is no operator nobody"),
    ):
        refused = alone.command("operators", *words, input=f"{PASSWORD}\n")
        assert refused.returncode == 1
        assert said in refused.stderr
    short = alone.command("operators", "password", who, input="short\n")
    assert "between 12 and 200 characters" in short.stderr
    assert alone.command("operators", "remove", who).returncode == 0
    assert who not in [one["name"] for one in alone.json("operators", "list")]


async def test_operators_who_are_added_at_once_are_all_there(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.secrets.mkdir()
    names = [f"operator{number}" for number in range(6)]
    await asyncio.gather(*(Operators(home).add(one, PASSWORD) for one in names))
    assert [one.name for one in Operators(home).listed()] == names


def test_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.secrets.mkdir()
    (home.secrets / module.FILE).write_text('[{"name": ')
    with pytest.raises(OperatorError, match="is damaged"):
        Operators(home).listed()


async def test_code_of_a_clock_that_is_half_a_minute_wrong_counts_and_none_further_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path)
    home.secrets.mkdir()
    operator = await Operators(home).add("ada", PASSWORD)
    now = 1_800_000_000
    monkeypatch.setattr("time.time", lambda: now)
    totp = pyotp.parse_uri(enrolment(operator))
    assert isinstance(totp, pyotp.TOTP)
    codes = {steps: totp.at(now, counter_offset=steps) for steps in range(-2, 3)}
    right = {steps for steps, code in codes.items() if step_of(operator, code, None) is not None}
    assert right == {-1, 0, 1}
    step = step_of(operator, codes[0], None)
    assert step == now // 30
    assert step_of(operator, codes[0], step) is None
    assert step_of(operator, codes[-1], step) is None
    assert step_of(operator, f"{codes[1][:3]} {codes[1][3:]}", step) == step + 1
