"""Programs of the distribution's packages, unpacked and not installed, for tests that need one."""

from __future__ import annotations

import pytest

from chitlaq.core.errors import MissingProgramError
from chitlaq.stack.install import unpacked_programs
from chitlaq.stack.install.unpacked_programs import Program

TOGETHER = ("auditd", "fail2ban", "logrotate", "systemd", "systemd-journal-remote")
"""Small packages, fetched at once: asking the distribution what there is takes longer than they do."""


def unpacked(package: str, name: str, place: str, *more: str) -> Program:
    """Return a program from PATH or from its package; skip the test if there is neither.

    Args:
        package: its name in Debian.
        name: the program's.
        place: where it is in the package.
        more: packages to unpack beside it that it does not depend on.
    """
    together = package in TOGETHER
    packages = TOGETHER if together else (package, *more)
    try:
        return unpacked_programs.found(name, place, packages, "together" if together else "")
    except MissingProgramError as error:
        pytest.skip(str(error))
