"""A configuration that an observer's tool rejects never replaces a working one, and its message is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chitlaq.core.errors import OperatorError
from chitlaq.core.installation import secrets
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import SecretUrl
from chitlaq.core.installation.settings import Monitoring, Settings
from chitlaq.monitoring import provisioning

# Longer than Prometheus can count.
UNFIT = Settings(monitoring=Monitoring(scrape_seconds=10**13))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = Home(tmp_path)
    secrets.ensure(found)
    return found


@pytest.fixture
def refusing(tmp_path: Path) -> Path:
    """A tool that rejects everything."""
    path = tmp_path / "tool"
    path.write_text("#!/bin/sh\necho 'line 7: not to my liking' >&2\nexit 1\n")
    path.chmod(0o755)
    return path


def test_prometheus_keeps_its_configuration_if_promtool_rejects_the_new_one(
    home: Home, promtool: str
) -> None:
    path = provisioning.write_prometheus(home, Settings(), Path(promtool))
    before = path.read_bytes()
    with pytest.raises(OperatorError, match=r"rejects the generated prometheus\.yml:.*duration"):
        provisioning.write_prometheus(home, UNFIT, Path(promtool))
    assert path.read_bytes() == before
    provisioning.write_prometheus(
        home, Settings(alertmanager_url=SecretUrl("http://b:9093")), Path(promtool)
    )
    assert path.read_bytes() != before, "and takes one that is fit"


def test_alertmanager_behind_a_path_is_found(home: Home, promtool: str) -> None:
    elsewhere = Settings(alertmanager_url=SecretUrl("https://watch.example.edu/alerts/"))
    text = provisioning.write_prometheus(home, elsewhere, Path(promtool)).read_text()
    (found,) = json.loads(text)["alerting"]["alertmanagers"]
    assert found == {
        "scheme": "https",
        "path_prefix": "/alerts",
        "static_configs": [{"targets": ["watch.example.edu"]}],
    }


def test_prometheus_keeps_its_rules_if_promtool_rejects_the_new_ones(
    home: Home, promtool: str, refusing: Path
) -> None:
    provisioning.write_prometheus(home, Settings(), Path(promtool))
    rules = home.prometheus / "rules" / "alerts.yml"
    rules.write_text("the ones that work")
    with pytest.raises(
        OperatorError, match=r"rejects the generated alerts\.yml: line 7: not to my"
    ):
        provisioning.write_prometheus(home, Settings(), refusing)
    assert rules.read_text() == "the ones that work"
    assert list(rules.parent.iterdir()) == [rules], "Prometheus would read what lies beside it"


def test_alertmanager_keeps_its_routes_if_amtool_rejects_the_new_ones(
    home: Home, amtool: str, refusing: Path
) -> None:
    path = provisioning.write_alertmanager(home, Settings(), Path(amtool))
    path.write_text("the ones that work")
    with pytest.raises(OperatorError, match=r"rejects the generated alertmanager\.yml: line 7"):
        provisioning.write_alertmanager(home, Settings(), refusing)
    assert path.read_text() == "the ones that work"
