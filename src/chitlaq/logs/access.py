"""nginx's access log: its files, newest first, and the fields that are read from a line."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from typing import TypeVar

import msgspec

from chitlaq.core.installation.home import Home
from chitlaq.logs import rotation

Line = TypeVar("Line")

PROBE_AGENT = "chitlaq-probe"
"""What ops-service calls itself when it asks as a member does."""
PROBE_ADDRESSES = ("127.0.0.1", "::1")
"""Where it asks from."""


class Access(msgspec.Struct):
    """The fields that are read from a line."""

    time: datetime
    remote_addr: str
    status: int
    method: str
    route: str
    user_agent: str = ""
    limit: str = ""
    is_signed_in: bool = False
    refused_account: str = ""
    failed_account: str = ""


def is_probe(remote_addr: str, user_agent: str) -> bool:
    """Whether a request is our own probe's, which no figure of members' requests counts.

    A client can call itself anything, but only this machine has this address.
    """
    return user_agent == PROBE_AGENT and remote_addr in PROBE_ADDRESSES


def reader(kind: type[Line]) -> Callable[[bytes], Line | None]:
    """A function that reads a line's fields; None if it is no whole line of the log.

    nginx writes a client's bytes as they came, whether or not they are UTF-8: those that are not are
    replaced, so that nobody's request goes uncounted for what its client calls itself.
    """
    decode = msgspec.json.Decoder(kind).decode

    def read(line: bytes) -> Line | None:
        try:
            return decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
        try:
            return decode(line.decode(errors="replace"))
        except (msgspec.DecodeError, RecursionError):
            return None

    return read


@contextmanager
def opened(
    home: Home, since: datetime, keep_files: int
) -> Iterator[tuple[Sequence[Iterable[bytes]], bool]]:
    """Open the files that have lines since a moment, newest first.

    Args:
        keep_files: how many rotated files are kept.

    Returns:
        The files, and whether earlier lines of the period may have been deleted.
    """
    with ExitStack() as stack:
        # Open all at once: a file that is renamed meanwhile is neither missed nor counted twice.
        files = []
        for file in rotation.history(home.access_log):
            with suppress(FileNotFoundError):
                files.append((file, stack.enter_context(file.open("rb"))))
        is_cut = len(files) > keep_files
        found: list[Iterable[bytes]] = []
        for file, log in reversed(files):
            if os.fstat(log.fileno()).st_mtime < since.timestamp():
                is_cut = False
                break
            found.append(gzip.GzipFile(fileobj=log) if file.suffix == ".gz" else log)
        yield found, is_cut
