"""Landlock: the kernel confines a process, and all that it starts, to what it may change.

A second wall behind the rules of the program itself. Linux has it since 5.13 and most distributions turn it
on; without it nothing is confined (https://docs.kernel.org/userspace-api/landlock.html).
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

# Rights by the version of the interface that introduced them (linux/landlock.h).
_WRITE_FILE = 1 << 1
_TRUNCATE = 1 << 14
# Remove and make entries of every kind, which is all between reading a folder and _TRUNCATE.
_CHANGE_FOLDER = sum(1 << bit for bit in range(4, 14))
_TCP = 0b11  # bind, connect
_SCOPES = 0b11  # abstract Unix sockets, signals
# Before this version no process may move a file to another folder.
_LEAST_VERSION = 2
_TRUNCATE_SINCE, _TCP_SINCE, _SCOPES_SINCE = 3, 4, 6

_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """The version of the kernel's interface; 0 if it is too old, or Landlock is off."""
    found = int(_libc.syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION))
    return found if found >= _LEAST_VERSION else 0


@contextmanager
def ruleset(writable: Sequence[Path]) -> Iterator[int | None]:
    """A set of rules for `restrict`: write only below these folders, and use no network.

    Unix sockets with a path, and reading, are not confined. Yields None where the kernel has no Landlock.
    """
    known = version()
    if not known:
        yield None
        return
    files = _WRITE_FILE | (_TRUNCATE if known >= _TRUNCATE_SINCE else 0)
    attributes = struct.pack(
        "QQQ",
        files | _CHANGE_FOLDER,
        _TCP if known >= _TCP_SINCE else 0,
        _SCOPES if known >= _SCOPES_SINCE else 0,
    )
    # An older kernel accepts longer attributes if the rest is zero.
    rules = _checked(_libc.syscall(_CREATE_RULESET, attributes, len(attributes), 0))
    try:
        for folder in writable:
            _allow(rules, folder, files | _CHANGE_FOLDER)
        _allow(rules, Path(os.devnull), files)
        yield rules
    finally:
        os.close(rules)


def _allow(rules: int, path: Path, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, descriptor)
        _checked(_libc.syscall(_ADD_RULE, rules, _RULE_PATH_BENEATH, rule, 0))
    finally:
        os.close(descriptor)


def restrict(rules: int) -> None:
    """Confine this process for good. Between fork and exec: makes system calls only."""
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(_libc.syscall(_RESTRICT_SELF, rules, 0))


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
