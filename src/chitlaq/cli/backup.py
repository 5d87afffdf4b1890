"""Backups: ``chitlaq backup run``, ``list``, ``verify``, ``drill``, ``restore``, ``prune``, ``status`` …"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chitlaq.cli import history_db, installation, output
from chitlaq.cli.ops import NOT_WELL
from chitlaq.core.errors import OperatorError

if TYPE_CHECKING:
    from chitlaq.backups.catalog.records import Catalog, ProofResult, Record
    from chitlaq.backups.context import BackupContext
    from chitlaq.backups.daily import StepOutcome
    from chitlaq.backups.restore.plan import RestorePlan, RestoreResult
    from chitlaq.core.installation.home import Home
    from chitlaq.core.installation.settings import Settings

backup = typer.Typer(
    name="backup",
    help="Backups that are proved: made, verified, restored into a scratch server and compared.",
    no_args_is_help=True,
)

# Of a command that could not look at a backup, and found nothing bad.
NOT_SEEN = 4
TERMINATED = 128 + signal.SIGTERM
# What the runbook counts in a restored database, and what people call it.
_COUNTED = {"auth.accounts": "users", "feed.posts": "posts"}

AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Operator = Annotated[str | None, typer.Option("--as", help="Your name, for the record.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it, and do not ask.")]
Names = Annotated[
    list[str] | None, typer.Argument(help="Backups, as `chitlaq backup list` has them.")
]


def register(app: typer.Typer) -> None:
    app.add_typer(backup)


@backup.command()
def run(
    kinds: Annotated[
        list[str] | None,
        typer.Argument(
            help="full, incremental, dump, configuration. Default: what the day asks for."
        ),
    ] = None,
    daily: Annotated[
        bool,
        typer.Option("--daily", help="Then also verify all, drill, and clear away what is old."),
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(hidden=True, help="With --daily: what was done since then is not done again."),
    ] = None,
    operator: Operator = None,
) -> None:
    """Back up now, verify what was made, and copy it elsewhere where that is set.

    Exit code 1 when something could not be made, copied or cleared away; 3 when something was found.

    Examples: chitlaq backup run · chitlaq backup run dump · chitlaq backup run --daily
    """
    from chitlaq.backups import daily as work
    from chitlaq.backups.catalog.records import KINDS

    wanted = kinds or []
    if unknown := [kind for kind in wanted if kind not in KINDS]:
        raise OperatorError(f"There is no kind {unknown[0]}: write {', '.join(KINDS)}.")
    with _at(" ".join(["run", *wanted, *(["--daily"] if daily else [])]), operator) as (
        here,
        record,
    ):
        today = datetime.now().astimezone().date()
        if daily:
            done = work.run(here, today, _tell, _moment(since, "--since") if since else None)
        else:
            chosen = [kind for kind in KINDS if kind in wanted] or work.kinds_due(here, today)
            done = work.take_backups(here, chosen, _tell)
        record(done)
    _end(done)


@backup.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all backups, and what is known of each.

    Example: chitlaq backup list
    """
    from chitlaq.backups.catalog import records as store

    home, settings = installation.current()
    folder = settings.backup_folder(home)
    found = store.read(folder)
    if as_json:
        output.print_json([_as_json(folder, record) for record in found.good])
        return
    if not found.good and not found.damaged:
        typer.echo(f"There is no backup in {folder}. `chitlaq backup run` makes one.")
        return
    output.print_table(
        ["backup", "made", "size", "verified", "restored and compared", "copied"],
        [
            [
                record.id,
                f"{record.created_at.astimezone():%Y-%m-%d %H:%M}",
                _size(record.bytes),
                _when(record.verified),
                _when(record.drilled),
                f"{record.copied.at.astimezone():%m-%d %H:%M}" if record.copied else "",
            ]
            for record in found.good
        ]
        + [
            [name, "", "", "its record is damaged: it counts for nothing", "", ""]
            for name in found.damaged
        ],
    )


