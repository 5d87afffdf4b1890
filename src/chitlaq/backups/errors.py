"""Tell a bad backup from one that could not be examined."""

from __future__ import annotations

import errno

from chitlaq.core.errors import OperatorError

_HOST_ERRNOS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE,
    errno.EACCES, errno.EPERM,
}  # fmt: skip
# The same in messages of PostgreSQL's programs.
_HOST_MESSAGES = (
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "Cannot allocate memory",
    "Permission denied",
)


class InconclusiveError(OperatorError):
    """A backup could not be examined: its last proof results stand."""


def is_inconclusive(error: Exception) -> bool:
    """Whether a backup could not be examined because of the host, such as a full disk."""
    if isinstance(error, InconclusiveError):
        return True
    if isinstance(error, OSError) and error.errno in _HOST_ERRNOS:
        return True
    return any(text in str(error) for text in _HOST_MESSAGES)
