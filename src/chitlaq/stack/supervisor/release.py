"""An installed version of ChitLaq whose program our own processes run."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

import chitlaq

CODE_VARIABLES = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSAFEPATH",
    "PYTHONNOUSERSITE",
    "LD_LIBRARY_PATH",
)
"""With these Python finds one version, and would find no other."""


class Release(msgspec.Struct, frozen=True):
    """What starts one version.

    Args:
        version: its number.
        folder: where its package is, which tells it from all others.
        python: the interpreter of its environment.
        variables: what that needs of `CODE_VARIABLES`.
    """

    version: str
    folder: str
    python: str
    variables: dict[str, str]

    def command(self, *words: str) -> list[str]:
        """Return the command line of ``chitlaq WORDS`` of this version."""
        return [self.python, "-m", "chitlaq", *words]

    def environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return an environment in which Python finds this version and no other."""
        others = {name: value for name, value in environment.items() if name not in CODE_VARIABLES}
        return others | self.variables


def own() -> Release:
    """The version that this process runs."""
    variables = {name: os.environ[name] for name in CODE_VARIABLES if name in os.environ}
    folder = str(Path(chitlaq.__file__).resolve().parent)
    return Release(chitlaq.__version__, folder, sys.executable, variables)