@backup.command()
def status(as_json: AsJson = False) -> None:
    """Say how the backups are; exit code 3 when something is not well.

    Example: chitlaq backup status
    """
    from chitlaq.cli.ops import run_and_store
    from chitlaq.cli.run_view import rendered
    from chitlaq.ops.checks import registry

    home, settings = installation.current()
    checks = registry.named(["backup"])
    run, _ = asyncio.run(run_and_store(home, settings, "check", checks, history_db.operator(None)))
    if as_json:
        output.print_json(run)
    else:
        output.console_for_output().print(rendered(run, {}, details=False))
        typer.echo(f"\nBackups lie in {settings.backup_folder(home)}.")
        _say_what_waits(home, settings)
    if run.verdict not in {"OK", "SKIPPED"}:
        raise typer.Exit(NOT_WELL)


@backup.command()
def verify(names: Names = None, operator: Operator = None) -> None:
    """Look whether backups are still what was written; all of them when none is named.

    Example: chitlaq backup verify chitlaq_20261124T023000
    """
    from chitlaq.backups.proof import verify as work

    seen = work.AlreadyVerified()
    _judge("verify", names, operator, lambda here, record: work.verify(here, record, seen).verified)


@backup.command()
def drill(
    names: Names = None,
    database: Annotated[
        str, typer.Option(help="Its name in the scratch server, when a dump is restored.")
    ] = "chitlaq",
    operator: Operator = None,
) -> None:
    """Restore backups into a scratch server and compare; the newest of each kind when none is named.

    Example: chitlaq backup drill
    """
    from chitlaq.backups import daily
    from chitlaq.backups.proof import drill as work

    def do(here: BackupContext, record: Record) -> ProofResult | None:
        drilled = work.drill(here, record, database).drilled
        if drilled is not None and drilled.is_good and record.tables:
            # The scratch server is gone when somebody could ask it: this is its answer.
            counts = ", ".join(
                f"{record.tables[table].rows:,} {what}"
                for table, what in _COUNTED.items()
                if table in record.tables
            )
            typer.echo(f"{database} held {counts}.")
        return drilled

    _judge("drill", names, operator, do, daily.newest_to_drill)


@backup.command()
def restore(
    name: Annotated[
        str | None, typer.Argument(help="A backup; the newest that fits by default.")
    ] = None,
    to_time: Annotated[
        str | None,
        typer.Option("--to-time", help="'2026-11-24 02:15:00' or 02:15, local, or with a zone."),
    ] = None,
    timeline: Annotated[
        int | None,
        typer.Option("--timeline", help="Instead of the one that was written at that moment."),
    ] = None,
    up_to_damage: Annotated[
        bool,
        typer.Option(
            "--up-to-damage", help="Where the log is damaged, what came before is enough."
        ),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Finish one that was interrupted.")
    ] = False,
    yes: Yes = False,
    operator: Operator = None,
) -> None:
    """Put the database back: as it was last, or at a moment. What is there now is kept aside.

    Examples: chitlaq backup restore · chitlaq backup restore --to-time "2026-11-24 02:15"
    """
    from chitlaq.backups import context as places
    from chitlaq.backups.postgres import base_backup
    from chitlaq.backups.restore import plan as plans
    from chitlaq.backups.restore import restore as work

    moment = _moment(to_time) if to_time else None
    purpose = "restore" + (f" {name}" if name else "") + (f" to {moment}" if moment else "")
    home, settings = installation.current()
    here = _place(home, settings)
    try:
        begun = plans.load_pending(here)
    except plans.UnreadablePlanError:
        if resume:
            raise
        begun = None
    if resume and begun is None:
        raise OperatorError("No restore was interrupted.")
    if begun is not None and begun.is_swapping and not resume:
        raise OperatorError(
            "A restore was interrupted as it took its place: `chitlaq backup restore --resume`."
        )
    if begun is not None and resume:
        plan = begun
    else:
        with places.exclusive_lock(home, purpose):
            base_backup.reconcile(here)
        plan = plans.choose(here, name, moment, timeline, is_up_to_damage=up_to_damage)
    _show_plan(here, plan)
    if not yes and not typer.confirm("Do this?", default=False):
        raise typer.Exit(1)
    with _at(purpose, operator, is_gentle=False) as (here, record):
        work.preflight(here, plan)
        with _stopped_stack(here):
            restored = work.execute(here, plan)
        record([])
    _show_restored(restored, plan)


