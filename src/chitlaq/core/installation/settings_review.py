"""Everything that is wrong with a file of settings, with the lines; `load` stops at the first."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from chitlaq.core.installation import settings_faults, settings_files, settings_loading, toml_files
from chitlaq.core.installation.secret_values import from_text
from chitlaq.core.installation.settings import Settings


class Problem(NamedTuple):
    """One thing to mend in a file.

    Args:
        line: where, from 1; 0 if it has no one line.
        setting: its dotted name, or an empty string.
        what: what is wrong, and why.
        remedy: what to do.
    """

    line: int
    setting: str
    what: str
    remedy: str


def reviewed(text: str, *, has_files: bool = False) -> list[Problem]:
    """Return what is wrong with the text of a ``chitlaq.toml``, in the order of its lines.

    A setting that is invalid takes part in no further rule, so that each mistake is named once.

    Args:
        has_files: whether the files that it names are looked at, too: they are this machine's.
    """
    try:
        document = toml_files.parsed(text)
    except tomllib.TOMLDecodeError as error:
        said = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", str(error))
        line = int((said and said[2]) or text.count("\n") + 1)
        return [Problem(line, "", f"it is no TOML: {said[1] if said else error}", "mend this line")]
    except ValueError as error:
        return [
            Problem(0, "", str(error), "write sections with settings, and nothing within these")
        ]
    lines = dict(_lines(text))

    def line_of(dotted: str) -> int:
        return lines.get(dotted) or lines.get(dotted.partition(".")[0], 0)

    found, values = [], dict[str, Any]()
    for dotted, value in settings_loading.flattened(document):
        problem = _problem(dotted, value)
        if problem is None:
            section, _, name = dotted.rpartition(".")
            (values.setdefault(section, {}) if section else values)[name] = value
        else:
            found.append(Problem(line_of(dotted), dotted, *problem))
    settings = msgspec.convert(values, Settings, strict=False, dec_hook=from_text)
    given = [dotted for dotted, _ in settings_loading.flattened(values)]
    faults = [*settings_faults.found(settings, given)]
    if has_files:
        faults += settings_files.found(settings)
    for fault in faults:
        named = f"this and {' and '.join(fault.others)} " if fault.others else ""
        found.append(
            Problem(line_of(fault.setting), fault.setting, f"{named}{fault.what}", fault.remedy)
        )
    return sorted(found, key=lambda problem: problem.line)


def _problem(dotted: str, value: object) -> tuple[str, str] | None:
    """What is wrong with one setting, and what to do."""
    known = dict(settings_loading.fields())
    if any(one.startswith(f"{dotted}.") for one in known):
        return ("it is a section", f"write [{dotted}] once, and its settings in the lines below")
    if dotted not in known:
        near = difflib.get_close_matches(dotted, known, n=1) or _elsewhere(dotted, known)
        return (
            "there is no such setting",
            f"write {near[0]}" if near else "remove it, or see `chitlaq config show`",
        )
    try:
        msgspec.convert(value, known[dotted].type, strict=False, dec_hook=from_text)
    except msgspec.ValidationError as error:
        shown = settings_loading.shown(known[dotted].default)
        return (
            str(error).partition(" - at")[0],
            f"write such a value; the default is {shown}" if shown else "write such a value",
        )
    return None


def _elsewhere(dotted: str, known: dict[str, Any]) -> list[str]:
    """The setting of that name in another section."""
    name = dotted.rpartition(".")[2]
    return [one for one in known if one.rpartition(".")[2] == name][:1]


_SECTION = re.compile(r"\s*\[\s*([\w.\"'-]+)\s*\]")
_KEY = re.compile(r"\s*([\w.\"' -]+?)\s*=")


def _lines(text: str) -> Iterator[tuple[str, int]]:
    """Yield where each section and setting begins; valid TOML has each once."""
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if begun := _SECTION.match(line):
            section = _plain(begun[1])
            yield section, number
        elif key := _KEY.match(line):
            name = f"{section}.{_plain(key[1])}" if section else _plain(key[1])
            yield name, number
            with suppress(ValueError):
                inner = tomllib.loads(line.strip())
                for dotted, _ in settings_loading.flattened(inner):
                    yield f"{section}.{dotted}" if section else dotted, number


def _plain(key: str) -> str:
    return re.sub(r"[\"'\s]", "", key)
