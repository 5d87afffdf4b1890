"""Exceptions whose message is one sentence for an operator."""


class OperatorError(Exception):
    """An error that an operator can fix; it ends a command without a traceback.

    The message is one clear sentence: what happened, why, and what to do.
    """


class UnfinishedError(OperatorError):
    """A person has to finish something first: to try the same again helps nothing."""


class MissingProgramError(OperatorError):
    """An optional program is not on this machine."""


class UnknownResult(Exception):  # noqa: N818 - a result, not a fault
    """What was to be judged cannot be read: the verdict is UNKNOWN; the message says why.

    Args:
        message: the reason.
        judged_by: the check that says what ails the source, if it does not answer.
    """

    def __init__(self, message: str, judged_by: str = "") -> None:
        super().__init__(message)
        self.judged_by = judged_by


class NotApplicable(Exception):  # noqa: N818 - a result, not a fault
    """This machine has nothing to judge: the verdict is SKIPPED; the message says what provides it."""


class TooLate(UnknownResult):
    """What was to be judged did not answer in time: it waits for something, or is dead."""


class NotYet(UnknownResult):
    """What was to be judged has not had its time yet: the verdict is SKIPPED; the message says when."""
