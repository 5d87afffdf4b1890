"""The observers in containers: their configuration, where their official images find it.

Their own tools are in their images, not in ours, so each server checks it at its start.
"""

from __future__ import annotations

from chitlaq.core.host import files
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secrets import OPERATOR_PASSWORD, Secrets
from chitlaq.core.installation.settings import Settings
from chitlaq.monitoring import prometheus_config, provisioning, proxy
from chitlaq.monitoring.alerts import routing
from chitlaq.monitoring.dashboards import rendering


def write(home: Home, settings: Settings) -> None:
    """Write the configuration of Prometheus, Alertmanager, monitoring-proxy and Grafana."""
    secrets = Secrets(home.secrets)
    (home.prometheus / "rules").mkdir(exist_ok=True)
    files.ensure(home.prometheus / "rules" / "alerts.yml", provisioning.rules(home))
    files.ensure(home.prometheus / "prometheus.yml", prometheus_config.prometheus(home, settings))
    token = home.alertmanager / "ops-token"
    files.ensure(token, secrets.ops_token, mode=0o600)
    routes = routing.alertmanager_config(provisioning.webhook(settings), str(token))
    files.ensure(home.alertmanager / "alertmanager.yml", routes)
    proxy.write(home, proxy.render(home, settings))
    grafana = home.root / "grafana"
    url = f"http://localhost:{settings.port_of('prometheus')}"
    for name, content in rendering.provisioning(grafana / "provisioning", url).items():
        path = grafana / "provisioning" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        files.ensure(path, content)
    files.ensure(grafana / OPERATOR_PASSWORD, secrets.operator_password, mode=0o600)
