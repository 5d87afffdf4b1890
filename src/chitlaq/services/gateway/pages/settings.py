"""The pages of settings: of which parts each is made.

Each is rendered here alone. Its forms say what they ask of the API (``data-ask``), and
`static/app/views/settings/forms.js` asks it.
"""

from __future__ import annotations

from typing import Final

from chitlaq.services.gateway.pages.reading import Read
from chitlaq.services.gateway.pages.screens import FEED, SEARCH, WEBSOCKET, Screen

AUTH = "auth-service"
INDEX = Screen("settings/index", is_for_members=True)
APPEARANCE = Screen("settings/appearance")
SHORTCUTS = Screen("settings/shortcuts", is_for_members=True)
SECTIONS: Final = {
    name: Screen(f"settings/{name}", parts, is_for_members=True)
    for name, parts in {
        "privacy": {
            "mine": Read(FEED, "/users/me"),
            "privacy": Read(FEED, "/users/me/privacy"),
            "shown": Read(WEBSOCKET, "/conversations/privacy"),
        },
        "profile": {"mine": Read(FEED, "/users/me")},
        "notifications": {"told": Read(WEBSOCKET, "/notifications/settings")},
        "security": {
            "account": Read(AUTH, "/auth/status"),
            "factors": Read(AUTH, "/auth/factors"),
        },
        "sessions": {
            "devices": Read(AUTH, "/auth/sessions?limit=100&cursor={devices}"),
            "audit": Read(AUTH, "/auth/audit?limit=20&cursor={audit}"),
        },
        "blocked": {
            "blocks": Read(FEED, "/users/me/blocks?limit=100&cursor={blocks}"),
            "mutes": Read(FEED, "/users/me/mutes?limit=100&cursor={mutes}"),
            "words": Read(FEED, "/users/me/muted-words"),
            "tags": Read(FEED, "/users/me/muted-tags"),
            "threads": Read(FEED, "/users/me/muted-threads?limit=100&cursor={threads}"),
        },
        "searches": {
            "history": Read(SEARCH, "/search/history/settings"),
            "searches": Read(SEARCH, "/search/history?limit=100&cursor={searches}"),
        },
        "export": {"exports": Read(AUTH, "/auth/export")},
        "delete": {"account": Read(AUTH, "/auth/status")},
    }.items()
}
"""By the last part of their address; appearance is for strangers, too."""
LISTS: Final = ("devices", "audit", "blocks", "mutes", "threads", "searches")
"""Parts that go on: each from the cursor that the address has under its name."""