@backup.command()
def prune(names: Names = None, yes: Yes = False, operator: Operator = None) -> None:
    """Show which backups are old enough to go, and why others stay; delete them with --yes.

    Those that are named go whatever their age, but never the newest proved one, nor what others need.

    Examples: chitlaq backup prune --yes · chitlaq backup prune full_20261124T023000 --yes
    """
    from chitlaq.backups import daily
    from chitlaq.backups.catalog import records as store
    from chitlaq.backups.offsite import copies as elsewhere

    home, settings = installation.current()
    here = _place(home, settings)
    found = store.read(here.folder)
    named = [_named(here, found, name) for name in names or []]
    judged = daily.retention_decisions(here, datetime.now(UTC), named)
    output.print_table(
        ["backup", "size", "", "because it"],
        [
            [one.record.id, _size(one.record.bytes), "stays" if one.is_kept else "goes", one.why]
            for one in judged
        ],
    )
    gone = [one.record for one in judged if not one.is_kept]
    if not gone and not yes:
        typer.echo("\nNothing goes.")
        return
    freed = _size(sum(record.bytes for record in gone))
    if not yes:
        typer.echo(
            f"\nNothing was deleted. `chitlaq backup prune --yes` deletes {len(gone)} ({freed})."
        )
        return
    with _at(" ".join(["prune", *(names or [])]), operator) as (here, record):
        if named:
            done = [daily.delete(here, one, _tell) for one in reversed(gone)]
            copied = {one.id for one in elsewhere.known_copies(here).good}
            done += [daily.delete_copy(here, one, _tell) for one in gone if one.id in copied]
        else:
            done = daily.prune(here, datetime.now(UTC), _tell)
        record(done)
    _end(done)


@backup.command()
def discard(yes: Yes = False, operator: Operator = None) -> None:
    """Show what restores have kept aside, and delete it with --yes.

    Example: chitlaq backup discard --yes
    """
    import shutil

    from chitlaq.backups import context as places
    from chitlaq.backups.restore import restore as work

    home, settings = installation.current()
    found = work.kept_aside(_place(home, settings))
    if not found:
        typer.echo("Nothing was kept aside.")
        return
    for path in found:
        typer.echo(f"{_size(places.size_of(path)):>10}  {path}")
    if not yes:
        typer.echo("\nNothing was deleted. `chitlaq backup discard --yes` deletes it.")
        return
    with _at("discard", operator) as (_, record):
        for path in found:
            shutil.rmtree(path)
        record([])
    typer.echo("Deleted.")


@backup.command()
def key(
    file: Annotated[Path, typer.Argument(help="Where the private key is written.")],
) -> None:
    """Make a pair of keys for encrypted backups: the private one for you, the public one for here.

    Example: chitlaq backup key /media/stick/chitlaq-backup.key
    """
    from chitlaq.backups.offsite import encryption

    private, public = encryption.generate_keys()
    if file.exists():
        raise OperatorError(f"{file} is there already, and a key is never overwritten.")
    try:
        file.touch(mode=0o600)
        file.write_text(
            f"# The private key of ChitLaq's backups, made {datetime.now().astimezone():%Y-%m-%d}.\n"
            f"# Whoever has it can read them; without it nobody can.\n# public key: {public}\n{private}\n"
        )
    except OSError as error:
        raise OperatorError(f"{file} cannot be written: {error.strerror}.") from None
    home, _ = installation.current()
    typer.echo(
        f"""\
The private key is in {file}. Keep it where this machine's end does not reach it, twice: a stick
in the safe, a password manager. It opens every backup that is made from now on; it is not needed
for making them, and should not stay on this machine.

The public key goes into {home.settings_file}, and may be seen by anybody:

    [backups]
    recipients = ["{public}"]
"""
    )


