"""Make Python and our code readable for the service user, wherever root has installed them.

A clone in ``/root`` is closed to others. What the service user cannot read is copied below one folder,
under the same path as before, and belongs to root: a service cannot change the code that it runs.
Each start brings the copy up to date. Everybody can read it, so nothing else is copied: our package, the
packages that Python has installed, and Python.
"""

from __future__ import annotations

import compileall
import errno
import fcntl
import os
import pwd
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import chitlaq
from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files
from chitlaq.stack.install import users

COPIES = Path("/usr/local/lib/chitlaq")
NOT_NEEDED = frozenset(
    {"test", "tests", "idlelib", "turtledemo", "ensurepip", "lib2to3", "tkinter"}
)
"""Parts of Python's library that servers do not load."""
SEPARATE = ("site-packages", "dist-packages")
"""Folders in Python's library that are copied on their own, if they are used."""


def launch(user: pwd.struct_passwd, *, is_refreshed: bool) -> tuple[str, dict[str, str]]:
    """Return a Python that a user can run, and the variables with which it finds this very code.

    Args:
        user: who runs it.
        is_refreshed: compile our code, and bring existing copies up to date.

    Raises:
        OperatorError: something is out of the user's reach, and cannot be copied.
    """
    package = Path(chitlaq.__file__).parent
    if is_refreshed:
        # The user may not store what it compiles: every process would compile all of it again.
        compileall.compile_dir(package, quiet=2)
    python = Path(sys.executable).resolve()
    # The first entry is where the command is typed, or where its script is.
    found = dict.fromkeys([*sys.path[not sys.flags.safe_path :], str(package.parent)])
    entries = [Path(entry) for entry in found if Path(entry).is_dir()]
    closed = [path for path in (python, *entries) if not _is_open(path, user)]
    if not closed:
        return sys.executable, {}
    for path in closed:
        if not (_is_code(path) or path.resolve() == package.resolve().parent):
            raise OperatorError(
                f"The user {user.pw_name}, under which ChitLaq runs, cannot read {path}, where Python"
                " looks for modules, and what lies there is not copied: take it out of PYTHONPATH, or"
                f" allow reading with `chmod a+rx {path}` and on each folder above."
            )
    library = Path(os.__file__).resolve().parent
    variables = {
        # Not the folder in which the command is typed.
        "PYTHONSAFEPATH": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONPATH": os.pathsep.join(
            str(_copied(entry) if entry in closed else entry)
            for entry in entries
            if not (entry.resolve().is_relative_to(library) and "-packages" not in str(entry))
        ),
    }
    try:
        with _locked():
            if python in closed:
                shared = Path(sys.base_prefix).resolve() / "lib"
                closed += [library, *shared.glob("libpython*.so*")]
                variables["LD_LIBRARY_PATH"] = str(_copied(shared))
                python = _copied(python)
            for path in closed:
                # Of the folder that our package lies in, only the package is ours.
                own = package.resolve() if not _is_code(path) else path
                if is_refreshed or not _copied(own).exists():
                    _copy(own, _copied(own))
    except OSError as error:
        raise OperatorError(
            f"The user {user.pw_name}, under which ChitLaq runs, cannot read {closed[0]}, and a copy"
            f" in {COPIES} failed ({error.strerror}): install ChitLaq where everybody may read it,"
            " such as /opt."
        ) from None
    return str(python), variables


def reach(folder: Path, user: pwd.struct_passwd) -> Path:
    """Return a folder that a user can read, or else its copy.

    Raises:
        OSError: it cannot be copied.
    """
    if _is_open(folder, user):
        return folder
    if not _is_code(folder):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    with _locked():
        _copy(folder, _copied(folder))
    return _copied(folder)


@contextmanager
def _locked() -> Iterator[None]:
    COPIES.mkdir(parents=True, exist_ok=True)
    with (COPIES / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_open(path: Path, user: pwd.struct_passwd) -> bool:
    """Whether a user can reach and read a file, or a folder and what is first in it."""
    path = path.resolve()
    first = [path, *([] if path.is_file() else sorted(path.iterdir()))]
    return users.can_reach(path, user) and all(users.can_read(one, user) for one in first)


def _is_code(path: Path) -> bool:
    """Whether there is nothing but Python there, or packages that it has installed."""
    path = path.resolve()
    own = (Path(sys.executable), Path(os.__file__).parent)
    places = [Path(prefix, "lib") for prefix in (sys.prefix, sys.base_prefix)]
    return not {*SEPARATE}.isdisjoint(path.parts) or any(
        path.is_relative_to(place.resolve()) for place in (*own, *places)
    )


def _copied(path: Path) -> Path:
    return COPIES / path.resolve().relative_to("/")


def _copy(source: Path, target: Path) -> None:
    """Make ``target`` equal ``source``, readable by everybody; only what differs is written."""
    source = source.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        _copy_file(source, target)
        return
    for folder, names in _walk(source):
        there = target / folder.relative_to(source)
        there.mkdir(exist_ok=True, mode=0o755)
        there.chmod(0o755)
        for name in names:
            if (folder / name).is_file():
                _copy_file(folder / name, there / name)
        for left in there.iterdir():
            if left.name not in names and not left.name.startswith(SEPARATE):
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def _walk(source: Path) -> Iterator[tuple[Path, set[str]]]:
    """Yield each folder with the names in it that are needed."""
    is_library = source == Path(os.__file__).resolve().parent
    for folder, folders, names in os.walk(source):
        if is_library and Path(folder) == source:
            folders[:] = [
                name
                for name in folders
                if name not in NOT_NEEDED and not name.startswith(("config-", *SEPARATE))
            ]
        folders[:] = [name for name in folders if name not in {".git", "node_modules"}]
        yield Path(folder), {*folders, *names}


def _copy_file(source: Path, target: Path) -> None:
    now = source.stat()
    try:
        there = target.stat()
        if (there.st_mtime_ns, there.st_size) == (now.st_mtime_ns, now.st_size):
            return
    except FileNotFoundError:
        pass
    is_program = now.st_mode & stat.S_IXUSR
    # Not durable: what is missing or differs is copied again.
    with files.draft(target, mode=0o600, is_durable=False) as draft:
        shutil.copy2(source, draft)
        draft.chmod(0o755 if is_program else 0o644)
