"""Messages by what they say over HTTP."""

from __future__ import annotations

from litestar import get

from chitlaq.core.http.identity import Identity
from chitlaq.core.http.paging import Cursor, PageLimit, PageNumber, Paging
from chitlaq.core.http.schemas import without_nul
from chitlaq.services.search.messages import FoundMessage
from chitlaq.services.search.messages.messages import MESSAGES
from chitlaq.services.search.pages import FoundPage
from chitlaq.services.search.state import SearchState
from chitlaq.services.search.texts import finding
from chitlaq.services.search.texts.cursors import Place
from chitlaq.services.search.texts.parameters import QueryText, SortOrder


@get(
    "/search/messages", is_expensive=True, summary="Messages of your conversations by what they say"
)
async def find_messages(
    q: QueryText,
    member: Identity,
    state: SearchState,
    sort: SortOrder = "relevance",
    page: PageNumber = 1,
    limit: PageLimit = 20,
    cursor: Cursor = None,
) -> FoundPage[FoundMessage]:
    who, text = member.account_id, without_nul("q", q)
    place = Place.of(cursor) if cursor else None
    search = finding.search(MESSAGES, state.database, state.lexicon, who, text, sort)
    found = await search.page(Paging.of(page, limit), place)
    if page == 1 and place is None:
        state.history.remember(who, q)
    return found
