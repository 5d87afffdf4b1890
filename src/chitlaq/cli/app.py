"""The `chitlaq` command, assembled from its groups of commands."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence

import typer
from typer.main import get_command_name, solve_typer_info_defaults

from chitlaq import __version__
from chitlaq.cli import (
    alerts,
    announce,
    backup,
    bench,
    certificates,
    chat,
    config,
    console,
    data,
    doctor,
    exec,  # noqa: A004 - the runbook's name for it
    heartbeat,
    incidents,
    install,
    jobs,
    keys,
    metrics,
    oncall,
    operators,
    ops,
    reload,
    search,
    serve,
    site,
    sso,
    stack,
    statuspage,
    universities,
    upgrade,
    users,
    ws,
)

app = typer.Typer(
    name="chitlaq",
    help=(
        "Run ChitLaq, a social network that a university runs for itself.\n\n"
        "Start with `chitlaq up`. Exit codes: 0 success, 1 failure (the message says why), 2 invalid usage,"
        " 3 some component is not healthy."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Help without styles of rich, which the streams would escape.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True),
) -> None:
    # ops-service has started it, for as long as it holds the lease.
    if lease := os.environ.get("CHITLAQ_LEASE"):
        from chitlaq.ops.lease import guard

        guard.begin(lease)


for _module in (
    stack,
    reload,
    upgrade,
    ops,
    search,
    backup,
    alerts,
    incidents,
    oncall,
    heartbeat,
    console,
    operators,
    statuspage,
    universities,
    sso,
    users,
    announce,
    metrics,
    exec,
    data,
    jobs,
    keys,
    certificates,
    ws,
    chat,
    config,
    doctor,
    install,
    site,
    bench,
    serve,
):
    _module.register(app)


def named(words: Sequence[str]) -> typer.Typer:
    """Return the program with only the commands that its first word names, or all for any other word.

    To build all sixty takes 50 ms, a third of what a service needs for its start.
    """
    reduced = copy.copy(app)
    reduced.registered_commands = [
        command
        for command in app.registered_commands
        if command.callback
        and [command.name or get_command_name(command.callback.__name__)] == words[:1]
    ]
    reduced.registered_groups = [
        group
        for group in app.registered_groups
        if [solve_typer_info_defaults(group).name] == words[:1]
    ]
    return reduced if reduced.registered_commands or reduced.registered_groups else app