@backup.command()
def fetch(
    source: Annotated[
        str, typer.Argument(help="Where copies are: /a/folder, or s3://bucket/prefix.")
    ],
    identity: Annotated[Path, typer.Option("--identity", help="The file of the private key.")],
    is_all: Annotated[
        bool, typer.Option("--all", help="Older backups too, and not only what a restore needs.")
    ] = False,
    operator: Operator = None,
) -> None:
    """Bring copies back from elsewhere, and secrets and settings that are not here.

    The newest base backup with its log, the newest dump and configuration; nothing is changed there.
    What cannot be brought is named (exit code 3), and the next newest is brought in its place.

    Example: chitlaq backup fetch s3://vault/chitlaq --identity /media/stick/chitlaq-backup.key
    """
    from dataclasses import replace

    from chitlaq.backups.daily import StepOutcome
    from chitlaq.backups.offsite import encryption
    from chitlaq.backups.offsite import fetch as work
    from chitlaq.backups.proof import verify as looking

    private = encryption.read_identity(identity)
    with (
        _at(f"fetch {source}", operator, is_gentle=False) as (here, record),
        work.open_copies(here, source, private) as copies,
    ):
        back = work.fetch_settings(here, copies)
        # They may say where backups lie.
        _, settings = installation.current()
        there = replace(here, settings=settings)
        fetched = work.fetch_backups(there, copies, is_all=is_all)
        seen = looking.AlreadyVerified()
        done = [
            StepOutcome(f"fetch {name}", is_good=False, detail=why, seconds=0.0)
            for name, why in copies.failed.items()
        ]
        for one in done:
            _tell(one)
        for backup_ in fetched:
            verdict = looking.verify(there, backup_, seen).verified
            assert verdict is not None
            what = f"verify {backup_.id}"
            done.append(StepOutcome(what, verdict.is_good, verdict.detail, verdict.seconds))
            _tell(done[-1])
        record(done)
    typer.echo(f"{len(fetched)} backups are in {there.folder}.")
    if back:
        typer.echo(f"Settings and secrets that were not here: {len(back)} files put back.")
    typer.echo("Next: `chitlaq backup restore`.")
    if settings.backups.copy_to:
        typer.echo(
            f"Nothing is copied from here to {settings.backups.copy_to}, which is another machine's."
            " When this one takes its place for good: `chitlaq backup take-over`."
        )
    _end(done)


@backup.command("take-over")
def take_over(yes: Yes = False, operator: Operator = None) -> None:
    """Make the place of copies this machine's own, when it takes the place of the one before.

    Until then nothing is copied or deleted there: a rehearsal of the worst day must not touch the copies
    of the machine that lives.

    Example: chitlaq backup take-over
    """
    from chitlaq.backups import context as places
    from chitlaq.backups.offsite import copies as elsewhere

    _, settings = installation.current()
    where = settings.backups.copy_to
    if not where:
        raise OperatorError("No place for copies is set: backups.copy_to.")
    typer.echo(f"The machine that copied to {where} until now will be refused there.")
    if not yes and not typer.confirm("Is it gone for good?", default=False):
        raise typer.Exit(1)
    with _at("take-over", operator) as (here, record):
        with places.wal_lock(here.home):
            elsewhere.take_over(here)
        record([])
    typer.echo(f"{where} is this machine's. Next: `chitlaq backup run`.")


@backup.command(hidden=True)
def archive(
    send: Annotated[
        bool, typer.Option("--send", help="Also what is in a segment that is not full yet.")
    ] = False,
    operator: Operator = None,
) -> None:
    """Move what was received to the archive, and copy it elsewhere: done by ops-service."""
    from chitlaq.backups import context as places
    from chitlaq.backups.offsite import copies as elsewhere
    from chitlaq.backups.postgres import base_backup

    home, settings = installation.current()
    here = _place(home, settings)
    try:
        if send:
            base_backup.switch_segment(here)
        with places.exclusive_lock(home, "archive", places.WAL_LOCK):
            count = base_backup.archive_wal(here)
            copied = elsewhere.copy_wal(here) if settings.backups.copy_to else 0
    except places.BusyError as busy:
        # Whoever is at the log does it, too.
        typer.echo(str(busy))
        return
    typer.echo(f"{count} archived, {copied} copied, by {history_db.operator(operator)}")


