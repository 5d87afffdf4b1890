"""``chitlaq search``: why a search finds whom it finds, and writing its index anew."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from chitlaq.cli import data, installation, output
from chitlaq.core.errors import OperatorError
from chitlaq.core.formatting import count
from chitlaq.core.visible import one_line, visible

if TYPE_CHECKING:
    from chitlaq.services.search.members.explaining import Explanation
    from chitlaq.services.search.posts.explaining import TextExplanation
    from chitlaq.services.search.reindexing import Reindexed

search = typer.Typer(
    no_args_is_help=True, help="Search: why it finds whom it finds, and its index."
)

PACKAGE = "chitlaq.services.search.members"
POSTS = "chitlaq.services.search.posts"
TEXTS = "chitlaq.services.search.texts"


def register(app: typer.Typer) -> None:
    app.add_typer(search, name="search")


@search.command()
def explain(
    query: Annotated[str, typer.Argument(help="What is typed.")],
    viewer: Annotated[
        str | None, typer.Option("--as", help="Search as this member; else as somebody signed out.")
    ] = None,
    posts: Annotated[
        bool, typer.Option("--posts", help="Explain a search for posts, not for members.")
    ] = False,
    as_json: output.AsJson = False,
) -> None:
    """Say why a search finds what it finds: what was folded, which indexes, which order.

    Example: chitlaq search explain "mueler juergen" --as ada
    """
    who: UUID | None = None
    if viewer:
        rows = data.fetch("SELECT id FROM feed.members WHERE username = lower($1)", viewer)
        if not rows:
            raise OperatorError(f"There is no member {visible(viewer)}.")
        who = rows[0]["id"]
    if posts:
        explained = asyncio.run(_explained_posts(who, query))
        if as_json:
            output.print_json(explained)
        else:
            _print_posts(explained)
        return
    found = asyncio.run(_explained(who, query))
    if as_json:
        output.print_json(found)
    else:
        _print(found)


@search.command()
def reindex(
    new: Annotated[
        bool, typer.Option("--new", help="Begin anew, also if a run was interrupted.")
    ] = False,
    as_json: output.AsJson = False,
) -> None:
    """Write the index anew while the system runs; an interrupted run is continued.

    Example: chitlaq search reindex
    """
    done = asyncio.run(_reindexed(is_new=new, is_quiet=as_json))
    if as_json:
        output.print_json(done)
    else:
        typer.echo(
            f"{count(done.members, 'member')}, {count(done.words, 'word')}, {count(done.tags, 'tag')},"
            f" {count(done.posts, 'post')} and {count(done.messages, 'message')} are indexed;"
            f" {done.removed} words and tags that nobody has are gone."
        )


async def _explained(viewer: UUID | None, text: str) -> Explanation:
    from chitlaq import inventory
    from chitlaq.core.data import postgres
    from chitlaq.services.search.members import explaining

    home, settings = installation.current()
    role = inventory.COMPONENTS["search-service"].role
    url = postgres.dsn(settings, home, role)
    queries = postgres.load_queries(PACKAGE, "search-explain")
    database = postgres.Database(url, "search-explain", queries)
    try:
        return await explaining.explain(database, viewer, text)
    finally:
        await database.close()


async def _explained_posts(viewer: UUID | None, text: str) -> TextExplanation:
    from chitlaq import inventory
    from chitlaq.core.data import postgres
    from chitlaq.services.search.posts import explaining

    home, settings = installation.current()
    url = postgres.dsn(settings, home, inventory.COMPONENTS["search-service"].role)
    queries = postgres.load_queries(POSTS, "search-explain", TEXTS, PACKAGE)
    database = postgres.Database(url, "search-explain", queries)
    try:
        return await explaining.explain(database, viewer, text)
    finally:
        await database.close()


async def _reindexed(*, is_new: bool, is_quiet: bool) -> Reindexed:
    from chitlaq.core.data import postgres
    from chitlaq.services.search import reindexing

    home, settings = installation.current()
    async with postgres.connection(postgres.dsn(settings, home, postgres.OWNER)) as connection:
        with output.progress(enabled=not is_quiet) as advance:
            return await reindexing.reindex(connection, advance, is_new=is_new)


def _print(found: Explanation) -> None:
    typer.echo(f"folded: {one_line(found.folded)}")
    if not found.ways:
        typer.echo("It has no words, so it finds nobody.")
    for number, way in enumerate(found.ways, start=1):
        typer.echo(
            f"\n{number}. {way.why}: {count(way.found, 'member')}{' or more' if way.is_cut else ''}"
            f" in {way.milliseconds} ms"
        )
        output.print_table(
            ("word", "romanized", "sound", "keys", "uses", "means"),
            [
                (
                    word.folded,
                    word.romanized,
                    word.sound,
                    word.keys,
                    word.uses,
                    " ".join(word.means),
                )
                for word in way.words
            ],
        )
        output.print_table(
            ("points", "fame", "activity", "last public post", "username", "name"),
            [
                (p.points, p.fame, p.activity, p.active_on, p.username, p.display_name)
                for p in way.members
            ],
        )
        _print_indexes(way.indexes)


def _print_indexes(indexes: Mapping[str, int]) -> None:
    read = (f"{name} ({count(times, 'time')})" for name, times in indexes.items())
    typer.echo(f"  indexes: {', '.join(read)}")


def _print_posts(found: TextExplanation) -> None:
    output.print_table(
        ("typed", "words", "also found by", "operator"),
        [
            (one_line(one.text), " ".join(one.words), " ".join(one.forms), one.operator)
            for one in found.terms
        ],
    )
    for ignored in found.ignored:
        typer.echo(f"ignored: {one_line(ignored.text)} ({ignored.reason})")
    for number, way in enumerate(found.ways, start=1):
        typer.echo(
            f"\n{number}. {way.why}: {count(way.found, 'post')}{' or more' if way.is_cut else ''}"
            f" in {way.milliseconds} ms"
        )
        typer.echo(f"  asked of the index of words: {way.wanted or 'whatever was written'}")
        if way.checked:
            typer.echo(f"  looked at in each: {way.checked}")
        output.print_table(
            ("points", "username", "text"),
            [(one.points, one.username, one_line(one.text)[:80]) for one in way.posts],
        )
        _print_indexes(way.indexes)
