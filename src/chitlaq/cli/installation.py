"""The installation that a command is about: the home that the environment names, and its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chitlaq.core.installation.home import Home
    from chitlaq.core.installation.settings import Settings


def current() -> tuple[Home, Settings]:
    """Return home and settings.

    Raises:
        OperatorError: a path or a setting that does not fit.
    """
    from chitlaq.core.installation import settings as configuration
    from chitlaq.core.installation.home import Home

    home = Home.from_environment()
    return home, configuration.load(home)