def _judge(
    what: str,
    names: Sequence[str] | None,
    operator: str | None,
    look: Callable[[BackupContext, Record], ProofResult | None],
    chosen: Callable[[BackupContext], list[Record]] | None = None,
) -> None:
    from chitlaq.backups.catalog import records as store
    from chitlaq.backups.daily import StepOutcome
    from chitlaq.backups.errors import InconclusiveError

    with _at(" ".join([what, *(names or [])]), operator) as (here, record):
        found = store.read(here.folder)
        wanted = (
            [_named(here, found, name) for name in names]
            if names
            else (chosen(here) if chosen else list(found.good))
        )
        if not wanted:
            raise OperatorError(f"There is no backup in {here.folder}: `chitlaq backup run`.")
        done = []
        for one in wanted:
            try:
                verdict = look(here, one)
                assert verdict is not None
                outcome = StepOutcome(
                    f"{what} {one.id}", verdict.is_good, verdict.detail, verdict.seconds
                )
            except InconclusiveError as error:
                outcome = StepOutcome(
                    f"{what} {one.id}", False, str(error), 0.0, is_conclusive=False
                )
            done.append(outcome)
            _tell(outcome)
        record(done)
    _end(done)


def _named(here: BackupContext, found: Catalog, name: str) -> Record:
    """A backup by its id, or by a file that is it or is the same.

    Raises:
        OperatorError: there is none, or the file is another.
    """
    record = found.get(name)
    if record is not None:
        return record
    path = Path(name)
    suffix = next((one for one in (".sql", ".tar.gz") if name.endswith(one)), "")
    if not path.exists():
        if "/" in name or suffix:
            raise OperatorError(f"There is no file {path.absolute()}.")
        raise OperatorError(
            f"Nothing is known of {name}: `chitlaq backup list` shows what there is."
        )
    file = path.resolve()
    for record in found.good:
        if file == (here.folder / record.path).resolve():
            return record
    record = _same(found, file) if file.is_file() else None
    if record is None:
        raise OperatorError(
            f"{file} is none of the backups that records know, byte by byte: nothing was written down"
            " of it when it was made, or it has changed since. It cannot be proved."
        )
    typer.echo(
        f"{file} is the same, byte by byte, as {here.folder / record.path}, which is looked at."
    )
    return record


def _same(found: Catalog, file: Path) -> Record | None:
    """The backup whose file was, when it was made, what a file elsewhere is."""
    from chitlaq.backups.catalog import records as store

    digest = store.digest(file)
    return next((one for one in found.of("dump", "configuration") if one.sha256 == digest), None)


@contextmanager
def _at(
    what: str, operator: str | None, *, is_gentle: bool = True
) -> Iterator[tuple[BackupContext, Callable[[Sequence[StepOutcome]], None]]]:
    """Hold the lock of the backups, show progress, and keep a record of what was done.

    Where it is not gentle nothing may wait, and nobody else may be at the log either.
    """
    from chitlaq.backups import context as places

    if is_gentle:
        places.lower_priority()
    # Whoever ends this process (ops-service does, when it stops) ends it with what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    home, settings = installation.current()
    with (
        places.exclusive_lock(home, what),
        nullcontext() if is_gentle else places.wal_lock(home),
        _recorded(home, settings, what, operator) as record,
        output.progress(enabled=True, unit="bytes") as advance,
    ):
        yield places.BackupContext(home, settings, advance), record


