"""``chitlaq doctor``: what is missing on this machine, and the remedy."""

from __future__ import annotations

import typer

from chitlaq.cli import installation, output


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(as_json: output.AsJson = False) -> None:
    """Check everything that ChitLaq needs on this machine; exit code 1 if something is missing.

    Example: chitlaq doctor
    """
    from chitlaq.stack.install import preflight
    from chitlaq.stack.supervisor import control

    home, settings = installation.current()
    try:
        control.ask(home, control.Ps())
        is_running = True
    except control.NotRunningError:
        is_running = False
    findings = preflight.examine(home, settings, is_running=is_running)
    stack = "running" if is_running else "not running; start it with `chitlaq up`"
    findings += preflight.observers(home, settings)
    findings.append(preflight.Finding("stack", "ok", stack))
    if as_json:
        output.print_json(findings)
    else:
        words = {"ok": "ok", "problem": "PROBLEM", "unknown": "UNKNOWN"}
        rows = [[f.name, words[f.state], f.detail] for f in findings]
        output.print_table(["checked", "state", "detail"], rows)
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(1)
