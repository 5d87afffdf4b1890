"""Dashboards of the console: the declared panels with what Prometheus has, or why that is unknown."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chitlaq.core.errors import UnknownResult
from chitlaq.core.installation import secrets
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.secret_values import SecretUrl
from chitlaq.core.installation.settings import Monitoring, Settings
from chitlaq.monitoring.dashboards import model
from chitlaq.monitoring.dashboards.all_dashboards import DASHBOARDS
from chitlaq.ops.console.dashboards import drawing
from chitlaq.ops.console.dashboards.drawing import SPANS, Drawing, Window
from tests.ops.checks.prometheus_history import serving

SCRAPE = 15


def history() -> str:
    """Two hours of samples up to now: requests of two services, one of which stopped an hour ago."""
    now = int(time.time())
    lines = ["# TYPE requests counter"]
    lines += [
        f'requests_total{{service="{name}"}} {at - now + 7200} {at}'
        for name, last in (("feed", now), ("search", now - 3600))
        for at in range(now - 7200, last + 1, SCRAPE)
    ]
    lines += ["# TYPE many gauge"]
    lines += [f'many{{number="{number}"}} {number} {now - 60}' for number in range(100)]
    lines += ["# TYPE odd gauge", f"odd NaN {now - 60}"]
    return "\n".join([*lines, "# EOF\n"])


@pytest.fixture(scope="module")
async def prometheus() -> AsyncIterator[str]:
    async with serving({"past": history()}) as addresses:
        yield addresses["past"]


def drawn_from(url: str, folder: Path, span: str = "1h") -> Drawing:
    settings = Settings(prometheus_url=SecretUrl(url), monitoring=Monitoring(scrape_seconds=SCRAPE))
    return Drawing(Home(folder), settings, SPANS[span])


async def test_graph_has_the_points_of_its_time_range_and_gaps_where_there_is_nothing(
    prometheus: str, tmp_path: Path
) -> None:
    panel = model.rates("Requests", "requests_total", "service", "reqps")
    drawn = await drawn_from(prometheus, tmp_path, "6h").panel(panel)
    series = {one.name: one for one in drawn.series}
    assert set(series) == {"feed", "search"}
    assert drawn.times[-1] - drawn.times[0] == 6 * 3600
    assert time.time() - drawn.times[-1] < SCRAPE + 5
    for one in series.values():
        assert len(one.values) == len(drawn.times)
        assert one.values[0] is None
    assert series["feed"].values[-1] == pytest.approx(1, abs=0.01)
    assert (series["feed"].last, series["search"].greatest) == ("1/s", "1/s")
    assert series["search"].values[-1] is None


async def test_too_many_series_are_cut_and_counted_the_greatest_are_kept(
    prometheus: str, tmp_path: Path
) -> None:
    panel = model.graph("Many", "many", "{{number}}")
    drawn = await drawn_from(prometheus, tmp_path).panel(panel)
    assert len(drawn.series) == drawing.MAX_SERIES
    assert drawn.omitted == 100 - drawing.MAX_SERIES
    assert drawn.series[0].name == "99"


async def test_value_that_is_no_number_is_not_drawn(prometheus: str, tmp_path: Path) -> None:
    drawn = await drawn_from(prometheus, tmp_path).panel(model.number("Odd", "odd"))
    assert drawn.series == []


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("scrape_seconds", [1, 15, 60])
def test_no_time_range_has_more_points_than_are_drawn(span: str, scrape_seconds: int) -> None:
    window = Window(SPANS[span], scrape_seconds)
    times = window.times()
    assert 2 <= len(times) <= drawing.MAX_POINTS + 1
    assert times[1] - times[0] == window.step
    # Each rate has at least two samples, also where one scrape failed.
    interval = int(window.expression("rate(x[$__rate_interval])").partition("[")[2].rstrip("s])"))
    assert interval >= max(4 * scrape_seconds, window.step)


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (12_345.6, "short", "12,346"),
        (0.123456, "short", "0.123"),
        (-7200.0, "s", "-2 h"),
        (0.00005, "percentunit", "< 0.01 %"),
        (0.5, "percentunit", "50 %"),
        (1.5e9, "bytes", "1.5 GB"),
        (1500.0, "Bps", "1.5 kB/s"),
        (1.0, "bool_on_off", "on"),
        (2.0, "eps", "2/s"),
    ],
)
def test_values_are_said_in_the_unit_of_their_panel(
    value: float, unit: model.Unit, words: str
) -> None:
    assert drawing.shown(value, unit) == words


async def test_prometheus_that_is_down_or_refuses_is_unknown_with_the_reason(
    prometheus: str, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nobody = f"http://127.0.0.1:{silent.getsockname()[1]}"
    panel = model.number("Up", "up")
    with pytest.raises(UnknownResult, match=f"no answer from {nobody}.*refused"):
        await drawn_from(nobody, tmp_path).panel(panel)
    with pytest.raises(UnknownResult, match=r"Prometheus refuses .*parse error"):
        await drawn_from(prometheus, tmp_path).panel(model.number("Wrong", "up("))
    # An embedded one that has never been started.
    secrets.ensure(Home(tmp_path))
    with pytest.raises(UnknownResult, match="no answer from https://"):
        await Drawing(Home(tmp_path), Settings(), 3600).panel(panel)


async def test_prometheus_that_hangs_is_unknown_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        panels = [model.number(str(one), "up") for one in range(drawing.TOGETHER)]
        hanging = drawn_from(url, tmp_path)
        found = await asyncio.gather(
            *(hanging.panel(one) for one in panels), return_exceptions=True
        )
    reason = (
        f"Prometheus gives no answer from {url}/api/v1/query within {drawing.QUERY_SECONDS:g} s"
    )
    assert [str(one) for one in found] == [reason] * len(panels)


def test_every_threshold_that_a_panel_names_is_a_setting_in_its_unit() -> None:
    checks = Settings().checks
    named = [panel for one in DASHBOARDS for panel in one.panels if panel.threshold]
    assert len(named) >= 10
    for panel in named:
        warning, critical = getattr(checks, panel.threshold)
        assert warning != critical
        is_share = panel.threshold.endswith("_ratio")
        assert (panel.unit == "percentunit") == is_share, panel.title
        assert (panel.unit == "s") == panel.threshold.endswith("_seconds"), panel.title
