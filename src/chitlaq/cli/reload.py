"""``chitlaq reload``: the running stack takes the settings that have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from chitlaq.cli import output

if TYPE_CHECKING:
    from chitlaq.core.installation.home import Home
    from chitlaq.stack.supervisor.reloading import Change


def register(app: typer.Typer) -> None:
    app.command()(reload)


def taking(change: Change, home: Home) -> str:
    """What a change takes: a line for a shell, with who takes it behind a `#`."""
    from chitlaq.stack import commands

    if change.means == "start":
        return commands.pasted(("chitlaq down", "chitlaq up"), home)
    if change.means == "restart":
        return commands.pasted([f"chitlaq restart {name}" for name in change.components], home)
    return f"{commands.pasted(('chitlaq reload',), home)}  # {', '.join(change.components)}"


def reload(yes: output.Yes = False) -> None:
    """Apply changed settings to the running stack, without losing a request.

    It says first what changes and who takes it, and asks. What would take a component away for a moment
    stays for `chitlaq restart`; what needs everything to be stopped is refused.

    Examples: chitlaq reload · chitlaq reload --yes
    """
    from chitlaq.core.errors import OperatorError
    from chitlaq.core.installation.home import Home
    from chitlaq.stack import commands
    from chitlaq.stack.supervisor import control, reloading

    def say(text: str) -> None:
        typer.echo(f"waiting for {text}", err=True)

    home = Home.from_environment()
    changes = control.reload(home, control.Reload())
    if not changes:
        typer.echo("Every component runs with the settings as they are.")
        return
    output.print_table(
        ["setting", "running", "now set", "to apply it"],
        [[one.setting, one.before, one.after, taking(one, home)] for one in changes],
    )
    if refusal := reloading.refusal(changes):
        raise OperatorError(refusal)
    taken, left = reloading.taken_now(changes), reloading.by_hand(changes)
    question = f"Replace {', '.join(taken)} now? No request is lost."
    if taken and not output.is_wanted(question, yes=yes, nothing="Nothing was changed."):
        return
    if taken:
        control.reload(home, control.Reload(is_dry=False, agreed=changes), say)
        typer.echo(f"Reloaded: {', '.join(taken)}.")
    for name in left:
        line = commands.pasted((f"chitlaq restart {name}",), home)
        typer.echo(f"Left, since it is away for a moment: `{line}`.")
