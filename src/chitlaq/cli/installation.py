"""The installation that a command works on: the home in the environment, and its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chitlaq.core.installation.home import Home
    from chitlaq.core.installation.settings import Settings


def current() -> tuple[Home, Settings]:
    """Return home and settings.

    Raises:
        OperatorError: a path or a setting is invalid.
    """
    from chitlaq.core.installation import settings_loading
    from chitlaq.core.installation.home import Home

    home = Home.from_environment()
    return home, settings_loading.load(home)
