"""``chitlaq doctor``: what is missing on this machine, and the remedy."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import typer

from chitlaq.cli import installation, output
from chitlaq.core.errors import OperatorError

if TYPE_CHECKING:
    from chitlaq.core.installation.home import Home
    from chitlaq.core.installation.settings import Settings
    from chitlaq.stack.install.preflight import Finding
    from chitlaq.stack.supervisor.control import Status


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(as_json: output.AsJson = False) -> None:
    """Check everything that ChitLaq needs on this machine; exit code 1 if something is missing.

    Example: chitlaq doctor
    """
    from chitlaq.stack.install import preflight

    said: list[str] = []
    home, settings = installation.current(said.append)
    findings = _in_containers(home, settings) if home.containers.exists() else _here(home, settings)
    findings += [preflight.Finding("settings", "problem", text) for text in said]
    if as_json:
        output.print_json(findings)
    else:
        words = {"ok": "ok", "warning": "WARNING", "problem": "PROBLEM", "unknown": "UNKNOWN"}
        rows = [[f.name, words[f.state], f.detail] for f in findings]
        output.print_table(["checked", "state", "detail"], rows)
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)


def _here(home: Home, settings: Settings) -> list[Finding]:
    from chitlaq.stack.install import preflight
    from chitlaq.stack.supervisor import control

    try:
        statuses = control.ask(home, control.Ps())
    except control.NotRunningError:
        statuses = []
    findings = preflight.examine(home, settings, is_running=bool(statuses))
    with suppress(OperatorError):  # which is among the findings
        findings += [
            preflight.Finding(f"program {report.component}", report.state, report.detail)
            for report in preflight.server_programs(home, settings, statuses)
        ]
    findings += preflight.limits(settings, statuses)
    findings += preflight.observers(home, settings)
    findings += preflight.optional_ports(settings, statuses)
    return [*findings, _stack(statuses)]


def _in_containers(home: Home, settings: Settings) -> list[Finding]:
    """The servers' programs, ports and limits are their own containers', which nobody sees from another."""
    from chitlaq.stack import containers
    from chitlaq.stack.install import preflight

    statuses = asyncio.run(containers.statuses(home, settings))
    if not any(status.is_well for status in statuses):
        statuses = []
    findings = preflight.examine(home, settings, is_running=True)
    return [*findings, _stack(statuses)]


def _stack(statuses: list[Status]) -> Finding:
    from chitlaq.stack.install.preflight import Finding

    if not statuses:
        return Finding("stack", "ok", "not running; start it with `chitlaq up`")
    bad = [
        f"{status.name} is {status.state}" + (f" ({status.reason})" if status.reason else "")
        for status in statuses
        if not status.is_well
    ]
    if bad:
        return Finding("stack", "problem", f"running, but {', '.join(bad)}: see `chitlaq logs`")
    return Finding("stack", "ok", "running")
