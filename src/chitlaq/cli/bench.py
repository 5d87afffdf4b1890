"""``chitlaq bench``: figures as ratios, measured in one run; and the monthly benchmark."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from chitlaq.cli import history_db, installation, output

if TYPE_CHECKING:
    from chitlaq.ops.checks.runner import Run
    from chitlaq.ops.database.database import OpsDatabase


def register(app: typer.Typer) -> None:
    app.command()(bench)


def bench(
    here: Annotated[
        bool,
        typer.Option(
            "--here", help="Measure the running system instead, and compare with earlier runs."
        ),
    ] = False,
    production: Annotated[
        bool,
        typer.Option(
            "--production", help="With --here: also targets where members notice the load."
        ),
    ] = False,
    seconds: Annotated[
        float,
        typer.Option(
            min=0.1, max=60, help="With --here: seconds of load on each of three targets."
        ),
    ] = 5.0,
    backups: Annotated[
        bool, typer.Option("--backups", help="Measure backups beside PostgreSQL's bare tools.")
    ] = False,
    chat: Annotated[
        bool, typer.Option("--chat", help="Measure messages beside PostgreSQL's bare inserts.")
    ] = False,
    accounts: Annotated[
        bool,
        typer.Option("--accounts", help="Measure signing in, and what times tell of accounts."),
    ] = False,
    feed: Annotated[
        bool, typer.Option("--feed", help="Measure reading and writing the feed on many members.")
    ] = False,
    notifications: Annotated[
        bool,
        typer.Option(
            "--notifications", help="Measure likes, the list, and an announcement to all members."
        ),
    ] = False,
    search: Annotated[
        bool, typer.Option("--search", help="Measure search on many members and posts.")
    ] = False,
    web: Annotated[
        bool,
        typer.Option("--web", help="Measure pages in Chromium, as on a cheap phone."),
    ] = False,
    deployment: Annotated[
        bool,
        typer.Option(
            "--deployment", help="Measure a second process of each service, TLS, and a second copy."
        ),
    ] = False,
    model: Annotated[
        bool,
        typer.Option(
            "--model", help="Measure sessions as members live them, beside docs/capacity.md."
        ),
    ] = False,
    sessions: Annotated[
        int, typer.Option(min=2, max=20_000, help="With --model: how many are open at a time.")
    ] = 1000,
    typesense: Annotated[
        str | None,
        typer.Option(
            help="With --search: beside the Typesense at this URL, such as http://KEY@127.0.0.1:8108."
        ),
    ] = None,
    ejabberd: Annotated[
        bool,
        typer.Option("--ejabberd", help="With --chat: beside ejabberd, which must be installed."),
    ] = False,
    members: Annotated[
        int,
        typer.Option(
            min=10,
            max=1_000_000,
            help="With --backups, --feed, --model, --notifications and --search: the number of members.",
        ),
    ] = 100_000,
    operator: history_db.Operator = None,
    as_json: output.AsJson = False,
) -> None:
    """Measure the home feed against its baseline, start-up and memory; takes a minute or two.

    It starts and stops installations of its own; a running one is not touched. With --here, it
    measures the running system for 15 seconds and stores the figures: the runbook's monthly
    benchmark. Exit code 3 if it became slower.

    Examples: chitlaq bench · chitlaq bench --here · chitlaq bench --backups · chitlaq bench --chat
    · chitlaq bench --accounts · chitlaq bench --feed · chitlaq bench --notifications --members 50000
    · chitlaq bench --search --members 1000000 · chitlaq bench --web · chitlaq bench --deployment
    · chitlaq bench --model --members 10000 --sessions 2000
    """
    if here:
        _here(history_db.operator(operator), seconds, as_json=as_json, production=production)
    elif backups:
        _backups(members, as_json=as_json)
    elif chat:
        _chat(as_json=as_json, beside_ejabberd=ejabberd)
    elif accounts:
        _accounts(as_json=as_json)
    elif feed:
        _feed(members, as_json=as_json)
    elif notifications:
        _notifications(members, as_json=as_json)
    elif search:
        _search(members, typesense, as_json=as_json)
    elif web:
        _web(as_json=as_json)
    elif deployment:
        _deployment(as_json=as_json)
    elif model:
        _model(members, sessions, as_json=as_json)
    else:
        _whole(as_json=as_json)


def _whole(*, as_json: bool) -> None:
    from chitlaq.bench import benchmark, report

    result = asyncio.run(benchmark.run(_say))
    if as_json:
        output.print_json(result)
    else:
        output.console_for_output().print(report.rendered(result))


def _backups(members: int, *, as_json: bool) -> None:
    from chitlaq.bench import backups, report

    result = asyncio.run(backups.run(members, _say))
    if as_json:
        output.print_json(result)
    else:
        output.console_for_output().print(report.backups(result))


def _chat(*, as_json: bool, beside_ejabberd: bool) -> None:
    from chitlaq.bench import chat, report

    result = asyncio.run(chat.run(_say, beside_ejabberd=beside_ejabberd))
    if as_json:
        output.print_json(result)
    else:
        output.console_for_output().print(report.chat(result))


def _accounts(*, as_json: bool) -> None:
    from chitlaq.bench import accounts, report

    result = asyncio.run(accounts.run(_say))
    if as_json:
        output.print_json(result)
    else:
        output.console_for_output().print(report.accounts(result))


def _feed(members: int, *, as_json: bool) -> None:
    from chitlaq.bench import feed, report

    result = asyncio.run(feed.run(members, _say))
    if as_json:
        output.print_json(result)
    else:
        output.console_for_output().print(report.feed(result))


def _notifications(members: int, *, as_json: bool) -> None:
    from chitlaq.bench import notifications, notifications_report

    result = asyncio.run(notifications.run(members, _say))
    if as_json:
        output.print_json(result)
    else:
        output.console_for_output().print(notifications_report.rendered(result))


def _search(members: int, typesense: str | None, *, as_json: bool) -> None:
    from chitlaq.bench import search, search_report

    result = asyncio.run(search.run(members, typesense, _say))
    if as_json:
        output.print_json(result)
    else:
        output.console_for_output().print(search_report.rendered(result))


def _web(*, as_json: bool) -> None:
    from chitlaq.bench import web, web_report

    result = asyncio.run(web.run(_say))
    if as_json:
        output.print_json(result)
    else:
        output.console_for_output().print(web_report.rendered(result))


def _deployment(*, as_json: bool) -> None:
    from chitlaq.bench import deployment, deployment_report

    result = asyncio.run(deployment.run(_say))
    if as_json:
        output.print_json(result)
    else:
        output.console_for_output().print(deployment_report.rendered(result))


def _model(members: int, sessions: int, *, as_json: bool) -> None:
    from chitlaq.bench import model, model_report

    result = asyncio.run(model.run(members, sessions, _say))
    if as_json:
        output.print_json(result)
    else:
        output.console_for_output().print(model_report.rendered(result))


def _here(operator: str, seconds: float, *, as_json: bool, production: bool) -> None:
    from chitlaq.bench import live
    from chitlaq.cli.ops.options import RunFormat
    from chitlaq.ops.checks.model import Verdict
    from chitlaq.ops.history import run_history

    home, settings = installation.current()
    if not production:
        live.refuse_production(settings, seconds)

    async def measured(database: OpsDatabase) -> Run:
        before = await run_history.newest(database, live.ROUTINE, live.COMPARED)
        run = await live.run(settings, operator, before, seconds, _say)
        await run_history.store(database, run)
        return run

    run = history_db.ask(measured)
    RunFormat(details=False, as_json=as_json).print(run, home, settings)
    if run.verdict != Verdict.OK:
        raise typer.Exit(output.UNHEALTHY)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
