"""Put the observers' configuration in place: generated, checked by their own tools, then moved.

What a tool refuses never replaces what works.
"""

from __future__ import annotations

import pwd
import subprocess
from pathlib import Path

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import Secrets
from chitlaq.core.installation.settings import Settings
from chitlaq.monitoring import prometheus_config
from chitlaq.monitoring.alerts import routing, rules

CHECK_SECONDS = 30


def webhook(settings: Settings) -> str:
    """Where Alertmanager reports to."""
    return f"http://127.0.0.1:{settings.port_of('ops-service')}/alerts"


def write_prometheus(home: Home, settings: Settings, promtool: Path) -> Path:
    """Write targets and rules; return the configuration's path.

    Raises:
        OperatorError: promtool refuses them, with what it said.
    """
    _place(
        home.prometheus / "rules" / "alerts.yml", rules.rule_groups(), [promtool, "check", "rules"]
    )
    return _place(
        home.prometheus / "prometheus.yml",
        prometheus_config.prometheus(home, settings),
        [promtool, "check", "config"],
    )


def write_alertmanager(
    home: Home, settings: Settings, amtool: Path, user: pwd.struct_passwd | None
) -> Path:
    """Write the routing, and the token it reports with; return the configuration's path.

    Args:
        home: the installation.
        settings: ops-service's port.
        amtool: Alertmanager's own tool.
        user: who runs Alertmanager, and alone may read the token.

    Raises:
        OperatorError: amtool refuses it, with what it said.
    """
    token = home.alertmanager / "ops-token"
    home.alertmanager.mkdir(parents=True, exist_ok=True)
    # Not durable, like the rest here: generated at each start.
    files.write(token, Secrets(home.secrets).ops_token, mode=0o600, owner=user, is_durable=False)
    return _place(
        home.alertmanager / "alertmanager.yml",
        routing.alertmanager_config(webhook(settings), str(token)),
        [amtool, "check-config"],
    )


def _place(path: Path, content: bytes, check: list[str | Path]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.draft(path, is_durable=False) as draft:
        draft.write_bytes(content)
        checked = subprocess.run(
            [*check, draft], check=False, capture_output=True, text=True, timeout=CHECK_SECONDS
        )
        if checked.returncode != 0:
            raise OperatorError(
                f"{check[0]} refuses the generated {path.name}:"
                f" {(checked.stderr or checked.stdout).strip()}"
            )
    return path
