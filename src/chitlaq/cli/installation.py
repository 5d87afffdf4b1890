"""The installation that a command works on: the home in the environment, and its settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from chitlaq.core.errors import OperatorError

if TYPE_CHECKING:
    from chitlaq.core.installation.home import Home
    from chitlaq.core.installation.settings import Settings


def configured() -> tuple[Home, Settings]:
    """Return home and settings, as the file and the environment have them now.

    Raises:
        OperatorError: a path or a setting is invalid.
    """
    from chitlaq.core.installation import settings_loading
    from chitlaq.core.installation.home import Home

    home = Home.from_environment()
    return home, settings_loading.load(home)


def _say(text: str) -> None:
    sys.stderr.write(f"chitlaq: {text}\n")


def current(say: Callable[[str], None] = _say) -> tuple[Home, Settings]:
    """Return home and settings; while these are invalid, those that the running stack has.

    A typo in the file must not keep operators from the stack, nor a service from coming back. What the
    supervisor starts has all that takes a start of everything as the others have it.

    Args:
        say: told why other settings than the file's are used; by default on standard error.

    Raises:
        OperatorError: a path or a setting is invalid, and no stack runs.
    """
    from chitlaq.core.installation.home import Home
    from chitlaq.core.installation.setting_effects import SUPERVISED

    home = Home.from_environment()
    try:
        home, settings = configured()
        is_supervised = os.environ.get(SUPERVISED) == str(home.root)
        return home, as_running(home, settings) if is_supervised else settings
    except OperatorError as error:
        from chitlaq.stack.supervisor import control

        try:
            settings = control.settings_in_effect(home)
        except OperatorError:
            raise error from None
        say(f"{error} Until that is corrected, the settings of the running stack are used.")
        return home, settings


def as_running(home: Home, settings: Settings) -> Settings:
    """Return settings in which what takes a start of everything is as a running stack has it."""
    from chitlaq.core.installation.setting_effects import as_started
    from chitlaq.stack.supervisor import control

    try:
        return as_started(settings, control.settings_in_effect(home))
    except OperatorError:  # it starts, or is of a version that does not say it
        return settings
