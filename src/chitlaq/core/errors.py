"""The exception that ends a command with one sentence instead of a traceback."""


class OperatorError(Exception):
    """An error that an operator can fix.

    The message is one clear sentence: what happened, why, and what to do.
    """


class MissingProgramError(OperatorError):
    """An optional program is not on this machine."""
