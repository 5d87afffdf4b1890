"""Polls, in and out."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Annotated

import msgspec

from chitlaq.core.http.schemas import Incoming, require_name

MIN_SECONDS = 5 * 60
MAX_SECONDS = 31 * 24 * 3600
MAX_OPTIONS = 4

OptionText = Annotated[str, msgspec.Meta(max_length=100)]
Choice = Annotated[int, msgspec.Meta(ge=0, lt=MAX_OPTIONS)]


class NewPoll(Incoming, frozen=True):
    """A poll of a new post; with ``multiple``, a voter may choose several options."""

    options: Annotated[list[OptionText], msgspec.Meta(min_length=2, max_length=MAX_OPTIONS)]
    expires_in_seconds: Annotated[int, msgspec.Meta(ge=MIN_SECONDS, le=MAX_SECONDS)] = 24 * 3600
    multiple: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for text in self.options:
            require_name("options", text)
        options = [unicodedata.normalize("NFC", text.strip()) for text in self.options]
        msgspec.structs.force_setattr(self, "options", options)
        if len(set(options)) < len(options):
            raise ValueError("options: must differ from each other")


class Vote(Incoming, frozen=True):
    """The numbers of the chosen options, from 0."""

    choices: Annotated[Sequence[Choice], msgspec.Meta(min_length=1, max_length=MAX_OPTIONS)]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.choices)) < len(self.choices):
            raise ValueError("choices: must differ from each other")
