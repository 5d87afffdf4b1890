"""The pages of settings: of which parts each is made.

Each is rendered here alone. Its forms say what they ask of the API (``data-ask``), and
`static/app/views/settings/forms.js` asks it.
"""

from __future__ import annotations

from typing import Final

from chitlaq.services.gateway.pages.reading import Read
from chitlaq.services.gateway.pages.screens import FEED, SEARCH, Screen

INDEX = Screen("settings/index", is_for_members=True)
APPEARANCE = Screen("settings/appearance")
SHORTCUTS = Screen("settings/shortcuts", is_for_members=True)
SECTIONS: Final = {
    name: Screen(f"settings/{name}", parts, is_for_members=True)
    for name, parts in {
        "privacy": {
            "mine": Read(FEED, "/users/me"),
            "privacy": Read(FEED, "/users/me/privacy"),
            "history": Read(SEARCH, "/search/history/settings"),
        },
    }.items()
}
"""By the last part of their address; appearance is for strangers, too."""
