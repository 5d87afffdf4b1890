"""The cases of all alerts as one file for ``promtool test rules``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from chitlaq.monitoring.alerts import rules
from chitlaq.monitoring.alerts.alert import Alert, Case

INTERVAL = "1m"


def test_file(rules_path: Path | str, group: str) -> bytes:
    """Return the test file of a group's alerts.

    promtool evaluates every rule of the file for every case, so that all groups together would take
    minutes; each by itself takes seconds.

    Args:
        rules_path: where `rules.rule_groups(only=group)` was written.
        group: its name.
    """
    document = {
        "rule_files": [str(rules_path)],
        # Their windows are hours and days.
        "evaluation_interval": "5m" if group == "slo" else INTERVAL,
        "tests": [_test(alert, case) for alert in rules.groups()[group] for case in alert.cases],
    }
    return msgspec.json.encode(document) + b"\n"


def _test(alert: Alert, case: Case) -> dict[str, Any]:
    return {
        "name": f"{alert.name} {'fires' if case.expected else 'is silent'}",
        "interval": INTERVAL,
        "input_series": [msgspec.to_builtins(series) for series in case.series],
        "alert_rule_test": [
            {
                "eval_time": case.at,
                "alertname": alert.name,
                "exp_alerts": [
                    {
                        "exp_labels": {**alert.all_labels, **expected.labels},
                        "exp_annotations": {
                            "summary": expected.summary,
                            "procedure": alert.procedure,
                        },
                    }
                    for expected in case.expected
                ],
            }
        ],
    }
