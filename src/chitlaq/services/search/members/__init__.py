"""Members by name."""

from __future__ import annotations

from uuid import UUID

import msgspec

MAX_LETTERS = 100
"""Of a text that is searched for."""


# Defined here because the API description names a page of these after this module.
class FoundMember(msgspec.Struct, frozen=True):
    id: UUID
    username: str
    display_name: str
    department: str
    avatar_url: str | None
    bio: str
    university: str
