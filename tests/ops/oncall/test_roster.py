"""A mistake in ``oncall.toml`` is named with its line and what to write; no secret is ever shown."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from chitlaq.core.installation import settings_loading, toml_files
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Operations, Settings
from chitlaq.ops.oncall import current, roster
from chitlaq.ops.oncall.current import Current
from chitlaq.ops.oncall.example import EXAMPLE
from chitlaq.ops.oncall.roster import RosterError

VALID = """\
timezone = "UTC"

[people.ada]
name = "Ada"
channels = [
    { url = "ada@example.edu" },
    { url = "slack://TokenA/TokenB/TokenC", after_minutes = 3 },
]
[[people.grace.channels]]
url = "grace@example.edu"

[rotations.primary]
[[rotations.primary.layers]]
people = ["ada", "grace"]
every = "week"
handover = "mon 09:00"
first_day = 2026-11-30

[levels]
on-call = "primary"
lead = ["grace"]

[policy.P1]
within_minutes = 30
"""

# What is replaced, by what, and the error that follows.
MISTAKES = {
    '"UTC"\n': ('"Europe/Istambul"\n', "line 1 (timezone): 'Europe/Istambul' is no time zone"),
    'timezone = "UTC"\n': ("\n", "line 12 (rotations.primary): it has no time zone"),
    "[people.ada]": ("[peple.ada]", "line 3 (peple): peple is unknown"),
    "[people.ada]\n": ("[people.Ada]\n", "line 3 (people.Ada): 'Ada' is no name"),
    'name = "Ada"\n': ('nmae = "Ada"\n', "line 4 (people.ada.nmae): nmae is unknown: did you mean name?"),
    'name = "Ada"': ('name = "A\\nB"', "line 4 (people.ada.name): a name is one line"),
    "after_minutes = 3": ('after_minutes = "3"', "line 5 (people.ada.channels.after_minutes): Expected int"),
    '"ada@example.edu"': ('"ada@"', "line 5 (people.ada.channels.url): this is neither a mail address"),
    '"grace@example.edu"': ('"no url"', "line 10 (people.grace.channels.url): this is neither"),
    '"slack://TokenA/TokenB/TokenC"': ('"s k://x"', "line 5 (people.ada.channels.url): this is no URL"),
    'url = "grace@example.edu"': ('link = "x@y"', "line 10 (people.grace.channels.link): link is unknown"),
    '["ada", "grace"]': ('["ada", "grcae"]', "line 14 (rotations.primary.layers.people): there is no"),
    'every = "week"': ('every = "month"', "line 15 (rotations.primary.layers.every): Invalid enum"),
    '"mon 09:00"': ('"09:00"', "line 16 (rotations.primary.layers.handover): '09:00' is no handover"),
    '"mon 09:00"\n': ('"mon 25:00"\n', "line 16 (rotations.primary.layers.handover): 'mon 25:00' is no"),
    "2026-11-30": ('"soon"', "line 17 (rotations.primary.layers.first_day): Invalid RFC3339 encoded date"),
    'on-call = "primary"': ('on-call = "primry"', "line 20 (levels.on-call): there is no rotation 'primry'"),
    'on-call = "primary"\n': ("\n", "line 19 (levels): nobody is on call"),
    'lead = ["grace"]': ('lead = ["grac"]', "line 21 (levels.lead): there is no [people] table of 'grac'"),
    "[policy.P1]": ("[policy.P9]", "line 23 (policy.P9): 'P9' is no severity"),
    "within_minutes = 30": ("within_minutes = 0", "line 24 (policy.P1.within_minutes): Expected int >= 1"),
    "within_minutes = 30\n": ('levels = ["cto"]\n', "line 24 (policy.P1.levels): [levels] does not"),
    "[levels]": ("[levels", "oncall.toml is not valid TOML: "),
}  # fmt: skip


@pytest.mark.parametrize("right", MISTAKES)
def test_mistake_is_named_with_its_line_and_what_to_write(right: str) -> None:
    wrong, said = MISTAKES[right]
    assert VALID.count(right) == 1
    with pytest.raises(RosterError) as error:
        roster.parse(VALID.replace(right, wrong))
    assert said in str(error.value)
    assert "Token" not in str(error.value)


NOT_TOML = {
    "nested arrays": "a = " + "[" * 5000,
    "nested tables": "a = " + "{a = " * 3000,
    "long key": ".".join(["people"] * 3000) + " = 1",
    "digits": "a = " + "9" * 5000,
    "first turn after the last day": VALID.replace("2026-11-30", "9999-12-31"),
    "first turn before the first day": VALID.replace("2026-11-30", "0001-01-01"),
}


@pytest.mark.parametrize("text", NOT_TOML.values(), ids=list(NOT_TOML))
def test_whatever_a_file_contains_the_last_valid_version_stays_in_effect(
    tmp_path: Path, text: str
) -> None:
    assert found_after(tmp_path, lambda file: file.write_text(text)).fault


def test_pipe_folder_and_huge_file_are_no_roster(tmp_path: Path) -> None:
    for make in (
        os.mkfifo,
        Path.mkdir,
        lambda file: file.write_bytes(b"#" * (toml_files.MAX_BYTES + 1)),
        lambda file: file.write_bytes(b"\xff"),
    ):
        assert "cannot be read" in found_after(tmp_path, make).fault


def found_after(folder: Path, make: Callable[[Path], object]) -> Current:
    """Replace a valid file while it is in effect, and return what is in effect then."""
    home, operations = Home(folder), Operations()
    home.ops.mkdir(exist_ok=True)
    home.oncall_file.write_text(VALID)
    assert not current.read(home, operations, is_keeper=True).fault
    home.oncall_file.unlink()
    make(home.oncall_file)
    found = current.read(home, operations, is_keeper=True)
    # Every process hides the URLs of both files from its start on.
    assert settings_loading.secrets_of(home, Settings())
    if home.oncall_file.is_dir():
        home.oncall_file.rmdir()
    else:
        home.oncall_file.unlink()
    assert sorted(found.roster.people) == ["ada", "grace"]
    return found


def test_example_is_valid_also_with_everything_that_it_only_shows() -> None:
    roster.parse(EXAMPLE)
    shown = re.sub(r"(?m)^( *)# (?=\[|\{ url|\w+ = )", r"\1", EXAMPLE)
    whole = roster.parse(shown)
    assert len(whole.people["ada"].channels) == 3
    assert len(whole.rotations["primary"].layers) == 2
    assert whole.policies == roster.RUNBOOK


def test_channels_have_names_that_tell_them_apart() -> None:
    read = roster.parse(
        '[people.ada]\nchannels = [{ url = "a@b.example" }, { url = "c@d.example" },'
        ' { url = "slack://x/y/z" }, { url = "slack://u/v/w" }]\n[levels]\non-call = ["ada"]'
    )
    assert [one.name for one in read.people["ada"].channels] == [
        "mail",
        "mail 2",
        "slack",
        "slack 2",
    ]


def test_secrets_are_shown_and_encoded_nowhere() -> None:
    read = roster.parse(VALID)
    assert "TokenB" not in repr(read) + str(read)
    for encode in (msgspec.json.encode, pickle.dumps):
        with pytest.raises(TypeError):
            encode(read)
