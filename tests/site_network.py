"""The network between the machines of a site that is only processes.

As root each machine has a network namespace of its own, and its cable can be pulled. Others have loopback
addresses.
"""

from __future__ import annotations

import os
import pwd
import random
import secrets
import subprocess
from collections.abc import Sequence
from contextlib import suppress

import pytest


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


class Network:
    """Addresses of machines: the first is where the tests run, too.

    Args:
        names: the machines'.
        user: who runs their servers, if we are root.
    """

    def __init__(self, names: Sequence[str], user: pwd.struct_passwd | None) -> None:
        self._user = user
        self._names = list(names)
        self._id = f"ct{secrets.token_hex(3)}"
        self.has_cables = False
        if os.geteuid() == 0:
            with suppress(OSError, subprocess.CalledProcessError):
                self._lay_cables()
        if not self.has_cables:
            self._prefix = f"127.{random.randrange(10, 250)}.{random.randrange(256)}"

    def address(self, name: str) -> str:
        return f"{self._prefix}.{self._names.index(name) + 1}"

    def _lay_cables(self) -> None:
        # For measurements between networks (RFC 2544): nobody's real addresses.
        self._prefix = f"198.{random.choice((18, 19))}.{random.randrange(256)}"
        here, *others = self._names
        try:
            _ip("link", "add", self._id, "type", "bridge")
            _ip("addr", "add", f"{self.address(here)}/24", "dev", self._id)
            _ip("link", "set", self._id, "up")
            for name in others:
                space = self._space(name)
                _ip("netns", "add", space)
                _ip(
                    "link",
                    "add",
                    self._cable(name),
                    "type",
                    "veth",
                    "peer",
                    "name",
                    "eth0",
                    "netns",
                    space,
                )
                _ip("link", "set", self._cable(name), "master", self._id, "up")
                _ip("-n", space, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
                for device in ("lo", "eth0"):
                    _ip("-n", space, "link", "set", device, "up")
        except subprocess.CalledProcessError:
            self._remove()
            raise
        self.has_cables = True

    def _space(self, name: str) -> str:
        return f"{self._id}-{name}"

    def _cable(self, name: str) -> str:
        return f"{self._id}v{self._names.index(name)}"

    def at(self, name: str, words: Sequence[str]) -> list[str]:
        """The command that runs a program on a machine, as the user of its servers."""
        entry = ["nsenter"]
        if self.has_cables and name != self._names[0]:
            entry.append(f"--net=/run/netns/{self._space(name)}")
        if self._user is not None:
            entry += [f"--setuid={self._user.pw_uid}", f"--setgid={self._user.pw_gid}"]
        return [*(entry if len(entry) > 1 else []), *words]

    def pull(self, name: str) -> None:
        """Cut a machine off: what is sent to it or by it is lost, and nobody is told."""
        if not self.has_cables:
            pytest.skip("a machine is cut off by its network namespace, which takes root")
        _ip("link", "set", self._cable(name), "down")

    def plug_in(self, name: str) -> None:
        if self.has_cables:
            _ip("link", "set", self._cable(name), "up")

    def close(self) -> None:
        if self.has_cables:
            self._remove()

    def _remove(self) -> None:
        for name in self._names[1:]:
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "del", self._space(name))
            with suppress(subprocess.CalledProcessError):
                _ip("link", "del", self._cable(name))
        with suppress(subprocess.CalledProcessError):
            _ip("link", "del", self._id)
