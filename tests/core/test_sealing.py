"""What is sealed: only for the same purpose, the same subject and with the same secret it opens."""

from __future__ import annotations

from uuid import uuid4

import pytest

from chitlaq.core.sealing import Sealer, UnreadableError

ADA, BEN = uuid4(), uuid4()


def test_what_is_sealed_opens_for_the_same_purpose_and_subject_alone() -> None:
    sealer = Sealer("secret", "one")
    sealed = sealer.sealed("quite secret", ADA)
    assert b"secret" not in sealed
    assert sealed != sealer.sealed("quite secret", ADA)
    assert sealer.opened(sealed, ADA) == "quite secret"
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for other, text, subject in (
        (sealer, sealed, BEN),
        (Sealer("secret", "two"), sealed, ADA),
        (Sealer("another", "one"), sealed, ADA),
        (sealer, changed, ADA),
        (sealer, sealed[:12], ADA),
        (sealer, b"", ADA),
    ):
        with pytest.raises(UnreadableError):
            other.opened(text, subject)
