"""Whatever is logged becomes a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chitlaq.core.telemetry import logs


def test_name_that_is_not_utf_8_is_logged_readably(capfd: pytest.CaptureFixture[str]) -> None:
    fault = FileNotFoundError(2, "none", "b\udcff")
    logs.get("x").error("missing", path=Path("a\udcff"), seconds=1.5, fault=fault)
    line = json.loads(capfd.readouterr().err)
    assert (line["path"], line["seconds"], line["level"]) == ("a\\udcff", 1.5, "error")
    assert "b\\udcff" in line["exception"]
