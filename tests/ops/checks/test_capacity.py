"""Capacity forecasts from a real Prometheus with two days of samples."""

from __future__ import annotations

import math
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.ops.checks.model import Table, TimeSeries, Verdict
from chitlaq.ops.checks.runner import Result
from tests.conftest import MEMORY, QUICK_FOLDER, Member, Stack
from tests.ops.checks.conftest import RunOnStack
from tests.ops.checks.prometheus_history import serving
from tests.ops.checks.run_check import run_check

DAY = 86_400.0
STEP = 240
"""Seconds between samples: a question of any moment finds one within five minutes."""
FUTURE = 1200

Join = Callable[[], Awaitable[Member]]
Share = Callable[[float], float]
"""What share of a thing is used, so many days before now (negative)."""

STORIES: Mapping[str, tuple[float, Share]] = {
    # (days of past, share in use)
    "filling": (2, lambda day: 0.6 + 0.02 * day),
    "nearly": (2, lambda day: 0.9 + 0.02 * day),
    "full": (2, lambda day: min(1.0, 1.1 + 0.02 * day)),
    "flat": (2, lambda _day: 0.5),
    "shrinking": (2, lambda day: 0.5 - 0.02 * day),
    "wavy": (2, lambda day: 0.5 + 0.3 * math.sin(day * 12)),
    "young": (0.2, lambda day: 0.6 + 0.02 * day),
}
DISKS = {"/dev/a": 1e12, "/dev/b": 4e11}


def mounted_at(path: Path) -> str:
    """Where a path's file system is mounted, by the machine's own program."""
    answer = subprocess.run(
        ["df", "--output=target", str(path)], capture_output=True, text=True, check=True
    )
    return answer.stdout.splitlines()[-1]


HERE = mounted_at(QUICK_FOLDER)
"""Where the tests' homes lie, and with them the database."""


def exposition(days: float, share: Share, now: float) -> Iterator[str]:
    times = [now + second for second in range(int(-days * DAY), FUTURE, STEP)]

    def gauge(name: str, values: Mapping[str, Share]) -> Iterator[str]:
        yield f"# TYPE {name} gauge"
        for labels, value in values.items():
            for at in times:
                yield f"{name}{labels} {value((at - now) / DAY):.0f} {at:.3f}"

    def available(disk: str) -> Share:
        return lambda day: DISKS[disk] * (1 - share(day))

    def size(disk: str) -> Share:
        return lambda _day: DISKS[disk]

    mounts = {
        f'{{device="/dev/a",mountpoint="{HERE}",fstype="ext4"}}': "/dev/a",
        '{device="/dev/a",mountpoint="/again",fstype="ext4"}': "/dev/a",
        '{device="/dev/b",mountpoint="/data",fstype="xfs"}': "/dev/b",
        '{device="tmpfs",mountpoint="/run",fstype="tmpfs"}': "/dev/a",
    }
    yield from gauge(
        "component_memory_bytes",
        {
            '{component="feed-service"}': lambda day: 1e9 * share(day),
            '{component="redis"}': lambda _day: 5e6,
        },
    )
    yield from gauge(
        "node_filesystem_avail_bytes",
        {labels: available(disk) for labels, disk in mounts.items()},
    )
    yield from gauge(
        "node_filesystem_size_bytes",
        {labels: size(disk) for labels, disk in mounts.items()},
    )
    yield from gauge("node_memory_MemAvailable_bytes", {"": lambda day: 1e10 * (1 - share(day))})
    yield from gauge("node_memory_MemTotal_bytes", {"": lambda _day: 1e10})
    yield from gauge(
        "postgresql_connections_active",
        {'{state="idle"}': lambda day: 400 * share(day), '{state="active"}': lambda _day: 0},
    )
    yield from gauge("postgresql_connections_max", {"": lambda _day: 400})
    yield from gauge(
        "postgresql_database_size_bytes", {'{database="chitlaq"}': lambda day: 1e12 * share(day)}
    )
    yield from gauge(
        "postgresql_table_size_bytes",
        {
            '{table="auth.accounts"}': lambda _day: 1e6,
            '{table="websocket.messages"}': lambda day: 1e12 * share(day),
        },
    )
    yield "# EOF"


