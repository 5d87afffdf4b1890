"""How commands print: JSON for programs, tables and progress bars for people."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import msgspec
import typer

from chitlaq.cli import terminal
from chitlaq.core.visible import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of rows.")]

Advance = Callable[[str, int, int], None]
"""Receives the stage, how much of it is done, and how much there is."""


UNHEALTHY = 3
"""Exit code: the command did its work and found something that is not healthy."""


def exit_now(code: int) -> NoReturn:
    """End the process without waiting for threads, which may hang on a dead file system."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def is_wanted(question: str, *, yes: bool, nothing: str) -> bool:
    """Whether to do what cannot be undone: with ``--yes``, or asked on a terminal; otherwise say that not.

    Args:
        question: what is asked.
        yes: ``--yes`` was given.
        nothing: what has not happened otherwise.
    """
    is_terminal = sys.stdin.isatty()
    if yes or (is_terminal and typer.confirm(question, err=True)):
        return True
    typer.echo(nothing + ("" if is_terminal else " Add --yes to do it."), err=True)
    return False


def local_time(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def print_json(value: object) -> None:
    encoded = msgspec.json.format(msgspec.json.encode(value, enc_hook=str)).decode()
    terminal.write_styled(encoded + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print aligned columns."""
    console_for_output().print(table(columns, rows))


def print_rows(
    found: Sequence[T], columns: Mapping[str, Callable[[T], object]], *, as_json: bool
) -> None:
    """Print what was found: as JSON, or as a table with a function for each column's cells."""
    if as_json:
        print_json(found)
    else:
        print_table(list(columns), [[cell(one) for cell in columns.values()] for one in found])


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Return aligned columns; cells are texts of rich, with a style, or anything to be shown as it is."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        cells = ("" if cell is None else cell for cell in row)
        # Escaped before it is laid out, so that columns stay aligned.
        made.add_row(
            *(
                cell if isinstance(cell, Text) else Text(visible(terminal.typed_here(str(cell))))
                for cell in cells
            )
        )
    return made


def console_for_output() -> Console:
    """Return a console for standard output; a pipe is so wide that no line is folded."""
    return terminal.console(width=None if sys.stdout.isatty() else 250)


@contextmanager
def progress(*, enabled: bool, unit: str = "") -> Iterator[Advance]:
    """Show a progress bar per stage on a terminal; with ``unit="bytes"`` also the remaining time."""
    if not enabled or not sys.stderr.isatty():
        yield lambda _stage, _done, _total: None
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        *((DownloadColumn(), TimeRemainingColumn()) if unit else (MofNCompleteColumn(),)),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=terminal.console(to_errors=True)) as bars:
        stages: dict[str, TaskID] = {}

        def advance(stage: str, done: int, total: int) -> None:
            if stage not in stages:
                stages[stage] = bars.add_task(stage, total=total)
            bars.update(stages[stage], completed=done, total=total)

        yield advance
