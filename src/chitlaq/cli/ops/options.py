"""Options that several `chitlaq ops` commands share, and the forms in which a run is printed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import output

if TYPE_CHECKING:
    from chitlaq.core.installation.home import Home
    from chitlaq.core.installation.settings import Settings
    from chitlaq.ops.checks.runner import Run

Details = Annotated[
    bool, typer.Option("--details", help="Show evidence and the equivalent shell commands.")
]
AsNagios = Annotated[
    bool, typer.Option("--nagios", help="Print and exit like a Nagios-compatible plugin.")
]
AsMarkdown = Annotated[bool, typer.Option("--markdown", help="Print Markdown.")]


@dataclass(frozen=True, slots=True)
class RunFormat:
    """How a run is printed, and which exit code reports it."""

    details: bool
    as_json: bool = False
    as_nagios: bool = False
    as_markdown: bool = False

    def __post_init__(self) -> None:
        if self.as_json + self.as_nagios + self.as_markdown > 1:
            raise typer.BadParameter("Choose one of --json, --nagios and --markdown.")

    @property
    def is_for_people(self) -> bool:
        return not (self.as_json or self.as_nagios or self.as_markdown)

    def print(self, run: Run, home: Home, settings: Settings) -> None:
        from chitlaq.ops.report.text import markdown, nagios

        if self.as_json:
            output.print_json(run)
        elif self.as_nagios:
            typer.echo(nagios(run))
        elif self.as_markdown:
            typer.echo(markdown(run), nl=False)
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

    def exit_code(self, run: Run) -> int:
        from chitlaq.ops.report.text import NAGIOS_CODES

        if self.as_nagios:
            return NAGIOS_CODES[run.verdict]
        return output.UNHEALTHY if run.verdict.is_problem else 0
