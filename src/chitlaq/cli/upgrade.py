"""``chitlaq upgrade``: whether the running stack may be brought to this version."""

from __future__ import annotations

from typing import Annotated

import typer

from chitlaq.cli import data, installation, output
from chitlaq.core.errors import OperatorError


def register(app: typer.Typer) -> None:
    app.command()(upgrade)


def upgrade(
    check: Annotated[
        bool, typer.Option("--check", help="Only say what an upgrade to this version would meet.")
    ],
    as_json: output.AsJson = False,
) -> None:
    """Look whether the running stack may be brought to this version; run it with the new version's program.

    It compares the versions, tries pending migrations on a scratch database without rows, and looks at the
    components, the disk and the last proven backup. It changes nothing. Exit code 1 if the upgrade must not
    begin beside members.

    Example: chitlaq upgrade --check
    """
    from chitlaq.ops import upgrade_check

    home, settings = installation.current()
    found = upgrade_check.look(home, settings)
    if as_json:
        output.print_json(found)
    else:
        rows = [[one.subject, one.said, one.refusal] for one in found.findings]
        output.print_table(["what", "how it is", "refused because"], rows)
        if found.migrations:
            data.print_reviews(found.migrations)
    if found.refusals:
        raise OperatorError(
            f"Do not begin this upgrade beside members: {'; '.join(found.refusals)}."
        )
