"""Seeding as the commands use it: of an installation, with its password."""

from __future__ import annotations

import asyncpg
import msgspec

from chitlaq.core import postgres
from chitlaq.core.home import Home
from chitlaq.core.secrets import Secrets
from chitlaq.core.settings import Settings
from chitlaq.seed import seeding
from chitlaq.seed.copying import Progress
from chitlaq.seed.seeding import SeedReport


class Seeding(msgspec.Struct, frozen=True):
    """How much is wanted; the same seed makes the same data."""

    members: int
    posts: int
    seed: int


async def seed(
    settings: Settings, home: Home, wanted: Seeding, *, replace: bool, progress: Progress
) -> SeedReport:
    """Fill the installation's database with demo data.

    Raises:
        OperatorError: it has members, and they are not to be replaced.
    """
    return await seeding.seed(
        postgres.dsn(settings, home, postgres.OWNER),
        members=wanted.members,
        posts=wanted.posts,
        seed=wanted.seed,
        password=Secrets(home.secrets).demo_password,
        progress=progress,
        replace=replace,
    )


async def members_there(settings: Settings, home: Home) -> int:
    connection = await asyncpg.connect(postgres.dsn(settings, home, postgres.OWNER), timeout=5)
    try:
        count: int = await connection.fetchval("SELECT count(*) FROM auth.accounts")
        return count
    finally:
        await connection.close()


async def at_first_start(settings: Settings, home: Home, members: int) -> None:
    """Give an empty embedded database its demo; leave a real one, and one in use, alone."""
    if not settings.demo or settings.database_url or await members_there(settings, home):
        return
    wanted = Seeding(members, members * seeding.POSTS_PER_MEMBER, seed=1)
    await seed(settings, home, wanted, replace=False, progress=lambda _stage, _done, _total: None)


def described(report: SeedReport) -> str:
    """What was made, in words."""
    names = ", ".join(account.username for account in report.accounts)
    return (
        f"{report.members:,} members of {report.universities} universities with"
        f" {report.follows:,} follows, {report.posts:,} posts ({report.replies:,} of them replies),"
        f" {report.likes:,} likes and {report.tags:,} tags, in {report.seconds:g} s.\n"
        f"Log in as {names}; the password is in the secrets' file demo-password."
    )
