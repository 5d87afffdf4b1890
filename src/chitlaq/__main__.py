"""The command ``chitlaq``."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from chitlaq.core.errors import OperatorError, UnfinishedError

NAGIOS = "--nagios"
NAGIOS_UNKNOWN = 3
UNFINISHED = 78
"""EX_CONFIG of sysexits.h; our unit for systemd knows it."""


def main() -> None:
    """Run the command; an error that an operator can fix is one sentence, with exit code 1.

    With 78, a person has to finish something before the same command can succeed.
    """
    match sys.argv[1:]:
        case ["fork-server", descriptor]:  # the supervisor's; each forked process comes back here
            from chitlaq.stack.supervisor import fork_server

            return fork_server.serve(int(descriptor), _load, main)
    # What is loaded stays: to look for garbage among it takes a tenth of a command's start.
    gc.disable()
    from chitlaq.cli import terminal

    terminal.protect()
    try:
        if os.geteuid() == 0:
            from chitlaq.stack.install import privileges

            privileges.leave_root(sys.argv[1:])
        _require_text(sys.argv)
        from chitlaq.cli.app import named

        command = named(sys.argv[1:])
        gc.freeze()
        gc.enable()
        command()
    except OperatorError as error:
        if NAGIOS in sys.argv:
            _unknown(str(error))
        sys.stderr.write(f"chitlaq: {error}\n")
        sys.exit(UNFINISHED if isinstance(error, UnfinishedError) else 1)
    except SystemExit as end:
        if NAGIOS in sys.argv and end.code:
            _unknown("the command line is not valid: see `--help`")
        raise
    except BrokenPipeError:
        # The reader of our output has closed it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _load() -> None:
    """Load what every service has: six services would each take 60 ms of a core for it."""
    from chitlaq.cli import serve

    serve.load_shared()


def _require_text(words: Sequence[str]) -> None:
    """Refuse what no database, log or terminal can show.

    Raises:
        OperatorError: a word has bytes that are not UTF-8.
    """
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        raise OperatorError("The command line has bytes that are not UTF-8.") from None


def _unknown(reason: str) -> NoReturn:
    """Exit as a plugin that could not check: to Nagios 1 is a warning and 2 is critical."""
    sys.stdout.write(f"CHITLAQ UNKNOWN - {' '.join(reason.split()).replace('|', '/')}\n")
    sys.exit(NAGIOS_UNKNOWN)


if __name__ == "__main__":
    main()
