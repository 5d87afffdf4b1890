"""The status page: whether it is written, and what members get of it."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from chitlaq.core.errors import NotYet, UnknownResult
from chitlaq.core.formatting import duration
from chitlaq.ops.checks.model import CheckOutcome, Section, Table, Value, Verdict, check, outcome
from chitlaq.ops.checks.sources.judged_by import JUDGED_BY
from chitlaq.ops.checks.sources.system import SystemView

FUTURE_SECONDS = 60.0


class _Page(msgspec.Struct):
    updated_at: datetime


WRITTEN_SECONDS = 120.0


class _Component(msgspec.Struct):
    name: str
    status: str
    is_set_by_person: bool


class _Summary(msgspec.Struct):
    """The fields that are read from ``/status.json``."""

    page: _Page
    components: list[_Component]


@check(
    "statuspage.fresh",
    "Status page",
    section=Section.INCIDENTS,
    looks_at="the file that ops-service writes, and what nginx serves at /status.json",
    commands=(
        "curl -s http://localhost:{port:nginx}/status.json | jq .page.updated_at",
        "chitlaq status",
    ),
    remedy="ops-service writes it every 30 s: `chitlaq logs ops-service --errors`; `df -h` for a full disk."
    " `chitlaq status export /a/folder` writes a copy.",
)
async def fresh(system: SystemView) -> CheckOutcome:
    because: tuple[str, ...] = ()
    path = system.home.status_page / "status.json"
    try:
        written = msgspec.json.decode(await system.blocking(path.read_bytes), type=_Summary)
    except FileNotFoundError:
        if system.is_new(WRITTEN_SECONDS):
            raise NotYet("ops-service writes it within a minute of the first start") from None
        return outcome(
            "it was never written", least=Verdict.CRITICAL, because=[JUDGED_BY["ops-service"]]
        )
    except (OSError, msgspec.DecodeError) as error:
        raise UnknownResult(f"{path} cannot be read: {error}") from None
    age = (datetime.now(UTC) - written.page.updated_at).total_seconds()
    said = f"written {duration(max(age, 0))} ago"
    values = {"age": Value(age, "seconds", *system.thresholds.status_page_seconds)}
    if age < -FUTURE_SECONDS:
        # Until that moment no page that is not rewritten would look old.
        return outcome(
            "it was written in the future: is the clock right?", values, least=Verdict.WARNING
        )
    least = Verdict.OK
    try:
        answer = await system.get("nginx", "/status.json")
        served = msgspec.json.decode(answer.body, type=_Summary)
        if served.page.updated_at < written.page.updated_at:
            least, said = Verdict.CRITICAL, f"{said}, but nginx serves another one"
    except UnknownResult as error:
        least, said = Verdict.CRITICAL, f"{said}, but members cannot read it: {error}"
        because = (error.judged_by,)
    except msgspec.DecodeError:
        least, said = Verdict.CRITICAL, f"{said}, but nginx answers {answer.status} without it"
    by_people = [one.name for one in written.components if one.is_set_by_person]
    if by_people:
        said += f"; set by a person: {', '.join(by_people)}"
    return outcome(
        said,
        values | {"set_by_people": Value(len(by_people))},
        Table(
            "components",
            ["component", "state"],
            [[one.name, one.status] for one in written.components],
        ),
        least=least,
        because=because,
    )
