"""Install the observers' configuration: generate it, check it with their own tools, then replace the old one.

A rejected configuration never replaces a working one.
"""

from __future__ import annotations

from pathlib import Path

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files, programs
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Settings
from chitlaq.monitoring import prometheus_config
from chitlaq.monitoring.alerts import registry, routing
from chitlaq.stack import commands
from chitlaq.stack.servers import observers

CHECK_SECONDS = 30


def webhook(settings: Settings) -> str:
    """The URL to which Alertmanager reports."""
    return settings.url_of("ops-service") + "/alerts"


def rules(home: Home) -> bytes:
    """Prometheus's rules file; its annotations name commands as they are typed here."""
    return commands.in_text(registry.rule_groups().decode(), home).encode()


def write_prometheus(home: Home, settings: Settings, promtool: Path) -> Path:
    """Write scrape targets, rules and the key for both; return the configuration's path.

    Raises:
        OperatorError: promtool rejects them; with its message.
    """
    observers.give_key(home, "prometheus")
    _place(
        home.prometheus / "rules" / "alerts.yml",
        rules(home),
        [promtool, "check", "rules"],
    )
    return _place(
        home.prometheus / "prometheus.yml",
        prometheus_config.prometheus(home, settings),
        [promtool, "check", "config"],
    )


def write_alertmanager(home: Home, settings: Settings, amtool: Path) -> Path:
    """Write the routing and the token for reports; return the configuration's path.

    Args:
        home: the installation.
        settings: for the port of ops-service.
        amtool: Alertmanager's own tool.

    Raises:
        OperatorError: amtool rejects it; with its message.
    """
    token = home.alertmanager / "ops-token"
    home.alertmanager.mkdir(parents=True, exist_ok=True)
    files.ensure(token, Secrets(home.secrets).ops_token, mode=0o600)
    return _place(
        home.alertmanager / "alertmanager.yml",
        routing.alertmanager_config(webhook(settings), str(token)),
        [amtool, "check-config"],
    )


def _place(path: Path, content: bytes, check: list[str | Path]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_bytes() == content:
        return path  # A start on a full disk needs no draft.
    # Not durable: generated at each start.
    with files.draft(path, is_durable=False) as draft:
        draft.write_bytes(content)
        checked = programs.run([*check, draft], timeout_seconds=CHECK_SECONDS)
        if checked.code != 0:
            raise OperatorError(
                f"{check[0]} rejects the generated {path.name}:"
                f" {(checked.stderr or checked.stdout).strip()}"
            )
    return path
