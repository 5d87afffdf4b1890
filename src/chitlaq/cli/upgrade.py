"""``chitlaq upgrade``: bring the running stack to this version, either way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import data, history_db, installation, output
from chitlaq.core.errors import OperatorError

if TYPE_CHECKING:
    from chitlaq.ops.upgrade_check import UpgradeCheck


def register(app: typer.Typer) -> None:
    app.command()(upgrade)


def upgrade(
    check: Annotated[
        bool, typer.Option("--check", help="Only say what an upgrade to this version would meet.")
    ] = False,
    watch: Annotated[
        float,
        typer.Option(
            min=0,
            max=3600,
            help="Seconds for which the services are watched once all are replaced.",
        ),
    ] = 60,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also if the check says that members would notice.")
    ] = False,
    yes: output.Yes = False,
    operator: history_db.Operator = None,
    as_json: output.AsJson = False,
) -> None:
    """Replace the running services by this version, one after the other; run it with this version's program.

    It looks first: at the versions, at pending migrations on a scratch database without rows, at the
    components, the disk and the last proven backup. Then it migrates, replaces each service without losing a
    request, and watches: if one exits, hangs or fails requests, all go back to the version before. An older
    version is brought back in the same way, with its program. Exit code 1 if the services do not run in this
    version.

    Examples: chitlaq upgrade --check · chitlaq upgrade · chitlaq upgrade --yes --watch 300
    """
    from chitlaq.ops import upgrade as upgrades
    from chitlaq.ops import upgrade_check

    home, wished = installation.current()
    settings = installation.as_running(home, wished)
    wanted = None if check else upgrades.wanted(home)
    found = upgrade_check.look(home, settings)
    _show(found, as_json=as_json)
    if found.refusals and not (anyway and wanted):
        raise OperatorError(
            f"Do not begin this upgrade beside members: {'; '.join(found.refusals)}."
        )
    question = "Replace the services now? No request is lost."
    if wanted is None or not output.is_wanted(question, yes=yes, nothing="Nothing was changed."):
        return
    history_db.ask(
        lambda database: upgrades.carry_out(
            home, wanted, watch, history_db.operator(operator), database, _say
        )
    )
    if not as_json:
        typer.echo(f"Everything runs {wanted.version}.")
        typer.echo(
            f"What starts ChitLaq the next time should name this version, too: {wanted.folder}."
        )


def _show(found: UpgradeCheck, *, as_json: bool) -> None:
    if as_json:
        output.print_json(found)
        return
    rows = [[one.subject, one.said, one.refusal] for one in found.findings]
    output.print_table(["what", "how it is", "refused because"], rows)
    if found.migrations:
        data.print_reviews(found.migrations)


def _say(text: str) -> None:
    typer.echo(f"waiting for {text}", err=True)
