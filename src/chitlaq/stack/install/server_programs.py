"""Which program of a server runs: by the settings, of this machine, of a package, or of a wheel.

Programs that face the network should come from somebody who mends them. Of each this module says where it
came from, and whether a newer one is known; what cannot be known is unknown, with the reason.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Literal

from chitlaq.core.errors import OperatorError
from chitlaq.core.formatting import duration
from chitlaq.core.host import programs
from chitlaq.stack.install import apt_unpack

ASK_SECONDS = 10.0
INDEX_SECONDS = 5
APT_LISTS = Path("/var/lib/apt/lists")
OLD_LISTS_SECONDS = 7 * 86_400

Source = Literal["setting", "PATH", "package", "wheel"]
State = Literal["ok", "warning", "unknown"]

_VERSION = re.compile(r"\d+(?:\.\d+)+")
_CANDIDATE = re.compile(r"^  Candidate: (\S+)$", re.MULTILINE)
_NEWEST = re.compile(r"^\S+ \((\S+)\)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ServerProgram:
    """A server's program.

    Args:
        component: the inventory's name of the server.
        path: the program.
        source: where it was found.
        package: the distribution's package of this server, if it is known.
        wheel: the Python package that it is in, if it is.
    """

    component: str
    path: Path
    source: Source
    package: str = ""
    wheel: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of a program: one sentence, and how it is judged."""

    component: str
    version: str
    state: State
    detail: str


def by_setting(component: str, setting: str, value: str, name: str) -> ServerProgram | None:
    """Return the program that a setting names: itself, or its folder; None if the setting is empty.

    Raises:
        OperatorError: it is not there, or cannot be run.
    """
    if not value:
        return None
    path = Path(value).expanduser()
    path = path / name if path.is_dir() else path
    if not (path.is_absolute() and path.is_file() and os.access(path, os.X_OK)):
        raise OperatorError(
            f"The setting {setting} is {value}, and there is no {name} that this user can run:"
            " give the full path of its folder, or remove the setting."
        )
    return ServerProgram(component, path, "setting")


def version(path: Path) -> str:
    """Return a server program's version: ``18.6``.

    Raises:
        OperatorError: it cannot be run, or does not say.
    """
    option = "-v" if path.name.startswith("nginx") else "--version"
    said = programs.run([path, option], timeout_seconds=ASK_SECONDS)
    found = _VERSION.search(said.stdout + said.stderr)
    if said.code != 0 or found is None:
        raise OperatorError(f"{path} does not say its version: {said.reason}")
    return found[0]


def is_at_least(found: str, least: Sequence[int]) -> bool:
    return tuple(map(int, found.split(".")))[: len(least)] >= tuple(least)


def reports(found: Sequence[ServerProgram]) -> list[Report]:
    """Say of each program what it is, and whether a newer one is known; asks packages and the index."""
    with ThreadPoolExecutor(max(1, len(found))) as pool:
        return list(pool.map(_report, found))


def _report(program: ServerProgram) -> Report:
    try:
        number = version(program.path)
    except OperatorError as error:
        return Report(program.component, "", "unknown", str(error))
    if program.source == "wheel":
        state, said = _of_wheel(program, number)
    elif program.source == "package":
        state, said = _of_unpacked(program)
    else:
        state, said = _of_machine(program)
    return Report(program.component, number, state, f"{number}, {program.path}, {said}")


def _of_machine(program: ServerProgram) -> tuple[State, str]:
    where = "by the settings" if program.source == "setting" else "from PATH"
    try:
        package = _ask("dpkg", "-S", str(program.path.resolve())).partition(":")[0]
        installed = _ask("dpkg-query", "-W", "-f", "${Version}", package)
        said = f"{where}: package {package} {installed}"
        candidate = _candidate(package)
    except OperatorError as error:
        if "said" in locals():
            return "unknown", f"{said}; whether there is a newer one is not known: {error}"
        return "unknown", (
            f"{where}: in no package, so nobody says here whether there is a newer one:"
            " watch its publisher's announcements"
        )
    if candidate != installed and _is_newer(candidate, installed):
        return (
            "warning",
            f"{said}; {candidate} is known: `sudo apt install --only-upgrade {package}`",
        )
    return "ok", f"{said}, the newest in the package lists"


def _of_unpacked(program: ServerProgram) -> tuple[State, str]:
    root = program.path.parents[2]
    fetched = root / apt_unpack.FETCHED
    names = [line.rsplit("_", 1)[0] for line in fetched.read_text().splitlines()]
    name = next((name for name in names if name.startswith(f"{program.package}_")), names[0])
    package, _, installed = name.partition("_")
    installed = installed.replace("%3a", ":")
    said = f"unpacked from the distribution's package {package} {installed}"
    age = time.time() - fetched.stat().st_mtime
    with suppress(OperatorError):
        candidate = _candidate(package)
        if _is_newer(candidate, installed):
            return (
                "warning",
                f"{said}; {candidate} is known: `rm -r {root}`, then `chitlaq up` again",
            )
    if age > OLD_LISTS_SECONDS + 86_400:
        return "unknown", (
            f"{said}, {duration(age)} ago; whether there is a newer one is not known since then:"
            " give this machine access to the distribution's mirror, or install the package"
        )
    day = f"{datetime.fromtimestamp(fetched.stat().st_mtime).astimezone():%Y-%m-%d}"
    return "ok", f"{said}, the newest on {day}"


def _of_wheel(program: ServerProgram, number: str) -> tuple[State, str]:
    installed = metadata.version(program.wheel)
    said = f"from the Python package {program.wheel} {installed}"
    with suppress(OperatorError):
        candidate = _candidate(program.package)
        if _is_newer(candidate, number):
            return "warning", f"{said}; the distribution has {program.package} {candidate}"
    command = ["-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "--retries", "0"]
    command += ["--timeout", str(INDEX_SECONDS), "index", "versions", program.wheel]
    try:
        newest = _NEWEST.search(_ask(sys.executable, *command))
    except OperatorError:
        newest = None
    if newest is None:
        return "unknown", (
            f"{said}; whether there is a newer one is not known: pip reaches no package index"
        )
    if newest[1] != installed:
        return "warning", f"{said}; {newest[1]} is known: it comes with the next ChitLaq"
    return "ok", f"{said}, the newest there"


def _candidate(package: str) -> str:
    """The version of a package that the distribution offers, by package lists that are not old.

    Raises:
        OperatorError: the lists are missing or old, or have no such package.
    """
    lists = [file.stat().st_mtime for file in APT_LISTS.glob("*_Packages*")]
    lists += [file.stat().st_mtime for file in APT_LISTS.glob("*Release")]
    if not lists:
        raise OperatorError("there are no package lists; `sudo apt update` fetches them")
    age = time.time() - max(lists)
    if age > OLD_LISTS_SECONDS:
        raise OperatorError(
            f"the package lists are {duration(age)} old; `sudo apt update` fetches new ones"
        )
    found = _CANDIDATE.search(_ask("apt-cache", "policy", package))
    if found is None or found[1] == "(none)":
        raise OperatorError(f"the distribution has no package {package}")
    return found[1]


def _is_newer(one: str, other: str) -> bool:
    answer = programs.run(
        ["dpkg", "--compare-versions", one, "gt", other], timeout_seconds=ASK_SECONDS
    )
    return answer.code == 0


def _ask(*command: str) -> str:
    """Run a program and return what it prints.

    Raises:
        OperatorError: it failed.
    """
    return programs.run(command, timeout_seconds=ASK_SECONDS).checked().strip()