@pytest.fixture(scope="module")
async def told() -> AsyncIterator[Mapping[str, str]]:
    now = time.time()
    pasts: dict[str, str | None] = {
        name: "\n".join(exposition(days, share, now)) + "\n"
        for name, (days, share) in STORIES.items()
    }
    async with serving({**pasts, "nothing": None}) as addresses:
        yield addresses


async def forecast(check: str, address: str, tmp_path: Path) -> Result:
    return await run_check(Home(tmp_path), check, PROMETHEUS_URL=address)


CAPACITY = (
    "capacity.disk", "capacity.memory", "capacity.connections", "capacity.database",
    "capacity.tables",
)  # fmt: skip


@pytest.mark.parametrize("check", CAPACITY)
@pytest.mark.parametrize(
    ("story", "verdict"),
    [
        ("filling", Verdict.WARNING),
        ("nearly", Verdict.CRITICAL),
        ("full", Verdict.CRITICAL),
        ("flat", Verdict.OK),
        ("shrinking", Verdict.OK),
        ("wavy", Verdict.OK),
        ("young", Verdict.SKIPPED),
        ("nothing", Verdict.UNKNOWN),
    ],
)
async def test_free_space_is_forecast_from_linear_growth(
    told: Mapping[str, str], tmp_path: Path, check: str, story: str, verdict: Verdict
) -> None:
    found = await forecast(check, told[story], tmp_path)
    assert found.verdict == verdict, found.summary
    if story == "filling":
        (days,) = {round(value.value) for value in found.values.values()}
        assert days == 20
        assert any(isinstance(one, TimeSeries) and one.points for one in found.evidence)
    if verdict == Verdict.OK:
        assert not found.values, "no forecast is made of what is no line"


async def test_each_file_system_has_one_row_though_it_is_mounted_twice(
    told: Mapping[str, str], tmp_path: Path
) -> None:
    found = await forecast("capacity.disk", told["filling"], tmp_path)
    (table,) = [one for one in found.evidence if isinstance(one, Table)]
    assert len(table.rows) == len(DISKS)
    assert not [row for row in table.rows if row[0] == "/run"]


async def test_each_machine_of_a_site_is_forecast(tmp_path: Path) -> None:
    now = time.time()
    times = [now + second for second in range(int(-2 * DAY), FUTURE, STEP)]
    lines = []
    for metric, of in (
        (
            "node_filesystem_size_bytes",
            {"127.0.0.1:9100": lambda _: 1e12, "10.0.0.21:9100": lambda _: 1e12},
        ),
        (
            "node_filesystem_avail_bytes",
            {"127.0.0.1:9100": lambda _: 5e11, "10.0.0.21:9100": lambda day: 1e11 - 1e10 * day},
        ),
        (
            "node_memory_MemTotal_bytes",
            {"127.0.0.1:9100": lambda _: 8e9, "10.0.0.21:9100": lambda _: 4e9},
        ),
        (
            "node_memory_MemAvailable_bytes",
            {"127.0.0.1:9100": lambda _: 4e9, "10.0.0.21:9100": lambda day: 2e9 - 1e9 * day},
        ),
    ):
        lines.append(f"# TYPE {metric} gauge")
        place = ',device="/dev/sda1",mountpoint="/",fstype="ext4"' if "filesystem" in metric else ""
        lines += [
            f'{metric}{{instance="{instance}"{place}}} {value((at - now) / DAY):.0f} {at:.3f}'
            for instance, value in of.items()
            for at in times
        ]
    async with serving({"site": "\n".join([*lines, "# EOF\n"])}) as addresses:
        disk = await forecast("capacity.disk", addresses["site"], tmp_path)
        memory = await forecast("capacity.memory", addresses["site"], tmp_path)
    assert disk.summary.startswith("/ at 10.0.0.21: full in 10 days")
    assert list(disk.values) == ["days / at 10.0.0.21"]
    assert memory.summary.startswith("memory in use at 10.0.0.21: full in 2 days")


