"""Unpack packages of Debian and Ubuntu into a folder without installing them, which needs no root.

The distribution's own client fetches them and verifies their signatures.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from chitlaq.core.errors import MissingProgramError, OperatorError
from chitlaq.core.host import files, programs

FETCH_SECONDS = 60
"""Timeout per package, and for the package lists."""
INSTALLED = Path("/var/lib/dpkg/status")
FETCHED = "fetched"
"""Marks a complete folder; without it a fetch was interrupted."""


def unpack(
    folder: Path,
    names: Sequence[str],
    *,
    with_missing: bool = False,
    finish: Callable[[Path], None] = lambda _folder: None,
) -> None:
    """Fetch packages and unpack them into a folder, once; concurrent callers wait.

    Args:
        folder: becomes a tree like a root file system: ``folder/usr/bin/…``.
        names: the packages.
        with_missing: also fetch dependencies that are not installed on this machine.
        finish: called with the folder after unpacking, before it is marked complete.

    Raises:
        MissingProgramError: there is no package client, or it failed; with its error.
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
    """Download packages, with our own lists and caches below a folder.

    A package that an earlier try completed is not fetched again, so that even a slow link succeeds
    eventually.
    """
    for part in ("state/lists/partial", "cache/archives/partial", "cache/none/partial"):
        (apt / part).mkdir(parents=True, exist_ok=True)
    status = INSTALLED if with_missing else apt / "state" / "status"
    if not with_missing:
        status.touch()
    options = [
        *("-o", f"Dir::State={apt / 'state'}", "-o", f"Dir::Cache={apt / 'cache'}"),
        *("-o", f"Dir::State::status={status}"),
        # Fail fast without a network.
        *("-o", "Acquire::http::Timeout=10", "-o", "Acquire::https::Timeout=10"),
        *("-o", "Acquire::Retries=1"),
        # As root it would switch to a user who cannot write here.
        *("-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1", "-q"),
    ]
    archives = apt / "cache" / "archives"
    _run(["apt-get", *options, "update"], apt)
    command = ["apt-get", *options, "download", *names]
    if with_missing:
        more = ["--no-install-recommends", "--reinstall", "--download-only", "--yes"]
        command = ["apt-get", *options, *more, "install", *names]
    # Ask with an empty cache: it omits packages that it already has.
    none = apt / "cache" / "none"
    asking = [*command, "--print-uris", "-o", f"Dir::Cache::archives={none}"]
    # Lines of ``'URI' FILE SIZE HASH``.
    uris = _run(asking, none).splitlines()
    files = [line.split()[1] for line in uris if line.startswith("'")]
    _run(command, archives, FETCH_SECONDS * max(1, len(files)))
    return [archives / file for file in files]


def _run(command: Sequence[str], folder: Path, seconds: float = FETCH_SECONDS) -> str:
    """Run a program and return its output.

    Raises:
        MissingProgramError: it failed, with its error, or timed out.
    """
    try:
        done = programs.run(
            command,
            timeout_seconds=seconds,
            folder=folder,
            variables={"DEBIAN_FRONTEND": "noninteractive"},
        )
    except OperatorError as error:
        raise MissingProgramError(f"`{command[0]} {command[-1]}`: {error}") from None
    if done.code != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        raise MissingProgramError(
            f"The packages could not be fetched: {said[0] if said else done.reason}. Is there a network,"
            " and a mirror that has them?"
        )
    return done.stdout
