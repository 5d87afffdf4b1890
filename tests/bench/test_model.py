"""The load model: members open, scroll, chat and close; docs/capacity.md has the same arithmetic."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from chitlaq.bench import model, model_load, model_report
from chitlaq.bench.model_load import ModelLoad, Sessions
from tests.conftest import Member, Stack

PAGE = (Path(__file__).parents[2] / "docs" / "capacity.md").read_text()
BUSY = Sessions(seconds=1.0, page=6, like=6, post=6, search=6, message=6, history=6, login=3)
"""Sessions so short and full that every action occurs within seconds."""


async def test_members_open_scroll_chat_and_close(
    stack: Stack, join: Callable[[], Awaitable[Member]]
) -> None:
    one, other = await join(), await join()
    await one.write("Something to like.")
    begun = await one.post("/api/conversations", {"kind": "direct", "members": [other.username]})
    conversation = begun.json()["id"]
    # Nobody writes more than a few messages to somebody who never answered.
    answered = await other.post(
        f"/api/conversations/{conversation}/messages", {"text": "Yes?", "client_id": "1"}
    )
    assert answered.status_code == 201
    outcome = await model_load.run(
        ModelLoad(
            stack.ports["gateway"],
            BUSY,
            [one.token, other.token],
            [conversation],
            [one.username, other.username],
            "not the password",
            4.0,
            {"websocket": stack.ps()["websocket"]["pid"]},
        )
    )
    assert "login: 401" in outcome.refusals
    # The quicker it goes, the sooner there are too many of them.
    assert outcome.refusals.keys() <= {"login: 401", "login: 429"}
    assert outcome.began > 0
    assert outcome.kinds.keys() == {*model.COSTS, "socket"} - {"login"}
    assert all(kind.count and kind.p95 >= kind.p50 > 0 for kind in outcome.kinds.values())
    assert outcome.cpu_seconds["websocket"] > 0


def test_page_shows_the_arithmetic_of_the_prediction() -> None:
    rows = re.findall(
        r"^\| [^|]+ \| ([\d.]+) \| ([\d,]+) \| [^|]+ \| ([\d.]+) \|$", PAGE, re.MULTILINE
    )
    assert sorted(int(cost.replace(",", "")) for _, cost, _ in rows) == sorted(model.COSTS.values())
    for count, cost, milliseconds in rows:
        assert float(count) * int(cost.replace(",", "")) / 1000 == pytest.approx(
            float(milliseconds), abs=0.006
        )
    predicted = model.predicted(model.MODEL)
    assert f"**{predicted:.1f}**" in PAGE
    assert sum(float(one) for *_, one in rows) == pytest.approx(predicted, abs=0.05)
    # Twice the pages cost as much more as those pages do.
    more = msgspec.structs.replace(model.MODEL, page=2 * model.MODEL.page)
    assert model.predicted(more) - predicted == pytest.approx(20 * 0.562)


@pytest.mark.long
async def test_benchmark_compares_a_session_with_its_prediction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model, "SECONDS", 3.0)
    monkeypatch.setattr(model, "REST_SECONDS", 1.0)
    said: list[str] = []
    report = await model.run(60, 4, said.append, BUSY)
    assert report.measured_milliseconds > 0
    assert report.predicted_milliseconds == round(model.predicted(BUSY), 1)
    assert {"feed-service", "postgres", "nginx", "websocket"} <= report.milliseconds.keys()
    text = StringIO()
    Console(file=text, width=200).print(model_report.rendered(report))
    assert "measured / predicted" in text.getvalue()
