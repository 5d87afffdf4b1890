"""What stands inside the log: its pages, and whether more was written than was replayed.

A segment is made of pages of 8 kB, each with the position at which it belongs. Where nothing was
written yet there are zeros, or what an earlier segment left in a file that PostgreSQL uses again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

PAGE_BYTES = 8192
_HEAD = struct.Struct("<HHIQI")
_LENGTH = struct.Struct("<I")
_LSN = struct.Struct("<Q")
_HEAD_BYTES = 24
_LONG_HEAD_BYTES = 40
# Of a page's head: it begins with the rest of a record; it is the first of its segment.
_CONTINUES = 0x0001
_LONG = 0x0002


@dataclass(frozen=True, slots=True)
class WalPage:
    """A page that was written.

    Args:
        position: where in the log it begins.
        rest: bytes of a record from before it that stand here and on the pages after it.
        begins: where in it that record, or the first of its own, begins.
        data: the whole page.
        is_sound: its head can be believed.
    """

    lsn: int
    rest: int
    begins: int
    data: bytes
    is_sound: bool = True


def parse_page(data: bytes, position: int, *, is_used_again: bool = True) -> WalPage | None:
    """Read a page; there is none where nothing was written at that position.

    Args:
        data: its bytes.
        position: where it belongs.
        is_used_again: the file may hold what an earlier segment left. Where it does not, a page that
            says that it belongs elsewhere is not sound.
    """
    if len(data) < PAGE_BYTES:
        return None
    magic, info, _, address, rest = _HEAD.unpack_from(data)
    begins = _LONG_HEAD_BYTES if info & _LONG else _HEAD_BYTES
    if _is_empty(data[begins:]):
        return None
    if not magic or address != position:
        return None if is_used_again else WalPage(position, 0, begins, data, is_sound=False)
    return WalPage(position, rest if info & _CONTINUES else 0, begins, data)


def first_unreplayed(pages: Iterable[WalPage], reached: int, *, is_received: bool) -> int | None:
    """Say where log stands that a replay did not come to; nothing when it came to the end.

    A replay ends at the first record that is not whole. That is the end of the log where nothing but
    the beginning of that record was written, as a server leaves it that is killed; it is damage where
    more follows. PostgreSQL itself takes both for the end.

    Args:
        pages: those that were written, in order, from the one in which the replay ended.
        reached: where it ended.
        is_received: the last of them came over the network, up to the end of a record or of a page.
            A server's own last page may also hold records that were on their way when it was killed.
    """
    missing: int | None = None
    suspicion: int | None = None
    for one in pages:
        if suspicion is not None:
            return suspicion
        if one.lsn + PAGE_BYTES <= reached:
            continue
        if not one.is_sound:
            return max(one.lsn, reached)
        if one.lsn <= reached:
            left = one.data[max(one.begins, reached - one.lsn) :]
            if _is_empty(left):
                missing = 0
                continue
            length = _LENGTH.unpack_from(left)[0] if len(left) >= _LENGTH.size else 0
            missing = length - len(left)
            # Each record holds the position of the one before it.
            if missing <= 0 or _LSN.pack(reached) in left:
                suspicion = reached
            continue
        if not missing or missing != one.rest:
            return one.lsn
        missing -= len(one.data) - one.begins
        if missing <= 0:
            suspicion = reached
    return suspicion if is_received else None


def _is_empty(data: bytes) -> bool:
    return not data.strip(b"\0")
