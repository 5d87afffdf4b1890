"""A bounded cache of encoded JSON, by id and version."""

from __future__ import annotations

from uuid import UUID

ENTRY_BYTES = 300
"""What an entry takes beside its fragment: its key, its places in the generations, the objects' headers."""


class Fragments:
    """Keeps the fragments that were used lately, within a number of bytes.

    There are two generations: what is used moves to the younger one, and when that is full, it becomes
    the older one and what was left there is dropped. That costs a hit less than moving it in a list.
    """

    def __init__(self, max_bytes: int) -> None:
        self._most = max_bytes // 2
        self._bytes = 0
        self._young: dict[UUID, tuple[int, bytes]] = {}
        self._old: dict[UUID, tuple[int, bytes]] = {}

    @property
    def size_bytes(self) -> int:
        """What both generations take, with `ENTRY_BYTES` for each entry."""
        return sum(
            len(fragment) + ENTRY_BYTES
            for generation in (self._young, self._old)
            for _, fragment in generation.values()
        )

    def get(self, key: UUID, version: int) -> bytes | None:
        """Return the fragment of a version, if it is kept."""
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is None or found[0] != version:
                return None
            self.put(key, version, found[1])
        return found[1] if found[0] == version else None

    def put(self, key: UUID, version: int, fragment: bytes) -> None:
        """Keep a fragment, instead of the one of another version."""
        before = self._young.get(key)
        self._bytes += len(fragment) - len(before[1]) if before else len(fragment) + ENTRY_BYTES
        self._young[key] = (version, fragment)
        if self._bytes > self._most:
            self._old, self._young, self._bytes = self._young, {}, 0
