"""A setting that cannot work is refused where settings are read, with its name and its source."""

from __future__ import annotations

from pathlib import Path

import pytest

from chitlaq import inventory
from chitlaq.core.errors import OperatorError
from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.home import Home

NUMBERS = [
    (dotted, field)
    for dotted, field in settings_loading.fields()
    if isinstance(field.default, float)
    or (isinstance(field.default, tuple) and field.default and isinstance(field.default[0], float))
]


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(("dotted", "field"), NUMBERS, ids=[dotted for dotted, _ in NUMBERS])
def test_number_that_is_never_reached_is_refused(
    tmp_path: Path, dotted: str, field: object, number: str
) -> None:
    is_pair = isinstance(field.default, tuple)  # type: ignore[attr-defined]
    variable = settings_loading.variable_of(dotted)
    with pytest.raises(OperatorError, match=rf"{dotted} .*{variable}"):
        settings_loading.load(Home(tmp_path), {variable: f"1,{number}" if is_pair else number})
    value = f"[{number}, 1.0]" if is_pair else number
    (tmp_path / "chitlaq.toml").write_text(f"{dotted} = {value}\n")
    with pytest.raises(OperatorError, match=rf"{dotted} .*chitlaq.toml"):
        settings_loading.load(Home(tmp_path), {"HOME": "/"})


@pytest.mark.parametrize("port", inventory.PORTS, ids=lambda port: port.setting)
def test_port_of_another_component_is_refused(tmp_path: Path, port: inventory.Port) -> None:
    other = next(one for one in inventory.PORTS if one is not port)
    variable = settings_loading.variable_of(f"ports.{port.setting}")
    with pytest.raises(OperatorError, match=f"both {other.number} .*{variable}") as refused:
        settings_loading.load(Home(tmp_path), {variable: str(other.number)})
    assert f"ports.{port.setting}" in str(refused.value)
    assert f"ports.{other.setting}" in str(refused.value)


def test_port_of_a_component_that_is_elsewhere_is_free(tmp_path: Path) -> None:
    settings_loading.load(
        Home(tmp_path),
        {"DATABASE_URL": "postgresql://db.example.edu/chitlaq", "CHITLAQ_PORTS_EDGE": "5432"},
    )
