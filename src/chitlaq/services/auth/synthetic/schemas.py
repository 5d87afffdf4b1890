"""What lets operators write as the synthetic members."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec


class SyntheticMembers(msgspec.Struct, frozen=True):
    """The conversation of the synthetic members, and an access token of each."""

    conversation_id: UUID
    tokens: Sequence[str]
