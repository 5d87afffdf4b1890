"""The cases of alerts as files for ``promtool test rules``."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from chitlaq.monitoring.alerts import slos
from chitlaq.monitoring.alerts.alert import Alert, Case

INTERVAL = "1m"
_MINUTES = {"m": 1, "h": 60}


def verdicts(promtool: str, folder: Path, alerts: Iterable[Alert]) -> Mapping[str, str]:
    """Run all cases of the alerts in one process; return what promtool says of each alert.

    promtool evaluates every rule of a file for every case, so each alert gets a file of its own.
    """
    paths = [_written(folder, alert) for alert in alerts]
    done = subprocess.run(
        [promtool, "test", "rules", *paths],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
        # It makes a database for each case, and would collect its garbage as often.
        env={**os.environ, "TMPDIR": str(folder), "GOGC": "800"},
    )
    said = re.split(r"^Unit Testing:\s+(\S+)$", done.stdout, flags=re.MULTILINE)[1:]
    return {
        Path(path).stem: words.strip() for path, words in zip(said[::2], said[1::2], strict=True)
    }


def _written(folder: Path, alert: Alert) -> Path:
    rules = folder / f"{alert.name}.rules"
    recorded = _read(alert.expr)
    group = {"name": alert.name, "rules": [*recorded, alert.rule]}
    rules.write_bytes(msgspec.json.encode({"groups": [group]}))
    document = {
        "rule_files": [str(rules)],
        # The windows of objectives are hours and days.
        "evaluation_interval": "5m" if recorded else INTERVAL,
        "tests": [_test(alert, case) for case in alert.cases],
    }
    path = folder / f"{alert.name}.json"
    path.write_bytes(msgspec.json.encode(document))
    return path


def _read(expr: str) -> list[dict[str, Any]]:
    """The recording rules that an alert reads, and those that these read: each costs as much as the alert."""
    found: list[dict[str, Any]] = []
    for rule in reversed(slos.recording_rules()):
        texts = [expr, *(one["expr"] for one in found)]
        if any(re.search(rf"{re.escape(rule['record'])}\b", text) for text in texts):
            found.insert(0, rule)
    return found


def _test(alert: Alert, case: Case) -> dict[str, Any]:
    for_minutes = int(alert.for_[:-1]) * _MINUTES[alert.for_[-1]]
    return {
        "name": f"{alert.name} {'fires' if case.expected else 'is silent'}",
        "interval": INTERVAL,
        "input_series": msgspec.to_builtins(case.series),
        "alert_rule_test": [
            {
                "eval_time": case.at or f"{for_minutes + 30}m",
                "alertname": alert.name,
                "exp_alerts": [
                    {
                        "exp_labels": alert.firing_labels(expected),
                        "exp_annotations": {
                            "summary": expected.rendered(alert.summary),
                            "procedure": alert.procedure,
                        },
                    }
                    for expected in case.expected
                ],
            }
        ],
    }
