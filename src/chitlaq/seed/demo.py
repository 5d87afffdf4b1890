"""Seed an installation, with its demo password."""

from __future__ import annotations

import msgspec

from chitlaq.core.data import postgres
from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Settings
from chitlaq.seed import seeding
from chitlaq.seed.copying import Progress
from chitlaq.seed.seeding import SeedReport


class Seeding(msgspec.Struct, frozen=True):
    """The size of a demo; the same seed makes the same data."""

    members: int
    posts: int
    seed: int


async def seed(
    settings: Settings, home: Home, wanted: Seeding, *, replace: bool, progress: Progress
) -> SeedReport:
    """Fill the installation's database with demo data, unless it already holds exactly that.

    Raises:
        OperatorError: it has other members, and ``replace`` is false.
    """
    before = await _last_report(settings, home, wanted)
    if before is not None and not replace:
        return before
    report = await seeding.seed(
        postgres.dsn(settings, home, postgres.OWNER),
        members=wanted.members,
        posts=wanted.posts,
        seed=wanted.seed,
        password=Secrets(home.secrets).demo_password,
        progress=progress,
        replace=replace,
    )
    _announce(home, report)
    return report


async def members_there(settings: Settings, home: Home) -> int:
    async with postgres.connection(postgres.dsn(settings, home, postgres.OWNER)) as connection:
        count: int = await connection.fetchval(
            "SELECT count(*) FROM auth.accounts WHERE NOT is_synthetic"
        )
        return count


async def at_first_start(settings: Settings, home: Home, members: int) -> None:
    """Seed an embedded database that is empty; never an external one."""
    if not settings.demo or settings.database_url:
        return
    if await members_there(settings, home):
        before = await _last_report(settings, home, None)
        if before is not None:
            _announce(home, before)
        return
    wanted = Seeding(members, members * seeding.POSTS_PER_MEMBER, seed=1)
    await seed(settings, home, wanted, replace=False, progress=lambda _stage, _done, _total: None)


async def _last_report(settings: Settings, home: Home, wanted: Seeding | None) -> SeedReport | None:
    """The report of the last seeding, if there was one and it was ``wanted``."""
    async with postgres.connection(postgres.dsn(settings, home, postgres.OWNER)) as connection:
        row = await connection.fetchrow(
            "SELECT members, posts, seed, report FROM demo.seedings ORDER BY id DESC LIMIT 1"
        )
    if row is None or (wanted and Seeding(row["members"], row["posts"], row["seed"]) != wanted):
        return None
    return msgspec.json.decode(row["report"], type=SeedReport)


def _announce(home: Home, report: SeedReport) -> None:
    """Write the demo accounts to where `chitlaq up` reads them."""
    home.run.mkdir(parents=True, exist_ok=True)
    known = {"password": Secrets(home.secrets).demo_password, "accounts": report.accounts}
    # Not durable: written at each start.
    content = msgspec.json.encode(known)
    files.write(home.run / "demo.json", content, mode=0o600, is_durable=False)


def described(report: SeedReport) -> str:
    """A summary of the demo data."""
    names = ", ".join(account.username for account in report.accounts)
    return (
        f"{report.members:,} members of {report.universities} universities with"
        f" {report.follows:,} follows, {report.posts:,} posts ({report.replies:,} of them replies),"
        f" {report.likes:,} likes and {report.tags:,} tags, {report.messages:,} messages in"
        f" {report.conversations:,} conversations, in {report.seconds:g} s.\n"
        f"Log in as {names}; the password is in the secrets' file demo-password."
    )
