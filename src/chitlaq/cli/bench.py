"""``chitlaq bench``: figures as ratios, measured in one run on installations of its own."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from chitlaq.cli import output


def register(app: typer.Typer) -> None:
    app.command()(bench)


def bench(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Measure the home feed beside its ceiling, start-up and memory; takes a minute or two.

    Nothing that runs here is touched: it starts and stops installations of its own.

    Example: chitlaq bench
    """
    from chitlaq.bench import benchmark, report

    result = asyncio.run(benchmark.run(lambda text: print(text, file=sys.stderr)))
    if as_json:
        output.print_json(result)
    else:
        output.console_for_output().print(report.rendered(result))
