"""State of search-service's handlers."""

from __future__ import annotations

from chitlaq.core.data.postgres import Database
from chitlaq.core.data.standbys import Standbys
from chitlaq.core.http.service import ServiceState
from chitlaq.services.search.history.history import History
from chitlaq.services.search.members.common import Common
from chitlaq.services.search.texts.forms import Lexicon


class SearchState(ServiceState):
    database: Database
    standbys: Standbys
    history: History
    common: Common
    lexicon: Lexicon
