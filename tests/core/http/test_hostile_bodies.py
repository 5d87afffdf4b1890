"""No JSON is a fault, in any field of any route: what schemathesis leaves out, since no schema has it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import cycle, islice
from typing import Any
from uuid import UUID, uuid4

import pytest

from chitlaq import inventory
from chitlaq.core.http.roles import ROLES
from chitlaq.core.installation.secrets import Secrets
from tests.conftest import Member, Stack
from tests.core.http.test_cursors import at
from tests.core.http.test_unknown_parameters import FOR_OPERATORS, VALUES

Json = Mapping[str, Any]

HOSTILE = [
    r'"a\u0000b"', r'"\ud800"', r'"\udc00a"', r'["\u0000"]', r'{"\u0000": 1}', r'{"a\ud800": [{}]}',
    "1e400", "-1e400", "9" * 400, "-9223372036854775809", "18446744073709551616", "1.5", "NaN", "Infinity",
    "[" * 200 + "]" * 200, "[" * 100_000, '{"a":' * 3000 + "1" + "}" * 3000, "[null]", "[[]]", "{}", "null",
    "true", '""', '" "', f'"{"x" * 10_000}"', f'"{"👨" * 3000}"', '"١٢٣٤٥٦"', r'"\u202e\u200b"', r'"\ufeff"',
    f"[{','.join(['1'] * 5000)}]", '["a", "a"]', '"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"',
    '"10000-01-01T00:00:00Z"', '"https://a@[/"', '"http://[::1"', '"@"', f'"{UUID(int=0)}"',
]  # fmt: skip
"""Values of a field."""
WHOLE = [
    b"", b"null", b'"a"', b"[{}]", b"{", b"{}{}", b"\xef\xbb\xbf{}", b"\xff\xfe{\0}\0", b'{"a": 1, "a": 2}',
    b"\0",
]  # fmt: skip
MINUTE = 60
EACH = 2
"""Values that a field gets in the short form; the next field gets the next ones."""


@pytest.mark.parametrize(
    "each", [EACH, pytest.param(len(HOSTILE), marks=[pytest.mark.long, pytest.mark.timeout(1200)])]
)
async def test_no_body_is_a_fault(
    stack: Stack, join: Callable[[], Awaitable[Member]], each: int
) -> None:
    eve, bob = await join(), await join()
    post = await eve.write("any text")
    group = {"kind": "group", "name": "any", "members": [bob.username]}
    talk = (await eve.post("/api/conversations", group)).json()
    values = {
        **VALUES,
        "conversation_id": talk["id"],
        "post_id": post["id"],
        "username": eve.username,
        "which": eve.username,
    }
    hostile, whole = cycle(HOSTILE), cycle(WHOLE)
    faults, asked = [], 0
    for service in inventory.SERVICES:
        if service.name == "ops-service":
            continue  # What is told to it stands in the lists of other tests.
        async with at(stack, service.name) as client:
            description = (await client.get("/openapi.json")).json()
            for path, method, schema in taking_json(description):
                target = re.sub(r"\{(\w+)\}", lambda one: values.get(one[1], "a"), path)
                bodies = list(islice(whole, 2))
                for name, rest in fields(schema, description):
                    for value in islice(hostile, each):
                        bodies.append(f'{{{rest}"{name}": {value}}}'.encode())
                    bodies.append(f'{{{rest}"{name}": 1, "{name}": {value}}}'.encode())
                # As whoever has just joined: a body that is accepted may end somebody's sessions.
                token = stack.signer.sign(UUID(eve.id), uuid4(), 900, roles=ROLES)
                if (service.name, path) in FOR_OPERATORS:
                    token = Secrets(stack.home / "secrets").ops_token
                headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
                for body in bodies:
                    answer = await client.request(method, target, content=body, headers=headers)
                    if answer.status_code == 429 and int(answer.headers["retry-after"]) <= MINUTE:
                        # Not what counts guesses of passwords: they are let through in an hour.
                        await asyncio.sleep(int(answer.headers["retry-after"]))
                        answer = await client.request(method, target, content=body, headers=headers)
                    asked += 1
                    if answer.status_code >= 500:
                        faults.append((method, target, body[:200], answer.text))
    assert not faults
    assert asked > 300


def taking_json(description: Json) -> Iterator[tuple[str, str, Json]]:
    """The routes that take a body in JSON, each with its schema."""
    for path, item in description["paths"].items():
        for method, operation in item.items():
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" in content:
                yield path, method.upper(), content["application/json"]["schema"]


def fields(schema: Json, description: Json) -> Iterator[tuple[str, str]]:
    """Each field of an object, and the others that it must have, with a comma behind."""
    for kind in kinds(schema, description):
        needed = kind.get("required", [])
        for name in kind.get("properties", {}):
            rest = {
                other: good(kind["properties"][other], description)
                for other in needed
                if other != name
            }
            yield name, "".join(f"{json.dumps(key)}: {json.dumps(rest[key])}, " for key in rest)


def kinds(schema: Json, description: Json) -> list[Json]:
    """What a schema may be, without references."""
    while "$ref" in schema:
        schema = description["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    several = schema.get("oneOf") or schema.get("anyOf")
    return [one for each in several for one in kinds(each, description)] if several else [schema]


def good(schema: Json, description: Json) -> object:
    """Return something that a schema allows, mostly."""
    kind = kinds(schema, description)[0]
    if "enum" in kind:
        return kind["enum"][0]
    if "const" in kind:
        return kind["const"]
    match kind.get("type"):
        case "object":
            needed = kind.get("required", [])
            return {name: good(kind["properties"][name], description) for name in needed}
        case "array":
            return [good(kind["items"], description)] * kind.get("minItems", 0)
        case "integer" | "number":
            return kind.get("minimum", 1)
        case "boolean":
            return False
    formats = {"uuid": str(UUID(int=1)), "date-time": "2100-01-01T00:00:00Z", "date": "2100-01-01"}
    return formats.get(kind.get("format", ""), "a" * max(1, kind.get("minLength", 1)))
