"""Commands about the running stack: up, down, ps, logs, stats, restart, rotate."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from chitlaq.cli import installation, output, terminal
from chitlaq.core.errors import OperatorError

if TYPE_CHECKING:
    from rich.table import Table

    from chitlaq.core.installation.home import Home
    from chitlaq.core.installation.settings import Settings
    from chitlaq.stack.supervisor import control
    from chitlaq.stack.supervisor.control import Status

POLL_SECONDS = 0.1
COLOURS = {
    "healthy": "green", "done": "green", "starting": "yellow", "waiting": "dim", "stopped": "dim",
    "stopping": "yellow", "backoff": "red", "unresponsive": "red", "unable": "red",
    "missing": "yellow",
}  # fmt: skip


def register(app: typer.Typer) -> None:
    for command in (up, down, ps, stats, restart, rotate, logs):
        app.command()(command)
    app.command(hidden=True)(supervise)


def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return once everything is healthy.")
    ] = False,
    timeout: Annotated[int, typer.Option(min=1, help="Seconds to wait for that.")] = 90,
) -> None:
    """Start the whole system and show its state; Ctrl-C stops it.

    Example: chitlaq up --detach
    """
    from chitlaq.core.installation import secrets
    from chitlaq.stack import commands
    from chitlaq.stack.install import preflight
    from chitlaq.stack.supervisor import control

    home, settings = installation.configured()
    if home.containers.exists():
        raise OperatorError(commands.ENGINE_HAS_IT)
    try:
        statuses = control.ask(home, control.Ps())
        typer.echo("ChitLaq is running here already.")
        _print_statuses(statuses)
        raise typer.Exit(0 if all(status.is_well for status in statuses) else output.UNHEALTHY)
    except control.NotRunningError:
        pass
    preflight.require(home, settings)
    secrets.ensure(home)
    started = time.monotonic()
    if detach:
        _start(home, death_signal=None).close()
        _wait_until_healthy(home, started + timeout)
        _print_welcome(home, settings, time.monotonic() - started)
    else:
        _stay(home, settings, started)


def down() -> None:
    """Stop everything that `chitlaq up` started, also what a killed supervisor has left.

    Example: chitlaq down
    """
    from chitlaq.core.installation.home import Home
    from chitlaq.stack import commands
    from chitlaq.stack.supervisor import control

    home = Home.from_environment()
    if home.containers.exists():
        raise OperatorError(commands.ENGINE_HAS_IT)
    is_stopped = control.stop(home, _say_waiting)
    typer.echo("Stopped." if is_stopped else "ChitLaq is not running here.")


def ps(as_json: output.AsJson = False) -> None:
    """Show the state of every component; exit code 3 if one is not healthy.

    Example: chitlaq ps --json
    """
    from chitlaq.core.installation.home import Home
    from chitlaq.stack import containers
    from chitlaq.stack.supervisor import control

    home = Home.from_environment()
    try:
        if containers.are_used(home):
            _, settings = installation.current()
            statuses = asyncio.run(containers.statuses(home, settings))
        else:
            statuses = control.ask(home, control.Ps())
    except control.NotRunningError:
        if not as_json:
            raise
        output.print_json([])
        raise typer.Exit(output.UNHEALTHY) from None
    if as_json:
        output.print_json(statuses)
    else:
        _print_statuses(statuses)
    if not all(status.is_well for status in statuses):
        raise typer.Exit(output.UNHEALTHY)


def stats(as_json: output.AsJson = False) -> None:
    """Show each component's resource usage: CPU, memory, restarts.

    Memory is the proportional set size (PSS): shared memory is counted once.

    Example: chitlaq stats
    """
    from chitlaq.core.installation.home import Home
    from chitlaq.stack.supervisor import control, resource_usage

    home = Home.from_environment()
    rows = resource_usage.measure(control.ask(home, control.Ps()))
    if as_json:
        output.print_json(rows)
        return
    total = resource_usage.total(rows)
    output.print_table(
        ["service", "cpu", "memory", "processes", "restarts", "uptime"],
        [
            [
                row.service,
                f"{row.cpu_percent:.1f} %",
                f"{row.memory_bytes / 1e6:.0f} MB",
                row.processes,
                row.restarts,
                _duration(row.uptime),
            ]
            for row in [*rows, total]
        ],
    )


def restart(
    service: Annotated[str, typer.Argument(help="A component, as `chitlaq ps` names it.")],
) -> None:
    """Restart one component with its current settings; services are replaced without losing a request.

    Example: chitlaq restart feed-service
    """
    from chitlaq.stack.supervisor import control

    home, _ = installation.current()
    statuses = control.ask(home, control.Restart(service), _say_waiting)
    _print_statuses([status for status in statuses if status.service == service])


def rotate(
    moved: Annotated[
        bool, typer.Option("--moved", help="Only open new files: logrotate has moved the old ones.")
    ] = False,
) -> None:
    """Rotate the log files now, without losing a line. This also happens daily, and by size.

    Example: chitlaq rotate
    """
    from chitlaq.stack.supervisor import control

    home, settings = installation.current()
    control.ask(home, control.Rotate(moved))
    typer.echo(f"New files in {home.logs}; {settings.logs.keep_files} older ones of each are kept.")


def logs(
    services: Annotated[list[str] | None, typer.Argument(help="Components; default: all.")] = None,
    tail: Annotated[int | None, typer.Option(min=0, help="Only the last lines.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print new lines as they come.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(help="Only lines after this: 2h (ago), 02:15, '2026-11-24 02:15' …"),
    ] = None,
    grep: Annotated[str | None, typer.Option(help="Only lines that match this pattern.")] = None,
    errors: Annotated[
        bool, typer.Option("--errors", help="Only errors: log level and 5xx responses.")
    ] = False,
    slow: Annotated[
        bool,
        typer.Option(
            "--slow", help="Only requests and queries slower than the setting logs.slow_seconds."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the lines unchanged.")] = False,
) -> None:
    """Show the components' logs, ordered by time.

    Examples: chitlaq logs api-gateway --tail 20 · chitlaq logs --errors --since 1h · chitlaq logs --slow
    """
    from chitlaq.core import point_in_time
    from chitlaq.logs.view import View, pattern

    home, settings = installation.current()
    if home.containers.exists() and services != ["nginx"]:
        named = " ".join(["chitlaq logs", *(services or ())])
        raise OperatorError(f"The container engine has the logs: `{named}`.")
    view = View(
        home,
        services or [],
        tail=tail,
        since=point_in_time.parse(since, "--since") if since else None,
        pattern=pattern(grep) if grep else None,
        errors_only=errors,
        slower_than=settings.logs.slow_seconds if slow else None,
        is_raw=as_json,
        is_coloured=sys.stdout.isatty(),
    )
    try:
        for line in view.lines(follow=follow):
            terminal.write_styled(line + "\n")
            if follow:
                sys.stdout.flush()
        sys.stdout.flush()
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def supervise() -> None:
    """Run the supervisor; `chitlaq up` starts it."""
    from chitlaq.stack.supervisor import supervisor

    home, settings = installation.configured()
    supervisor.supervise(home, settings)


# --- up


def _start(home: Home, death_signal: signal.Signals | None) -> control.Connection:
    """Start the supervisor and connect once it listens.

    If two start at once, one supervisor remains and both connect to it.

    Args:
        home: the installation.
        death_signal: what the supervisor gets when this command dies; None lets it run on.
    """
    from chitlaq.core.host import programs
    from chitlaq.logs import rotation
    from chitlaq.stack.servers import process_specs
    from chitlaq.stack.supervisor import control

    with rotation.opened(home.logs / "supervisor.log") as log:
        process = programs.start(
            process_specs.chitlaq("supervise"),
            output=log,
            folder=Path("/"),
            death_signal=death_signal,
        )
    while True:
        try:
            return control.Connection(home)
        except control.NotRunningError:
            if process.poll() is not None:
                said = rotation.last_lines(home.logs / "supervisor.log", 1)
                raise OperatorError(f"The supervisor exited at once: {' '.join(said)}") from None
            time.sleep(0.02)


def _wait_until_healthy(home: Home, deadline: float) -> None:
    from chitlaq.stack.supervisor import control

    while True:
        statuses = control.ask(home, control.Ps())
        if control.is_up(statuses):
            return
        if time.monotonic() > deadline or any(
            _is_hopeless(status) for status in statuses if status.is_needed
        ):
            control.stop(home, _say_waiting)
            raise OperatorError(_trouble(home, statuses))
        time.sleep(POLL_SECONDS)


def _say_waiting(text: str) -> None:
    typer.echo(f"waiting for {text}", err=True)


def _is_hopeless(status: Status) -> bool:
    """Whether waiting longer is pointless: the component has failed repeatedly."""
    return status.state == "backoff" and status.restarts >= 5


def _trouble(home: Home, statuses: list[Status]) -> str:
    """Name the component at fault and its last log lines."""
    from chitlaq.logs import rotation

    order = ("backoff", "unresponsive", "unable", "starting", "waiting")
    bad = [status for status in statuses if status.is_needed and not status.is_well]
    worst = min(bad, key=lambda status: order.index(status.state) if status.state in order else 9)
    said = rotation.last_lines(home.logs / f"{worst.service}.log", 5)
    detail = f" ({worst.reason})" if worst.reason else ""
    words = "\n".join(f"    {line}" for line in said) or "    nothing"
    return (
        f"{worst.service} did not become healthy: {worst.state}{detail}. Everything was stopped"
        f" again. Last log lines:\n{words}"
    )


def _stay(home: Home, settings: Settings, started: float) -> None:
    """Stay in the foreground: show the components as they start, and stop them on exit."""
    from chitlaq.core.host.death_signal import die_with_parent
    from chitlaq.stack.supervisor import control

    def leave(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    # A killed make could not stop us; a shell that exits must not.
    if "MAKELEVEL" in os.environ:
        die_with_parent(signal.SIGTERM)
    # Ctrl-C too: a shell without job control lets its background processes ignore it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    connection = None
    try:
        connection = _start(home, death_signal=signal.SIGTERM)
        connection.ask(control.Attach())
        _show_until_healthy(home)
        _print_welcome(home, settings, time.monotonic() - started)
        typer.echo("Press Ctrl-C to stop.")
        _show_changes(home)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        typer.echo("\nStopping ...")
        if connection is not None:
            connection.close()
        control.stop(home, _say_waiting)
        typer.echo("Stopped.")


def _show_until_healthy(home: Home) -> None:
    from rich.live import Live

    from chitlaq.stack.supervisor import control

    console = terminal.console()
    if not console.is_terminal:
        _show_changes(home, until_healthy=True)
        return
    with Live(console=console, refresh_per_second=10) as live:
        while True:
            statuses = control.ask(home, control.Ps())
            live.update(_table(statuses))
            if control.is_up(statuses):
                return
            time.sleep(POLL_SECONDS)


def _show_changes(home: Home, *, until_healthy: bool = False) -> None:
    """Print a line for each change of a component's state."""
    from chitlaq.stack.supervisor import control

    seen: dict[str, str] = {}
    if not until_healthy:
        seen = {status.name: status.state for status in control.ask(home, control.Ps())}
    while True:
        try:
            statuses = control.ask(home, control.Ps())
        except control.NotRunningError:
            typer.echo("Stopped by another command.")
            return
        for status in statuses:
            if seen.get(status.name) != status.state:
                seen[status.name] = status.state
                typer.echo(f"{status.name:<16} {status.state:<12} {status.reason}".rstrip())
        if until_healthy and control.is_up(statuses):
            return
        time.sleep(POLL_SECONDS if until_healthy else 1.0)