async def test_table_that_grows_is_named(told: Mapping[str, str], tmp_path: Path) -> None:
    found = await forecast("capacity.tables", told["filling"], tmp_path)
    assert "websocket.messages: full in 20 days" in found.summary
    assert list(found.values) == ["days websocket.messages"]


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder on another file system than the tests' homes."""
    others = [
        place for place in (MEMORY, Path("/tmp")) if place.is_dir() and mounted_at(place) != HERE
    ]
    if not others:
        pytest.skip("this machine has one file system")
    with tempfile.TemporaryDirectory(dir=others[0]) as folder:
        yield Path(folder)


def disks_of(now: float, free: Mapping[str, float]) -> str:
    """A database of 500 GB that grows by 10 GB a day, beside file systems that do not change.

    Args:
        now: Unix seconds.
        free: bytes that are free, by the labels of the file system.
    """
    times = [now + second for second in range(int(-2 * DAY), FUTURE, STEP)]
    lines = ["# TYPE postgresql_database_size_bytes gauge"]
    lines += [
        f"postgresql_database_size_bytes {5e11 + 1e10 * (at - now) / DAY:.0f} {at:.3f}"
        for at in times
    ]
    lines.append("# TYPE node_filesystem_avail_bytes gauge")
    lines += [
        f"node_filesystem_avail_bytes{{{labels}}} {left:.0f} {at:.3f}"
        for labels, left in free.items()
        for at in times
    ]
    return "\n".join([*lines, "# EOF\n"])


async def test_database_is_forecast_against_its_own_disk(tmp_path: Path, elsewhere: Path) -> None:
    """With the data on its own volume, neither / nor other mounts matter."""
    mount = mounted_at(elsewhere)
    past = disks_of(
        time.time(),
        {
            f'mountpoint="{HERE}"': 1e9,
            'mountpoint="/var/lib"': 2e9,
            f'mountpoint="{elsewhere}-not"': 3e9,
            f'mountpoint="{mount}"': 1e11,
        },
    )
    home = Home(elsewhere / "home")
    # The folder may be anywhere, and the home have but a link to it.
    (elsewhere / "volume").mkdir()
    linked = Home(tmp_path / "linked")
    linked.root.mkdir()
    linked.postgres_data.symlink_to(elsewhere / "volume")
    async with serving({"past": past}) as addresses:
        for one in (home, linked):
            found = await run_check(one, "capacity.database", PROMETHEUS_URL=addresses["past"])
            (days,) = (value.value for value in found.values.values())
            assert days == pytest.approx(10, abs=0.1)


async def test_invisible_disk_of_a_database_is_not_guessed(tmp_path: Path) -> None:
    now = time.time()
    pasts = {
        "other": disks_of(now, {'mountpoint="/nowhere"': 1e11}),
        "many": disks_of(
            now,
            {f'mountpoint="{HERE}",instance="{machine}"': 1e11 for machine in ("a", "b")},
        ),
    }
    async with serving(pasts) as addresses:
        for name, reason in (("other", HERE), ("many", "2 machines")):
            found = await forecast("capacity.database", addresses[name], tmp_path)
            assert found.verdict == Verdict.UNKNOWN
            assert reason in found.summary
        server = await run_check(
            Home(tmp_path),
            "capacity.database",
            PROMETHEUS_URL=addresses["many"],
            DATABASE_URL="postgresql://owner@db.example.edu/chitlaq",
        )
    assert server.verdict == Verdict.SKIPPED
    assert "DATABASE_URL" in server.summary


