"""WAL pages: decide whether a replay reached the end of the WAL or stopped at damage.

A segment consists of 8 kB pages, each with its LSN. Unwritten space holds zeros, or old content in a
file that PostgreSQL recycled.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

PAGE_BYTES = 8192
_HEAD = struct.Struct("<HHIQI")
_LENGTH = struct.Struct("<I")
_LSN = struct.Struct("<Q")
HEAD_BYTES = 24
LONG_HEAD_BYTES = 40
# Page header flags: it begins with the rest of a record; it is the first of its segment.
_CONTINUES = 0x0001
_LONG = 0x0002


@dataclass(frozen=True, slots=True)
class WalPage:
    """A written page.

    Args:
        lsn: where it begins.
        rest: how many bytes of a record from an earlier page are on this and the following pages.
        begins: the offset at which that record continues, or the page's first own record begins.
        data: the whole page.
        is_sound: its header can be trusted.
    """

    lsn: int
    rest: int
    begins: int
    data: bytes
    is_sound: bool = True


def parse_page(data: bytes, position: int, *, is_recycled: bool = True) -> WalPage | None:
    """Parse a page; None if nothing was written at that LSN.

    Args:
        data: its bytes.
        lsn: its expected LSN.
        is_recycled: the file may be recycled. If it is not, a page with another LSN is damaged.
    """
    if len(data) < PAGE_BYTES:
        return None
    magic, info, _, address, rest = _HEAD.unpack_from(data)
    begins = LONG_HEAD_BYTES if info & _LONG else HEAD_BYTES
    if _is_empty(data[begins:]):
        return None
    if not magic or address != position:
        return None if is_recycled else WalPage(position, 0, begins, data, is_sound=False)
    return WalPage(position, rest if info & _CONTINUES else 0, begins, data)


def first_unreplayed(pages: Iterable[WalPage], reached: int, *, is_received: bool) -> int | None:
    """The LSN of the first WAL that a replay did not reach; None if it reached the end.

    A replay ends at the first incomplete record. That is the end of the WAL if only the beginning of
    that record was written, as by a server that was killed; it is damage if more WAL follows. PostgreSQL
    itself treats both as the end.

    Args:
        pages: the written pages in order, from the one in which the replay ended.
        reached: the LSN at which it ended.
        is_received: the last page came over the network, up to the end of a record or page. A server's
            own last page may also contain records that it was still writing when it was killed.
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
            # Each record contains the LSN of the previous one.
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
