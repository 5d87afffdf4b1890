"""What reading the system raises when there is nothing to judge."""

from __future__ import annotations


class Unseen(Exception):  # noqa: N818 - a result, not a fault
    """It could not be read; the message says why."""


class NotHere(Exception):  # noqa: N818 - no error: there is nothing to look at
    """This machine does not have it; the message says what would provide it."""
