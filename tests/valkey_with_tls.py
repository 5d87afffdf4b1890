"""A Valkey that speaks TLS: the one that comes with ChitLaq serves one machine, and does not."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.debian_programs import unpacked

VALKEY_SINCE = 13
"""The version of Debian that has it; before, it has the Redis of which Valkey was made."""


@dataclass(frozen=True)
class Program:
    path: Path
    environment: Mapping[str, str]
    is_redis: bool

    def configuration(self, text: str) -> str:
        """What it reads in place of a configuration of Valkey."""
        return text.replace("primaryauth", "masterauth") if self.is_redis else text


@cache
def valkey_with_tls() -> Program:
    """Return Valkey or Redis, from PATH or from its package; skip the test if there is neither."""
    release = platform.freedesktop_os_release().get("VERSION_ID", "")
    has_valkey = shutil.which("valkey-server") or int(release or VALKEY_SINCE) >= VALKEY_SINCE
    name = "valkey-server" if has_valkey else "redis-server"
    found = unpacked(name, name, f"usr/bin/{name}")
    return Program(found.path, found.environment, is_redis=not has_valkey)