@contextmanager
def _recorded(
    home: Home, settings: Settings, what: str, operator: str | None
) -> Iterator[Callable[[Sequence[StepOutcome]], None]]:
    """Write down who does what, when it begins and what became of it."""
    from chitlaq.ops.actions import catalogue as actions

    def keep(done: actions.ActionRecord) -> None:
        async def kept() -> None:
            async with history_db.database(home, settings) as database:
                await actions.keep(database, home, done)

        try:
            asyncio.run(kept())
        except OperatorError:
            # A new machine has no secrets yet to open PostgreSQL with.
            actions.enqueue(home, done)

    begun = actions.begun("backup", what, history_db.operator(operator), "")
    keep(begun)
    outcomes: list[StepOutcome] = []
    try:
        yield outcomes.extend
    except BaseException as error:
        keep(actions.ended(begun, str(error) or repr(error), succeeded=False))
        raise
    said = "\n".join(f"{one.step}: {one.detail}" for one in outcomes) or "done"
    keep(actions.ended(begun, said, succeeded=all(one.is_good for one in outcomes)))


def _place(home: Home, settings: Settings) -> BackupContext:
    from chitlaq.backups.context import BackupContext

    return BackupContext(home, settings)


def _tell(outcome: StepOutcome) -> None:
    mark = "ok " if outcome.is_good else "BAD" if outcome.is_conclusive else "NOT LOOKED AT"
    typer.echo(f"{mark} {outcome.step}: {outcome.detail} ({outcome.seconds:.1f} s)")


def _end(done: Sequence[StepOutcome]) -> None:
    if bad := sum(not one.is_good for one in done):
        typer.echo(f"\n{bad} of {len(done)} did not go well.", err=True)
        if any(not one.is_good and not one.is_finding for one in done):
            raise typer.Exit(1)
        is_seen = any(one.is_conclusive and not one.is_good for one in done)
        raise typer.Exit(NOT_WELL if is_seen else NOT_SEEN)


def _as_json(folder: Path, record: Record) -> dict[str, Any]:
    import msgspec

    return {
        **msgspec.to_builtins(record),
        "path": str(folder / record.path),
        "verified": msgspec.to_builtins(record.verified),
    }


def _show_plan(here: BackupContext, plan: RestorePlan) -> None:
    from chitlaq.backups.catalog import records as store

    record = store.read(here.folder).get(plan.backup)
    made = f"made {record.created_at.astimezone():%Y-%m-%d %H:%M:%S}" if record else "which is gone"
    until = (
        f"and everything after it up to {plan.to_time.astimezone():%Y-%m-%d %H:%M:%S %Z}"
        if plan.to_time
        else "and everything that was archived since"
        if record and record.is_physical
        else "and nothing later: it is a dump"
    )
    typer.echo(
        f"""\
This will
  1. stop ChitLaq, if it runs;
  2. restore {plan.backup}, {made}, {until}{_along(here, record, plan)};
  3. put it in place of {here.home.postgres_data}, which is kept as {plan.aside}.
{_proof(record)}{_instead(here, record)}
"""
    )


def _instead(here: BackupContext, record: Record | None) -> str:
    """Say it where a dump is all that is left, though there are base backups."""
    from chitlaq.backups.catalog import records as store

    if record is None or record.is_physical:
        return ""
    found = store.read(here.folder)
    bad = found.of("full", "incremental")
    if not bad:
        return ""
    return f"\nThere are {len(bad)} base backups, too: `chitlaq backup list` says what is known of them."


def _along(here: BackupContext, record: Record | None, plan: RestorePlan) -> str:
    """The timeline, where there is more than one: each restore has begun another."""
    from chitlaq.backups.postgres import base_backup

    timelines = base_backup.wal_archive(here).timelines
    if record is None or not record.is_physical or len(timelines) < 2:
        return ""
    newest = ", the newest" if plan.timeline == timelines[-1] else f" of {timelines[-1]}"
    return f", along timeline {plan.timeline}{newest}"


def _proof(record: Record | None) -> str:
    """What is known of a backup that is about to be needed: the worst first."""
    if record is None:
        return ""
    looks = [look for look in (record.drilled, record.verified) if look is not None]
    bad = sorted((look for look in looks if not look.is_good), key=lambda look: look.at)
    if bad:
        when = f"{bad[-1].at.astimezone():%Y-%m-%d %H:%M}"
        return f"IT IS KNOWN TO BE BAD, since {when}: {bad[-1].detail}"
    if record.drilled is not None:
        when = f"{record.drilled.at.astimezone():%Y-%m-%d %H:%M}"
        return f"It was restored for a trial at {when}, and was the same, in {record.drilled.seconds:.0f} s."
    if record.verified is not None:
        return f"It was unchanged at {record.verified.at.astimezone():%Y-%m-%d %H:%M}."
    return "Nobody has looked at it since it was made."


