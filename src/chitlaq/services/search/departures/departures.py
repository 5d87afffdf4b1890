"""The search history: as a member gets it. It is erased with the account, by its foreign keys."""

from __future__ import annotations

from chitlaq import inventory
from chitlaq.core.data.member_data import Contribution, Exported

CONTRIBUTION = Contribution(
    inventory.COMPONENTS["search-service"].role,
    (
        Exported("history", "What you searched for", "export_history"),
        Exported("settings", "Whether that is kept", "export_search_settings"),
    ),
    not_exported={
        "search.members": "numbers made of the profile, and the day of the latest public post; feed-service"
        " exports both"
    },
)
