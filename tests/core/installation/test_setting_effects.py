"""Each setting says what it touches: nobody who reads it is forgotten when it changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import chitlaq
from chitlaq import inventory
from chitlaq.core.installation import setting_effects, settings_loading
from chitlaq.core.installation.secret_values import SecretUrl
from chitlaq.core.installation.setting_effects import DECLARED, SERVICES, effect_of
from chitlaq.core.installation.settings import Monitoring, Ports, Settings, Tokens

SOURCE = Path(chitlaq.__file__).parent
NAMES = [dotted for dotted, _ in settings_loading.fields()]
READ = re.compile(r"\bsettings\.([a-z_0-9]+)(?:\.([a-z_0-9]+))?")


@pytest.mark.parametrize("dotted", NAMES)
def test_setting_says_what_it_touches(dotted: str) -> None:
    effect = effect_of(dotted)
    assert set(effect.components) <= inventory.COMPONENTS.keys()
    assert bool(effect.components) == (effect.means in {"reload", "restart"})


def test_no_setting_is_declared_that_there_is_not() -> None:
    sections = {dotted.rpartition(".")[0] for dotted in NAMES}
    assert DECLARED.keys() <= {*NAMES, *sections}


def test_what_takes_a_start_is_as_the_running_stack_has_it() -> None:
    wanted = Settings(
        database_url=SecretUrl("postgresql://db.example.edu/chitlaq"),
        ports=Ports(edge=9090),
        tokens=Tokens(access_seconds=60),
        monitoring=Monitoring(embedded=False, scrape_seconds=30),
    )
    found = setting_effects.as_started(wanted, Settings())
    changed = {name for name in NAMES if found.value_of(name) != Settings().value_of(name)}
    assert changed == {"tokens.access_seconds", "monitoring.scrape_seconds"}


def readers() -> Iterator[tuple[str, Path]]:
    """Each component, or all services, with the code that reads settings for it."""
    for row in inventory.SERVICES:
        yield row.name, SOURCE.parent / row.package.replace(".", "/")
    yield "ops-service", SOURCE / "monitoring" / "exporter"
    for name in SERVICES:
        yield name, SOURCE / "core" / "http"


def read_by(component: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield each setting or section that this code reads, with the component that runs it."""
    for file in (*folder.rglob("*.py"), *folder.rglob("*.j2")):
        reader = "nginx" if file.name.startswith("nginx.") else component
        for first, second in READ.findall(file.read_text()):
            yield f"{first}.{second}" if f"{first}.{second}" in NAMES else first, reader


@pytest.mark.parametrize(("component", "folder"), list(readers()))
def test_who_reads_a_setting_takes_its_changes(component: str, folder: Path) -> None:
    for dotted, reader in set(read_by(component, folder)):
        effects = [effect_of(one) for one in NAMES if one == dotted or one.startswith(f"{dotted}.")]
        assert not effects or any(
            effect.means in {"start", "none"} or reader in effect.components for effect in effects
        ), f"{reader} reads {dotted}: add it to setting_effects.py"


def test_unknown_setting_has_no_effect() -> None:
    with pytest.raises(KeyError):
        setting_effects.effect_of("checks_of.nothing")
