"""Whether what went wrong says something of a backup, or only that it could not be looked at."""

from __future__ import annotations

import errno

from chitlaq.core.errors import OperatorError

_HOST_ERRNOS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.ENOMEM, errno.EMFILE, errno.ENFILE,
    errno.EACCES, errno.EPERM,
}  # fmt: skip
# As PostgreSQL's programs say it.
_HOST_MESSAGES = (
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "Cannot allocate memory",
    "Permission denied",
)


class InconclusiveError(OperatorError):
    """A backup could not be looked at: nothing is known now that was not known before."""


def is_inconclusive(error: Exception) -> bool:
    """Whether a look at a backup failed for the machine's sake, and not for the backup's."""
    if isinstance(error, InconclusiveError):
        return True
    if isinstance(error, OSError) and error.errno in _HOST_ERRNOS:
        return True
    return any(text in str(error) for text in _HOST_MESSAGES)
