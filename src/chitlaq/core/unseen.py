"""What a look at the system raises when there is nothing to judge."""

from __future__ import annotations


class Unseen(Exception):  # noqa: N818 - said as people say it
    """It could not be looked at, and why."""


class NotHere(Exception):  # noqa: N818 - no error: there is nothing to look at
    """The machine has no such thing; what would bring it."""