def _print_welcome(home: Home, settings: Settings, seconds: float) -> None:
    typer.echo(f"\nChitLaq is up after {seconds:.1f} s.\n")
    typer.echo(f"  Web        {settings.base_url}/")
    typer.echo(f"  API        {settings.base_url}/api/docs")
    typer.echo(f"  Gateway    http://localhost:{settings.port_of('api-gateway')}/health")
    typer.echo(f"  Operations http://localhost:{_console_port(home, settings)}/")
    if settings.embeds("prometheus"):
        typer.echo(f"  Metrics    http://localhost:{settings.port_of('prometheus')}/")
    typer.echo(f"  Data       {home.root}")
    demo = home.run / "demo.json"
    if demo.exists():
        document = msgspec.json.decode(demo.read_bytes())
        names = ", ".join(account["email"] for account in document["accounts"][:4])
        typer.echo(
            f"\n  Demo accounts: {names}, …\n  Password of all of them: {document['password']}"
        )
    typer.echo("")


def _console_port(home: Home, settings: Settings) -> int:
    """The optional port if ops-service got it, as it may not have when it has just been replaced."""
    from chitlaq.stack.supervisor import control

    found = [status.optional_port for status in control.ask(home, control.Ps())]
    return next(filter(None, found), settings.port_of("ops-service"))


# --- tables


def _print_statuses(statuses: list[Status]) -> None:
    output.console_for_output().print(_table(statuses))


def _table(statuses: list[Status]) -> Table:
    from rich.text import Text

    return output.table(
        ["service", "state", "version", "port", "pid", "uptime", "restarts", ""],
        [
            [
                status.name,
                Text(status.state, style=COLOURS[status.state]),
                status.version,
                ", ".join(str(port) for port in (status.port, status.optional_port) if port),
                status.pid or "",
                _duration(status.uptime) if status.pid else "",
                status.restarts or "",
                status.reason,
            ]
            for status in statuses
        ],
    )


def _duration(seconds: int) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
