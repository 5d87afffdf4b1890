"""Posts as JSON: what a query decided for a viewer, joined with what each post says.

A row of the query holds ids, versions, counters and flags (`Row`, the first columns of
``feed.readable_posts``). What the post and its author's card say comes from a cache of encoded fragments
by id and version; what is not there is read once for all who ask at that moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, product
from typing import Any, NamedTuple, cast
from uuid import UUID

import msgspec

from chitlaq.core.data.batching import Batcher
from chitlaq.core.data.postgres import Database
from chitlaq.core.http.paging import Page, Paging, cursor_after
from chitlaq.core.http.pictures import Picture
from chitlaq.services.feed.fragments import Fragments
from chitlaq.services.feed.schemas import Author, Poll, PollOption, Post, PostContent

MAX_CONTENT_BYTES = 64 * 2**20
MAX_AUTHOR_BYTES = 16 * 2**20

TRIES = 3


class Row(NamedTuple):
    """What is decided for a viewer, as queries return it: they may leave out the last three."""

    id: UUID
    version: int
    author_id: UUID
    author_version: int
    quote_of: UUID | None
    has_poll: bool
    likes: int
    replies: int
    reposts: int
    liked: bool
    reposted: bool
    bookmarked: bool
    # The id by which the list is sorted, if it is not the post's.
    entry: UUID | None = None
    reposter_id: UUID | None = None
    reposter_version: int = 0


COLUMNS = Row._fields.index("entry")

Quotes = Mapping[tuple[UUID, UUID], bytes]
"""What is quoted, by who quotes it and its id."""


class Rendering:
    """Makes JSON of posts."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._contents = Fragments(MAX_CONTENT_BYTES)
        self._authors = Fragments(MAX_AUTHOR_BYTES)
        self._reading_contents = Batcher(self._read_contents)
        self._reading_authors = Batcher(self._read_authors)

    async def page(self, viewer: UUID | None, rows: Sequence[Any], paging: Paging) -> Page[Post]:
        """Make a page of the rows of a `Paging.window`."""
        posts = await self.posts(viewer, rows[: paging.limit])
        return Page(posts, paging.page, paging.limit, _next(rows, paging))

    async def page_json(self, viewer: UUID, rows: Sequence[Any], paging: Paging) -> bytes:
        """Make the same page as the bytes of its response."""
        posts = await self.encoded(viewer, rows[: paging.limit])
        cursor = _next(rows, paging)
        return b'{"items":[%b],"page":%d,"limit":%d,"next_cursor":%b}' % (
            b",".join(posts),
            paging.page,
            paging.limit,
            b"null" if cursor is None else b'"%b"' % cursor.encode(),
        )

    async def post(self, viewer: UUID | None, row: Any) -> Post:
        """Return one post."""
        return (await self.posts(viewer, [row]))[0]

    async def posts(self, viewer: UUID | None, rows: Sequence[Any]) -> Sequence[Post]:
        """Return posts for a response, in the rows' order; encoded already, which the type does not say."""
        encoded = await self.encoded(viewer, rows)
        return cast("Sequence[Post]", [msgspec.Raw(each) for each in encoded])

    async def encoded(self, viewer: UUID | None, rows: Sequence[Any]) -> list[bytes]:
        """Return the JSON of each post, in the rows' order.

        Args:
            viewer: who sees them, for the posts that they quote.
            rows: as `Row`.
        """
        return (await self._shown(viewer, rows))[1]

    async def by_id(self, viewer: UUID | None, ids: Sequence[UUID]) -> Mapping[UUID, Post]:
        """Return those of these posts that the viewer may read, by id, encoded as in `posts`."""
        rows = await self._database.rows("readable", viewer, ids)
        shown, posts = await self._shown(viewer, rows)
        encoded = cast("Sequence[Post]", [msgspec.Raw(each) for each in posts])
        return {row[0]: post for row, post in zip(shown, encoded, strict=True)}

    async def _shown(
        self, viewer: UUID | None, rows: Sequence[Any]
    ) -> tuple[Sequence[Any], list[bytes]]:
        """Return the rows that can still be shown, and the JSON of each."""
        rows, contents = await self._contents_of(viewer, rows)
        cards = await self._cards_of([(row[2], row[3]) for row in rows])
        quotes = await self._quotes(viewer, rows)
        polls = await self._polls(viewer, rows)
        posts = [
            _joined(row, content, card, quotes, polls)
            for row, content, card in zip(rows, contents, cards, strict=True)
        ]
        reposts = [at for at, row in enumerate(rows) if len(row) > COLUMNS + 1 and row[COLUMNS + 1]]
        if reposts:
            cards = await self._cards_of([rows[at][COLUMNS + 1 : COLUMNS + 3] for at in reposts])
            for at, card in zip(reposts, cards, strict=True):
                repost = b',"reposted_by":{"id":"%b",%b}}' % (
                    str(rows[at][COLUMNS]).encode(),
                    card[1:-1],
                )
                posts[at] = posts[at][:-1] + repost
        return rows, posts

    def remember(self, version: int, content: PostContent) -> None:
        """Keep what a post says, since whoever wrote it knows."""
        self._contents.put(content.id, version, _inner(content))

    async def _contents_of(
        self, viewer: UUID | None, rows: Sequence[Any]
    ) -> tuple[Sequence[Any], list[bytes]]:
        """Return the rows with what each post says.

        A post that changed after it was decided upon is decided upon again, since the change may be
        about who may read it; one that keeps changing is left out.
        """
        kept = self._contents.get
        for _ in range(TRIES):
            contents = [kept(row[0], row[1]) for row in rows]
            if None not in contents:
                return rows, cast("list[bytes]", contents)
            missing = [row[0] for row, content in zip(rows, contents, strict=True) if not content]
            await self._reading_contents.ask(missing)
            changed = {row[0] for row in rows if kept(row[0], row[1]) is None}
            if changed:
                again = await self._database.rows("readable", viewer, list(changed))
                fresh = {row[0]: tuple(row) for row in again}
                rows = [
                    (*fresh[row[0]], *row[COLUMNS:]) if row[0] in changed else row
                    for row in rows
                    if row[0] not in changed or row[0] in fresh
                ]
        found = [(row, content) for row in rows if (content := kept(row[0], row[1]))]
        return [row for row, _ in found], [content for _, content in found]

    async def _cards_of(self, members: Sequence[tuple[UUID, int]]) -> list[bytes]:
        """Return the cards of members, who are given with their versions."""
        kept = self._authors.get
        cards = [kept(id_, version) for id_, version in members]
        if None not in cards:
            return cast("list[bytes]", cards)
        missing = {one[0] for one, card in zip(members, cards, strict=True) if not card}
        read = await self._reading_authors.ask(list(missing))
        return [card or read[one[0]] for one, card in zip(members, cards, strict=True)]

    async def _quotes(self, viewer: UUID | None, rows: Sequence[Any]) -> Quotes:
        """Return the JSON of the quoted posts that the viewer sees, by who quotes them and their ids."""
        quoted = {(row[2], row[4]) for row in rows if row[4] is not None}
        if not quoted:
            return {}
        found = await self._database.rows("shown_quotes", viewer, *zip(*quoted, strict=True))
        by_id = {row[1]: tuple(row)[1:] for row in found}
        decided, contents = await self._contents_of(viewer, list(by_id.values()))
        cards = await self._cards_of([(row[2], row[3]) for row in decided])
        polls = await self._polls(viewer, decided)
        posts = {
            row[0]: _joined(row, content, card, {}, polls)
            for row, content, card in zip(decided, contents, cards, strict=True)
        }
        return {(row[0], row[1]): posts[row[1]] for row in found if row[1] in posts}

    async def _polls(self, viewer: UUID | None, rows: Sequence[Any]) -> Mapping[UUID, bytes]:
        """Return the JSON of the polls of these posts, by the posts' ids."""
        asked = [row[0] for row in rows if row[5]]
        if not asked:
            return {}
        return {
            row[0]: msgspec.json.encode(_poll(row))
            for row in await self._database.rows("polls", viewer, asked)
        }

    async def _read_contents(self, asked: Sequence[list[UUID]]) -> list[None]:
        rows = await self._database.rows("post_contents", _together(asked))
        pictures = await self._pictures([row["id"] for row in rows if row["has_media"]])
        for row in rows:
            version, *columns, _ = row
            columns.append(pictures.get(row["id"], ()))
            self.remember(version, PostContent(*columns))
        return [None] * len(asked)

    async def _pictures(self, posts: list[UUID]) -> Mapping[UUID, Sequence[Picture]]:
        found: dict[UUID, list[Picture]] = {}
        for row in await self._database.rows("pictures_of_posts", posts) if posts else ():
            post_id, media_id, *columns = row
            found.setdefault(post_id, []).append(Picture.of(media_id, *columns))
        return found

    async def _read_authors(self, asked: Sequence[list[UUID]]) -> list[Mapping[UUID, bytes]]:
        cards: dict[UUID, bytes] = {}
        for row in await self._database.rows("post_authors", _together(asked)):
            id_, version, *columns = row
            cards[id_] = msgspec.json.encode(Author(*columns))
            self._authors.put(id_, version, cards[id_])
        return [cards] * len(asked)


