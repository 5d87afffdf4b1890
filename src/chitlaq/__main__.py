"""The command ``chitlaq``."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from chitlaq.core.errors import OperatorError

NAGIOS = "--nagios"
NAGIOS_UNKNOWN = 3


def main() -> None:
    """Run the command; what an operator can mend is said in one sentence, with exit code 1."""
    from chitlaq.cli.app import app

    try:
        app()
    except OperatorError as error:
        if NAGIOS in sys.argv:
            _unknown(str(error))
        sys.stderr.write(f"chitlaq: {error}\n")
        sys.exit(1)
    except SystemExit as end:
        if NAGIOS in sys.argv and end.code:
            _unknown("the words were not understood; `--help` has them")
        raise
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing more can be said on it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def _unknown(reason: str) -> NoReturn:
    """End as a plugin that could not look: to Nagios 1 would be a warning, and 2 critical."""
    sys.stdout.write(f"CHITLAQ UNKNOWN - {' '.join(reason.split()).replace('|', '/')}\n")
    sys.exit(NAGIOS_UNKNOWN)


if __name__ == "__main__":
    main()
