"""The dashboard on the service level objectives and how fast their budgets are spent."""

from __future__ import annotations

from chitlaq.monitoring.alerts.slos import BURNS, OBJECTIVES, WINDOWS, Objective
from chitlaq.monitoring.dashboards.model import Panel, Row, bars, dashboard, graphs, row


def _objective(objective: Objective) -> Row:
    title, budget = objective.name.capitalize(), objective.budget
    burn_rates: list[Panel] = [
        bars(
            f"{title}: burn rate over {window} (1 spends exactly the budget)",
            f"{objective.errors(window)} / {budget:g}",
            "{{service}}",
            width=6,
        )
        for window in WINDOWS
        if window != "30m"
    ]
    limits = ((f"vector({burn.factor * budget:g})", f"limit, {burn.factor:g}x") for burn in BURNS)
    share = graphs(
        f"{title}: share of bad requests over an hour",
        "percentunit",
        (objective.errors("1h"), "{{service}}"),
        *limits,
        width=24,
    )
    return row(f"{title}: {objective.target:.1%} of requests", *burn_rates, share)


SLOS = dashboard(
    "chitlaq-slos", "ChitLaq: service level objectives", *map(_objective, OBJECTIVES), span="now-3d"
)