def _joined(
    row: Any,
    content: bytes,
    card: bytes,
    quotes: Quotes,
    polls: Mapping[UUID, bytes],
) -> bytes:
    quote_of, _has_poll, likes, replies, reposts, liked, reposted, bookmarked = row[4:COLUMNS]
    return b"".join(
        (
            b'{"author":', card, b",", content,
            b',"likes":%d,"replies":%d,"reposts":%d' % (likes, replies, reposts),
            _FLAGS[liked, reposted, bookmarked],
            b',"poll":', polls.get(row[0], b"null"),
            b',"quote":', quotes.get((row[2], quote_of), b"null"), b"}",
        )
    )  # fmt: skip


_FLAGS = {
    flags: b',"liked":%b,"reposted":%b,"bookmarked":%b'
    % tuple(b"true" if flag else b"false" for flag in flags)
    for flags in product((False, True), repeat=3)
}


def _poll(row: Any) -> Poll:
    _post_id, options, votes, voters, expires_at, multiple, voted, is_ended, is_own = row
    is_shown = is_ended or is_own or voted is not None
    shown = votes if is_shown else [None] * len(options)
    listed = [PollOption(text, count) for text, count in zip(options, shown, strict=True)]
    return Poll(listed, voters, expires_at, multiple, voted, is_ended)


def _inner(content: PostContent) -> bytes:
    """Return the JSON of an object without its braces."""
    return msgspec.json.encode(content)[1:-1]


def _together(asked: Sequence[list[UUID]]) -> list[UUID]:
    return list(set(chain.from_iterable(asked)))


def _next(rows: Sequence[Any], paging: Paging) -> str | None:
    """Return the cursor that goes on after a page, whose rows may have an id of their own to be sorted by."""
    if len(rows) <= paging.limit:
        return None
    last = rows[paging.limit - 1]
    return cursor_after(last[COLUMNS] if len(last) > COLUMNS else last[0])
