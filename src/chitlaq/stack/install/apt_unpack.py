"""Packages of Debian and Ubuntu, unpacked in a folder and not installed: nothing needs root for that.

They are fetched with the distribution's own client, which checks their signatures.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from chitlaq.core.errors import MissingProgramError
from chitlaq.core.host import files

FETCH_SECONDS = 60
"""For each package, and for the lists of what there is."""
INSTALLED = Path("/var/lib/dpkg/status")
FETCHED = "fetched"
"""The mark in a folder whose packages are whole; without it a fetch was cut short."""


def unpack(
    folder: Path,
    names: Sequence[str],
    *,
    with_missing: bool = False,
    finish: Callable[[Path], None] = lambda _folder: None,
) -> None:
    """Fetch packages and unpack them into a folder, once; others wait meanwhile.

    Args:
        folder: becomes a tree as if it were the root of a machine: ``folder/usr/bin/…``.
        names: of the packages.
        with_missing: what they depend on comes too, unless it is installed on this machine.
        finish: told the folder when all is unpacked, before it counts as whole.

    Raises:
        MissingProgramError: there is no package client, or it failed; with what it said.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise MissingProgramError(
            f"There is no package client (apt-get) here: put {names[0]} on PATH."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / FETCHED).exists():
            return
        archives = _fetch(folder / "apt", names, with_missing=with_missing)
        for archive in archives:
            _run(["dpkg", "-x", str(archive), str(folder)], folder)
        finish(folder)
        files.write(folder / FETCHED, "\n".join(archive.name for archive in archives) + "\n")
        shutil.rmtree(folder / "apt")


def _fetch(apt: Path, names: Sequence[str], *, with_missing: bool) -> list[Path]:
    """Download packages, with lists and caches of our own below a folder.

    A package that a try before has left there whole is not fetched again, so that a slow link gets
    there in the end.
    """
    for part in ("state/lists/partial", "cache/archives/partial", "cache/none/partial"):
        (apt / part).mkdir(parents=True, exist_ok=True)
    status = INSTALLED if with_missing else apt / "state" / "status"
    if not with_missing:
        status.touch()
    options = [
        *("-o", f"Dir::State={apt / 'state'}", "-o", f"Dir::Cache={apt / 'cache'}"),
        *("-o", f"Dir::State::status={status}"),
        # A machine without a network is to be told so soon.
        *("-o", "Acquire::http::Timeout=10", "-o", "Acquire::https::Timeout=10"),
        *("-o", "Acquire::Retries=1"),
        # As root it would change to a user who may not write here.
        *("-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1", "-q"),
    ]
    archives = apt / "cache" / "archives"
    _run(["apt-get", *options, "update"], apt)
    command = ["apt-get", *options, "download", *names]
    if with_missing:
        more = ["--no-install-recommends", "--reinstall", "--download-only", "--yes"]
        command = ["apt-get", *options, *more, "install", *names]
    # Asked where there is nothing, since it leaves out what is there already.
    none = apt / "cache" / "none"
    asking = [*command, "--print-uris", "-o", f"Dir::Cache::archives={none}"]
    files = _files(_run(asking, none))
    _run(command, archives, FETCH_SECONDS * max(1, len(files)))
    return [archives / file for file in files]


def _files(uris: str) -> list[str]:
    """Read the names of the files out of lines of ``'URI' FILE SIZE HASH``."""
    return [line.split()[1] for line in uris.splitlines() if line.startswith("'")]


def _run(command: Sequence[str], folder: Path, seconds: float = FETCH_SECONDS) -> str:
    """Run a program and return what it printed.

    Raises:
        MissingProgramError: it failed, with what it said, or did not end in time.
    """
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=seconds,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
        )
    except (subprocess.TimeoutExpired, OSError) as error:
        raise MissingProgramError(f"`{command[0]} {command[-1]}` did not end: {error}.") from None
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        reason = said[0] if said else (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise MissingProgramError(
            f"The packages could not be fetched: {reason}. Is there a network, and a mirror that has"
            " them?"
        )
    return done.stdout
