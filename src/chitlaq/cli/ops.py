"""``chitlaq ops``: the runbook's routines, what they found, and what operators did."""

from __future__ import annotations

import asyncio
import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import history_db, installation, output
from chitlaq.core.errors import OperatorError

if TYPE_CHECKING:
    from chitlaq.core.data.postgres import Database
    from chitlaq.core.installation.home import Home
    from chitlaq.core.installation.settings import Settings
    from chitlaq.ops.checks.model import Check
    from chitlaq.ops.routines import OnResult, Result, Run

NOT_WELL = 3
# What the history has besides the runbook's routines: single checks, and `chitlaq bench --here`.
KEPT_BESIDE = ("check", "benchmark")

ops = typer.Typer(no_args_is_help=True, help="The runbook: look, judge, record, and act.")

Details = Annotated[bool, typer.Option("--details", help="Show evidence, and the same by hand.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AsNagios = Annotated[
    bool, typer.Option("--nagios", help="Print and exit as a plugin of Nagios and its kin does.")
]
AsMarkdown = Annotated[bool, typer.Option("--markdown", help="Print Markdown.")]
Operator = Annotated[
    str | None, typer.Option("--as", help="Who does this, for the record; default: the user.")
]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")]


def register(app: typer.Typer) -> None:
    app.add_typer(ops, name="ops")


def _routine_command(name: str, purpose: str) -> None:
    def command(
        details: Details = False,
        as_json: AsJson = False,
        as_nagios: AsNagios = False,
        as_markdown: AsMarkdown = False,
        operator: Operator = None,
    ) -> None:
        from chitlaq.ops import routines
        from chitlaq.ops.checks.registry import CHECKS

        checks = [CHECKS[one] for one in routines.ROUTINES[name].checks]
        _look(name, checks, operator, _Form(details, as_json, as_nagios, as_markdown))

    command.__doc__ = f"{purpose}\n\nExample: chitlaq ops {name} --details"
    ops.command(name)(command)


# As in `routines.ROUTINES`; the checks are imported only when they are run.
for _name, _purpose in {
    "morning": "Is everything there, and what happened in the night?",
    "midday": "How fast and how well are members answered?",
    "evening": "The day's summary, backups, security, and room for tomorrow.",
    "weekly": "Updates, rotation, what may be cleared away.",
    "monthly": "Speed, room and growth.",
}.items():
    _routine_command(_name, _purpose)


class _Form:
    """How a run is printed, and what its exit code says."""

    def __init__(self, details: bool, as_json: bool, as_nagios: bool, as_markdown: bool) -> None:
        if as_json + as_nagios + as_markdown > 1:
            raise typer.BadParameter("Choose one of --json, --nagios and --markdown.")
        self.details = details
        self.as_json = as_json
        self.as_nagios = as_nagios
        self.as_markdown = as_markdown

    @property
    def is_for_people(self) -> bool:
        return not (self.as_json or self.as_nagios or self.as_markdown)

    def print(self, run: Run, home: Home, settings: Settings) -> None:
        from chitlaq.ops.report import text as rendering

        if self.as_json:
            output.print_json(run)
        elif self.as_nagios:
            typer.echo(rendering.nagios(run))
        elif self.as_markdown:
            typer.echo(rendering.markdown(run), nl=False)
        else:
            from chitlaq.cli import run_view
            from chitlaq.ops.checks import registry

            known = registry.CHECKS
            commands = {
                one.check: registry.commands(known[one.check], settings, home)
                for one in run.results
                if one.check in known
            }
            output.console_for_output().print(
                run_view.rendered(run, commands, details=self.details)
            )

    def code(self, run: Run) -> int:
        from chitlaq.ops.report import text as rendering

        code = rendering.NAGIOS_CODES[run.verdict]
        return code if self.as_nagios else NOT_WELL if code else 0


@ops.command()
def check(
    names: Annotated[
        list[str], typer.Argument(help="Checks by id, or all of a kind: database, api, host.")
    ],
    details: Details = False,
    as_json: AsJson = False,
    as_nagios: AsNagios = False,
    as_markdown: AsMarkdown = False,
    operator: Operator = None,
) -> None:
    """Run single checks.

    Examples: chitlaq ops check database · chitlaq ops check host.disk --details
    """
    from chitlaq.ops.checks import registry

    form = _Form(details, as_json, as_nagios, as_markdown)
    _look("check", registry.named(names), operator, form)


def _look(name: str, checks: Sequence[Check], operator: str | None, form: _Form) -> None:
    """Run checks, print and record what they found; the exit code says how it is."""
    home, settings = installation.current()
    who = history_db.operator(operator)
    with output.progress(enabled=form.is_for_people) as advance:

        def on_result(result: Result, done: int, total: int) -> None:
            advance(name, done, total)

        run, trouble = asyncio.run(run_and_store(home, settings, name, checks, who, on_result))
    form.print(run, home, settings)
    if trouble:
        typer.echo(f"\n{trouble}", err=not form.is_for_people)
    # Nothing is waited for any more: a thread that looks at a dead file system would hold us up.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(form.code(run))


async def run_and_store(
    home: Home,
    settings: Settings,
    name: str,
    checks: Sequence[Check],
    operator: str,
    on_result: OnResult = lambda *_: None,
) -> tuple[Run, str]:
    """Run checks, record what they found, and set beside it what operators say.

    Returns:
        The run, and what hindered the recording, or nothing.
    """
    from chitlaq.core.host import cpu_affinity
    from chitlaq.ops import routines
    from chitlaq.ops.checks.system import SystemView
    from chitlaq.ops.history import run_history

    # Whoever looks how the system is must not be what makes it slow.
    cpu_affinity.keep_to(os.getpid(), cpu_affinity.half())
    system = SystemView(home, settings)
    try:
        run = await routines.run(system, name, checks, operator, on_result)
    finally:
        await system.close()
    async with history_db.database(home, settings) as database:
        trouble = await run_history.keep(database, home, run)
    # A PostgreSQL that has just failed us is not asked once more.
    return run if trouble else await history_db.with_notes(home, settings, run), trouble


@ops.command("list")
def list_(as_json: AsJson = False) -> None:
    """List all checks, routines and actions.

    Example: chitlaq ops list
    """
    from chitlaq.ops import routines
    from chitlaq.ops.actions.catalogue import ACTIONS
    from chitlaq.ops.checks import registry

    checks = registry.CHECKS
    where = {one: [r.name for r in routines.ROUTINES.values() if one in r.checks] for one in checks}
    if as_json:
        home, settings = installation.current()
        output.print_json(
            [
                {
                    "check": one.id,
                    "title": one.title,
                    "section": one.section,
                    "looks_at": one.looks_at,
                    "remedy": one.remedy,
                    "commands": registry.commands(one, settings, home),
                    "routines": where[one.id],
                }
                for one in checks.values()
            ]
        )
        return
    output.print_table(
        ["check", "what", "routines", "looks at"],
        [[c.id, c.title, ", ".join(where[c.id]), c.looks_at] for c in checks.values()],
    )
    typer.echo()
    output.print_table(
        ["action", "what", "needs"], [[a.name, a.title, a.target] for a in ACTIONS.values()]
    )


@ops.command()
def history(
    routine: Annotated[str | None, typer.Argument(help="Only runs of this routine.")] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List the runs that were, newest first.

    Example: chitlaq ops history morning
    """
    from chitlaq.ops.history import run_history

    found = history_db.ask(lambda database: run_history.listed(database, routine, limit))
    if not found and routine is not None:
        _known_in_history(routine)
    if as_json:
        output.print_json(found)
        return
    output.print_table(
        ["run", "routine", "when", "verdict", "by", "took", "found"],
        [
            [
                str(one.id),
                one.routine,
                f"{one.started_at.astimezone():%Y-%m-%d %H:%M}",
                one.verdict,
                one.started_by,
                f"{one.duration_seconds:.1f} s",
                ", ".join(f"{number} {verdict}" for verdict, number in one.counts.items()),
            ]
            for one in found
        ],
    )


def _known_in_history(routine: str) -> None:
    """Raise OperatorError, with the nearest name, for a routine of which there can be no run."""
    from chitlaq.ops import routines

    known = [*routines.ROUTINES, *KEPT_BESIDE]
    if routine not in known:
        near = difflib.get_close_matches(routine, known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise OperatorError(
            f"There is no routine {routine}.{hint} The history has {', '.join(known)}."
        )


@ops.command()
def show(
    run_id: Annotated[
        str, typer.Argument(help="A run of `chitlaq ops history`, or its beginning.")
    ],
    details: Details = False,
    as_json: AsJson = False,
    as_markdown: AsMarkdown = False,
) -> None:
    """Show a run as it was.

    Example: chitlaq ops show 019ab --details
    """
    from chitlaq.ops.history import run_history

    async def found(database: Database) -> Run | None:
        run = await run_history.find(database, run_id)
        return None if run is None else await run_history.with_notes(database, run)

    run = history_db.ask(found)
    if run is None:
        raise OperatorError(f"There is no run {run_id}: `chitlaq ops history` lists them.")
    _Form(details, as_json, False, as_markdown).print(run, *installation.current())


@ops.command()
def diff(
    routine: Annotated[str, typer.Argument(help="A routine.")] = "morning",
    as_json: AsJson = False,
) -> None:
    """Show what changed between the last two runs of a routine.

    Example: chitlaq ops diff morning
    """
    from chitlaq.ops import routines
    from chitlaq.ops.history import run_diff, run_history

    routines.routine(routine)
    found = history_db.ask(lambda database: run_history.newest(database, routine, 2))
    if len(found) < 2:
        raise OperatorError(f"{routine} ran {len(found)} times: two runs are needed to compare.")
    after, before = found
    changed = run_diff.compare(before, after)
    if as_json:
        output.print_json({"before": before.id, "after": after.id, "changes": changed})
    elif changed:
        output.print_table(
            ["check", "was", "is", "now"],
            [[one.check, one.before, one.after, one.summary] for one in changed],
        )
    else:
        typer.echo(
            f"Every verdict is as it was at {before.started_at.astimezone():%Y-%m-%d %H:%M}."
        )


@ops.command()
def note(
    name: Annotated[str, typer.Argument(metavar="CHECK")],
    text: Annotated[str, typer.Argument(help="What was seen, thought or done.")],
    operator: Operator = None,
) -> None:
    """Write down an observation to a check.

    Example: chitlaq ops note host.disk "ordered two disks, they come on Friday"
    """
    _note(name, "note", text, operator)


@ops.command()
def ack(
    name: Annotated[str, typer.Argument(metavar="CHECK")],
    text: Annotated[str, typer.Argument(help="Why it is known, and what is being done.")],
    operator: Operator = None,
) -> None:
    """Acknowledge a fault: it is shown with your words until the check is OK again.

    Example: chitlaq ops ack host.disk "two disks come on Friday"
    """
    _note(name, "acknowledgement", text, operator)


def _note(name: str, kind: str, text: str, operator: str | None) -> None:
    from chitlaq.ops.checks import registry
    from chitlaq.ops.history import run_history

    if not text.strip() or len(text) > 5000:
        raise OperatorError("Write between 1 and 5000 characters.")
    if name not in registry.CHECKS:
        registry.named([name])
        raise OperatorError(f"{name} is several checks: name one, `chitlaq ops list`.")
    who = history_db.operator(operator)
    history_db.ask(lambda database: run_history.note(database, name, kind, text.strip(), who))
    typer.echo(f"Written down: {kind} of {who} to {name}.")


@ops.command()
def notes(
    names: Annotated[list[str] | None, typer.Argument(metavar="CHECK")] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """Show notes and acknowledgements, newest first.

    Example: chitlaq ops notes host.disk
    """
    from chitlaq.ops.checks import registry
    from chitlaq.ops.history import run_history

    chosen = [one.id for one in registry.named(names)] if names else None
    found = history_db.ask(lambda database: run_history.notes(database, chosen, limit))
    if as_json:
        output.print_json(found)
        return
    output.print_table(
        ["when", "check", "kind", "by", "text"],
        [
            [
                f"{one.created_at.astimezone():%Y-%m-%d %H:%M}",
                one.check,
                one.kind + ("" if one.ended_at is None else ", over"),
                one.operator,
                one.text,
            ]
            for one in found
        ],
    )


@ops.command()
def do(
    name: Annotated[str, typer.Argument(metavar="ACTION", help="See `chitlaq ops list`.")],
    target: Annotated[str, typer.Argument(help="What it is done to, where it needs that.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    why: Annotated[str | None, typer.Option("--why", help="The reason, for the record.")] = None,
    operator: Operator = None,
) -> None:
    """Do something that changes something: it is shown first, asked for, and recorded.

    Without a terminal, and without --yes, nothing is done.

    Examples: chitlaq ops do prune · chitlaq ops do kill 4711 --why "holds the lock of incident 3"
    """
    from chitlaq.ops.actions import catalogue as actions

    home, settings = installation.current()
    action, place = actions.named(name, target), actions.ActionContext(home, settings)
    plan = asyncio.run(action.plan(place, target))
    typer.echo(f"{action.title}:")
    for line in plan or ["nothing: there is nothing to do"]:
        typer.echo(f"  {line}")
    if not plan:
        return
    is_terminal = sys.stdin.isatty()
    if not yes and not (is_terminal and typer.confirm("Do it?")):
        typer.echo("Nothing was done." + ("" if is_terminal else " With --yes and --why it is."))
        return
    if not why and is_terminal:
        why = typer.prompt("Why")
    if not why:
        raise OperatorError("Say why, for the record: --why TEXT.")
    reason = why

    async def carry_out() -> actions.ActionRecord:
        async with history_db.database(home, settings) as database:
            return await actions.carry_out(
                action, place, target, history_db.operator(operator), reason, database
            )

    done = asyncio.run(carry_out())
    typer.echo(done.output)
    if not done.succeeded:
        raise OperatorError(f"{name} failed; what it said is above, and in the record.")


@ops.command()
def actions(limit: Limit = 20, as_json: AsJson = False) -> None:
    """Show who did what, when and why.

    Example: chitlaq ops actions
    """
    from chitlaq.ops.actions import catalogue as done_things

    found = history_db.ask(lambda database: done_things.listed(database, limit))
    if as_json:
        output.print_json(found)
        return
    output.print_table(
        ["when", "action", "by", "why", "how it went", "what it said"],
        [
            [
                f"{one.started_at.astimezone():%Y-%m-%d %H:%M}",
                f"{one.action} {one.target}".strip(),
                one.operator,
                one.reason,
                {True: "done", False: "failed", None: "did not end"}[one.succeeded],
                one.output.strip().rpartition("\n")[2],
            ]
            for one in found
        ],
    )


@ops.command()
def watch(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Checks; a choice of the quick ones when none is named."),
    ] = None,
    every: Annotated[float, typer.Option(min=1, max=3600, help="Seconds between looks.")] = 5.0,
) -> None:
    """Keep looking: a screen that is renewed, worst first. Ctrl-C ends it.

    Example: chitlaq ops watch database host --every 2
    """
    from chitlaq.cli import watch as watching
    from chitlaq.ops.checks import registry

    home, settings = installation.current()
    checks = registry.named(names) if names else watching.usual()
    asyncio.run(watching.watch(home, settings, checks, every))


@ops.command()
def report(
    send: Annotated[
        bool, typer.Option("--send", help="Send it to those whom the settings name.")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option("--to", help="Where the files go; default: ops/reports in the home."),
    ] = None,
    operator: Operator = None,
) -> None:
    """Run the evening routine and make the day's report: a page in HTML, and the same in Markdown.

    Example: chitlaq ops report --send
    """
    from chitlaq.ops import report as pages
    from chitlaq.ops import routines
    from chitlaq.ops.checks.registry import CHECKS
    from chitlaq.ops.history import run_history
    from chitlaq.ops.report import delivery

    home, settings = installation.current()
    checks = [CHECKS[one] for one in routines.ROUTINES["evening"].checks]

    async def work() -> tuple[Run, str, list[str]]:
        from asyncpg import PostgresError

        from chitlaq.core.data.postgres import PostgresUnavailableError

        async with history_db.database(home, settings) as database:
            try:
                earlier = await run_history.newest(database, "evening")
            except (PostgresUnavailableError, PostgresError):
                earlier = []
            run, trouble = await run_and_store(
                home, settings, "evening", checks, history_db.operator(operator)
            )
            made = pages.made(run, earlier[0] if earlier else None, settings)
            target = folder or home.ops / "reports"
            texts = {"html": pages.html(made), "md": pages.markdown(made)}
            said = []
            for ending, text in texts.items():
                path = target / f"{run.started_at.astimezone():%Y-%m-%d}.{ending}"
                try:
                    target.mkdir(parents=True, exist_ok=True)
                    path.write_text(text)
                    said.append(f"wrote {path}")
                except OSError as error:
                    said.append(f"not written to {path}: {error.strerror}")
            if send:
                subject = f"{made.title}: {run.verdict}"
                said += await delivery.deliver(
                    database, home, settings.operations, subject, texts["md"], texts["html"]
                )
            return run, trouble, said

    run, trouble, said = asyncio.run(work())
    for line in [*said, *([trouble] if trouble else [])]:
        typer.echo(line)
    typer.echo(f"{run.verdict}: the routine, in short, is shown by `chitlaq ops show {run.id}`.")
    sys.stdout.flush()
    os._exit(0 if run.verdict in {"OK", "SKIPPED"} else NOT_WELL)


@ops.command()
def runbook(
    write: Annotated[
        Path | None, typer.Option("--write", help="Write the page to this file instead.")
    ] = None,
) -> None:
    """Print the runbook, rendered from the checks, routines and actions.

    Example: chitlaq ops runbook > docs/runbook.md
    """
    from chitlaq.ops import runbook as page

    text = page.rendered()
    if write is None:
        typer.echo(text, nl=False)
    else:
        write.write_text(text)
        typer.echo(f"wrote {write}")
