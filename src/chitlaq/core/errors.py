"""The one exception that ends a command with a sentence instead of a traceback."""


class OperatorError(Exception):
    """Something an operator can mend.

    The message is one clear sentence: what happened, why, and what to do.
    """


class MissingProgramError(OperatorError):
    """A program that is wanted, and not needed, is not on this machine."""