def _show_restored(restored: RestoreResult, plan: RestorePlan) -> None:
    typer.echo(f"Restored from {restored.backup}: {restored.rows:,} rows.")
    for note in restored.notes:
        typer.echo(note)
    if restored.last_commit is not None:
        typer.echo(
            f"The last change in it is from {restored.last_commit.astimezone():%Y-%m-%d %H:%M:%S %Z}."
        )
    if restored.damage:
        typer.echo(f"{restored.damage} What was written after that is not there.")
    elif not restored.is_as_asked:
        typer.echo("The log ends there: it has no later change from before the moment asked for.")
    if restored.aside:
        typer.echo(f"What was there is in {restored.aside}; `chitlaq backup discard` deletes it.")
        if plan.left is not None:
            typer.echo(f"`chitlaq backup restore --timeline {plan.left}` goes back to it.")
    typer.echo("Next: `chitlaq up`, look at it, then `chitlaq backup run full`.")


def _say_what_waits(home: Home, settings: Settings) -> None:
    from chitlaq.backups.restore import plan as plans
    from chitlaq.backups.restore import restore as work

    here = _place(home, settings)
    if plans.is_pending(here):
        typer.echo("A restore was interrupted: `chitlaq backup restore --resume`.")
    if work.kept_aside(here):
        typer.echo("Restores have kept what was there before: `chitlaq backup discard`.")


@contextmanager
def _stopped_stack(here: BackupContext) -> Iterator[None]:
    """Stop ChitLaq, so that nobody writes to what is being replaced; say what to do when that fails.

    Raises:
        OperatorError: it runs, and could not be stopped.
    """
    from chitlaq.backups.restore import plan as plans
    from chitlaq.stack.supervisor import control

    try:
        control.ask(here.home, control.Stop())
        typer.echo("ChitLaq is stopped.")
    except control.NotRunningError:
        pass
    try:
        yield
    except BaseException:
        if plans.is_pending(here):
            typer.echo(
                "ChitLaq is down: `chitlaq backup restore --resume` finishes this.", err=True
            )
        elif here.home.postgres_data.exists():
            typer.echo("ChitLaq is down: `chitlaq up` starts what was there.", err=True)
        raise


def _moment(text: str, option: str = "--to-time") -> datetime:
    """A moment as people write it: a day and a time, or a time of today; local, or with a zone.

    Raises:
        OperatorError: it is none, or not yet.
    """
    found = re.fullmatch(
        r"(?:(\d{4}-\d\d-\d\d)[ T])?(\d\d:\d\d(?::\d\d(?:[.,]\d{1,6})?)?) ?(Z|[+-]\d\d(?::?\d\d)?)?",
        text.strip(),
    )
    try:
        if found is None:
            raise ValueError
        day = found[1] or f"{datetime.now().astimezone():%Y-%m-%d}"
        moment = datetime.fromisoformat(f"{day} {found[2]}{found[3] or ''}").astimezone()
    except ValueError:
        raise OperatorError(
            f"{option} is {text!r}: write '2026-11-24 02:15:00', '2026-11-24 02:15' or '02:15' (today),"
            " in this machine's time zone; or with another, as in '2026-11-24 02:15:00+01:00' or"
            " '2026-11-24T02:15:00Z'."
        ) from None
    if moment > datetime.now(UTC) + timedelta(minutes=1):
        raise OperatorError(f"{text} ({moment:%Y-%m-%d %H:%M:%S %Z}) is not yet.")
    return moment


def _size(bytes_: int) -> str:
    from chitlaq.core.formatting import size

    return size(bytes_)


def _when(verdict: ProofResult | None) -> str:
    if verdict is None:
        return "never"
    when = f"{verdict.at.astimezone():%m-%d %H:%M}"
    return when if verdict.is_good else f"BAD {when}: {verdict.detail}"