@pytest.mark.parametrize(
    ("story", "verdict"),
    [
        ("flat", Verdict.OK),
        ("wavy", Verdict.OK),
        ("filling", Verdict.OK),
        ("young", Verdict.SKIPPED),
        ("nothing", Verdict.UNKNOWN),
    ],
)
async def test_memory_that_grows_little_or_not_at_all_is_no_leak(
    told: Mapping[str, str], tmp_path: Path, story: str, verdict: Verdict
) -> None:
    found = await forecast("memory.growth", told[story], tmp_path)
    assert found.verdict == verdict, found.summary


async def test_steadily_growing_process_is_named(tmp_path: Path) -> None:
    leak = "\n".join(exposition(2, lambda day: 0.5 + 0.2 * day, time.time())) + "\n"
    async with serving({"leak": leak}) as addresses:
        found = await forecast("memory.growth", addresses["leak"], tmp_path)
    assert found.verdict == Verdict.WARNING
    assert "feed-service" in found.summary
    assert "redis" not in found.summary


@pytest.mark.parametrize("what", ["members", "posts"])
@pytest.mark.parametrize(
    ("share", "verdict"),
    [(0.1, Verdict.OK), (0.9, Verdict.WARNING), (1.1, Verdict.CRITICAL)],
)
async def test_growth_is_judged_by_the_tested_size(
    stack: Stack,
    join: Join,
    run_on_stack: RunOnStack,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    share: float,
    verdict: Verdict,
) -> None:
    from chitlaq.ops.checks import capacity

    assert what in capacity.TESTED
    member = await join()
    await member.write("one more")
    gone = await member.write("none more")
    assert (await member.delete(f"/api/posts/{gone['id']}")).status_code == 204
    (row,) = await stack.sql(
        "WITH people AS (SELECT id FROM feed.members WHERE university_id IS NOT NULL)"
        " SELECT (SELECT count(*) FROM people) AS members,"
        " (SELECT count(*) FROM feed.posts p JOIN people a ON a.id = author_id WHERE deleted_at IS NULL)"
        " AS posts"
    )
    monkeypatch.setattr(capacity, "TESTED", {what: row[what] / share})
    found = await run_on_stack("growth.members")
    assert found.verdict == verdict
    assert found.values[what].value == row[what]
    # Everything here is younger than 30 days.
    assert found.values[f"{what} within 30 days"].value == row[what]
    assert found.values[f"{what} of tested"].value == pytest.approx(share)


async def test_growth_counts_what_members_wrote_to_each_other(
    join: Join, run_on_stack: RunOnStack
) -> None:
    ada, bob = await join(), await join()
    before = (await run_on_stack("growth.members")).values["messages"].value
    began = await ada.client.post(
        "/api/conversations",
        json={"kind": "direct", "members": [bob.username]},
        headers=ada.headers,
    )
    for number in range(3):
        sent = await ada.client.post(
            f"/api/conversations/{began.json()['id']}/messages",
            json={"text": "hello", "client_id": str(number)},
            headers=ada.headers,
        )
        assert sent.status_code == 201, sent.text
    assert (await run_on_stack("websocket.round_trip")).verdict == Verdict.OK
    past = f"# TYPE chat_messages gauge\nchat_messages {before} {time.time() - DAY:.3f}\n# EOF\n"
    async with serving({"past": past, "nothing": None}) as addresses:
        found = await run_on_stack("growth.members", PROMETHEUS_URL=addresses["past"])
        unseen = await run_on_stack("growth.members", PROMETHEUS_URL=addresses["nothing"])
    assert found.values["messages"].value == before + 3
    assert found.values["messages within 30 days"].value == 3
    assert "messages within 30 days" not in unseen.values
    assert "unknown of them new" in unseen.summary


async def test_growth_without_postgresql_is_unknown(tmp_path: Path) -> None:
    assert (await run_check(Home(tmp_path), "growth.members")).verdict == Verdict.UNKNOWN
