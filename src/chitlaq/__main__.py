"""The command ``chitlaq``."""

from __future__ import annotations

import os
import sys

from chitlaq.core.errors import OperatorError


def main() -> None:
    """Run the command; what an operator can mend is said in one sentence, with exit code 1."""
    from chitlaq.cli.app import app

    try:
        app()
    except OperatorError as error:
        sys.stderr.write(f"chitlaq: {error}\n")
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing more can be said on it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


if __name__ == "__main__":
    main()
