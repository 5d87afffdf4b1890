"""Prometheus and Alertmanager as checks query them: errors state a reason; no samples are not zero."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Protocol, TypeVar

import msgspec

from chitlaq.core.errors import OperatorError, UnknownResult
from chitlaq.core.host.http_client import Response
from chitlaq.core.installation import observers
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.observers import Access
from chitlaq.core.installation.settings import Settings
from chitlaq.inventory import COMPONENTS
from chitlaq.ops.checks.sources.judged_by import JUDGED_BY

T = TypeVar("T")


class Require(Protocol):
    """Raises `NotYet` if an observer that does not answer, or has no samples, has not had the time."""

    async def __call__(self, name: str, /, *, has_answered: bool) -> None: ...


async def require_nothing(_name: str, *, has_answered: bool) -> None:
    """For who shows what there is."""


Get = Callable[[Access, str, dict[str, str]], Awaitable[Response]]
"""Sends a GET request to a server's path with parameters; raises UnknownResult when there is no answer."""


class Sample(msgspec.Struct, frozen=True):
    """One series of an instant vector."""

    metric: dict[str, str]
    value: tuple[float, str]

    @property
    def number(self) -> float:
        return float(self.value[1])


class Range(msgspec.Struct, frozen=True):
    """One series of a range vector."""

    metric: dict[str, str]
    values: list[tuple[float, str]]

    @property
    def points(self) -> list[tuple[datetime, float]]:
        return [(datetime.fromtimestamp(at, UTC), float(value)) for at, value in self.values]


class _Vector(msgspec.Struct):
    result: list[Sample] = []


class _Matrix(msgspec.Struct):
    result: list[Range] = []


class _Response(msgspec.Struct):
    status: str
    data: msgspec.Raw = msgspec.Raw(b"{}")
    error: str = ""


FRESH_SECONDS = 90.0
"""How old the last look at a component may be; four looks where they are further apart."""


def promql(expression: str) -> str:
    """Return the shell command for a query; it is URL-encoded, so curl leaves braces alone."""
    address = "http://localhost:{port:prometheus}/api/v1/query"
    return f"curl -s -G {address} --data-urlencode 'query={expression}' | jq ."


def where(metric: Mapping[str, str], among: Iterable[Mapping[str, str]]) -> str:
    """Return " at HOST" of the machine that a series is of, if these are of several."""
    if len({one.get("instance", "") for one in among}) == 1:
        return ""
    return f" at {metric.get('instance', '').rpartition(':')[0]}"


class PrometheusView:
    """Queries Prometheus over its HTTP API."""

    def __init__(self, home: Home, settings: Settings, get: Get, require: Require) -> None:
        self._home, self._settings = home, settings
        self._get, self._require = get, require

    async def require_alive(self, components: Sequence[str]) -> None:
        """Raise unless all of these components answered when they were last looked at.

        What rates are over a window of minutes outlives whoever is counted in it by these minutes.

        Raises:
            NotYet: one of them is fetched or started for the first time.
            UnknownResult: one of them did not answer, or is not observed; or as `query`.
        """
        seen = {
            one.metric.get("job") or one.metric["component"]: one.number
            for one in await self.query(
                f"max by (job) ({self.lately('up')})"
                f" or max by (component) ({self.lately('component_up')})"
            )
        }
        for name in components:
            is_up = seen.get(COMPONENTS[name].job or name)
            if is_up is None:
                await self._require("prometheus", has_answered=True)
                raise UnknownResult(
                    f"Prometheus has no samples of {name}", JUDGED_BY["ops-service"]
                )
            if not is_up:
                await self._require(name, has_answered=False)
                raise UnknownResult(
                    f"{name} is down: what it did before says nothing of now", JUDGED_BY[name]
                )

    def lately(self, metric: str) -> str:
        """Return the expression for a metric that is 0 where nobody has looked lately.

        Prometheus keeps the last sample in view for five minutes.
        """
        fresh = max(FRESH_SECONDS, 4.0 * self._settings.monitoring.scrape_seconds)
        return f"({metric} and timestamp({metric}) > time() - {fresh:g} or 0 * {metric})"

    async def query(self, expression: str) -> list[Sample]:
        """Return an instant vector.

        Raises:
            UnknownResult: Prometheus is unavailable, refuses the query, or has no samples for it.
        """
        found = await self.samples(expression)
        known = [sample for sample in found if sample.value[1] != "NaN"]
        if not known:
            await self._require("prometheus", has_answered=True)
            raise UnknownResult(f"Prometheus has no samples for {expression}")
        return known

    async def samples(self, expression: str) -> list[Sample]:
        """Return an instant vector with all it has, which may be nothing; errors as of `range`."""
        return (await self._ask("query", _Vector, query=expression)).result

    async def number(self, expression: str) -> float:
        """Return the value of an expression that yields one series."""
        return (await self.query(expression))[0].number

    async def range(
        self, expression: str, seconds: float, step: float, end: float | None = None
    ) -> list[Range]:
        """Return the series of the ``seconds`` up to ``end``, which is now, one point per step.

        Raises:
            UnknownResult: Prometheus is unavailable or refuses the query; no series is an empty list.
        """
        end = datetime.now(UTC).timestamp() if end is None else end
        matrix = await self._ask(
            "query_range",
            _Matrix,
            query=expression,
            start=f"{end - seconds:.0f}",
            end=f"{end:.0f}",
            step=f"{step:.0f}",
        )
        return matrix.result

    async def _ask(self, what: str, kind: type[T], **params: str) -> T:
        access = _access(self._home, self._settings, "prometheus")
        answer = await _answer(
            self._get, self._require, access, "prometheus", f"/api/v1/{what}", params
        )
        try:
            body = msgspec.json.decode(answer.body, type=_Response)
            if body.status != "success":
                raise UnknownResult(f"Prometheus refuses {params['query']}: {body.error}")
            return msgspec.json.decode(body.data, type=kind)
        except msgspec.DecodeError as error:
            if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
                raise UnknownResult(
                    "Prometheus is starting: it reads what it has stored", JUDGED_BY["prometheus"]
                ) from None
            raise UnknownResult(f"{access.url} does not answer like Prometheus: {error}") from None


class AlertmanagerView:
    """Reads from Alertmanager's HTTP API."""

    def __init__(self, home: Home, settings: Settings, get: Get, require: Require) -> None:
        self._home, self._settings = home, settings
        self._get, self._require = get, require

    async def get(self, path: str) -> bytes:
        """Return the body of the answer.

        Raises:
            UnknownResult: Alertmanager is unavailable, or refuses.
        """
        access = _access(self._home, self._settings, "alertmanager")
        answer = await _answer(self._get, self._require, access, "alertmanager", path, {})
        if answer.status != 200:
            raise UnknownResult(f"{access.url}{path} answered with status {answer.status}")
        return answer.body


async def _answer(
    get: Get, require: Require, access: Access, name: str, path: str, parameters: dict[str, str]
) -> Response:
    try:
        return await get(access, path, parameters)
    except UnknownResult as error:
        await require(name, has_answered=False)
        raise UnknownResult(str(error), JUDGED_BY[name]) from None


def _access(home: Home, settings: Settings, name: str) -> Access:
    if not (settings.embeds(name) or settings.value_of(f"{name}_url")):
        raise UnknownResult(
            f"there is no {name}: monitoring.embedded is false, and no {name}_url is set",
            JUDGED_BY[name],
        )
    try:
        return observers.access(home, settings, name)
    except OperatorError as error:
        raise UnknownResult(str(error), JUDGED_BY[name]) from None
