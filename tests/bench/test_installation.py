"""The installation that is measured: its settings are ones that there are."""

from __future__ import annotations

from chitlaq.bench.installation import installed


async def test_installation_to_measure_takes_its_settings() -> None:
    async with installed() as installation:
        assert installation.environment["CHITLAQ_DEMO"] == "false"
