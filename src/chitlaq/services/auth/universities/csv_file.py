"""A university's list of universities: CSV with the columns ``name,domain`` and more, one line a domain."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field

from chitlaq.core import addresses
from chitlaq.core.http import problems
from chitlaq.core.visible import is_one_line
from chitlaq.services.auth.universities import address_rules
from chitlaq.services.auth.universities.address_rules import AddressRule

REQUIRED = ("name", "domain")
RULES = ("allow", "refuse", "departments")
OPTIONAL = ("id", "country", *RULES)

LONGEST_NAME, LONGEST_DEPARTMENT = 200, 100
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}")


@dataclass(slots=True)
class Wanted:
    """A university as a file wants it.

    Args:
        line: where the file first names it.
        code: its own id, if the file gives one.
        domains: and the line of each.
        rules: None if the file has no column for rules: then they stay as they are.
    """

    line: int
    code: str | None
    name: str
    country: str
    domains: dict[str, int] = field(default_factory=dict)
    rules: list[AddressRule] | None = None


class _LineError(ValueError):
    """What is wrong with a line."""


def read(text: str) -> list[Wanted]:
    """Return the universities of a file. Those with the same id are one; without ids, those with the same
    name and country.

    Raises:
        Problem: 422 that says for each line what is wrong.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    found: dict[tuple[str, ...], Wanted] = {}
    owners: dict[str, Wanted] = {}
    errors: dict[str, str] = {}
    try:
        _require_columns(reader.fieldnames or ())
        for row in reader:
            try:
                _add(found, owners, row, reader.line_num)
            except ValueError as error:
                errors[f"Line {reader.line_num}"] = str(error)
    except csv.Error as error:
        errors[f"Line {reader.line_num + 1}"] = f"this is no CSV ({error})"
    if errors:
        raise problems.invalid(errors)
    return list(found.values())


def _require_columns(names: object) -> None:
    named = set(names) if isinstance(names, list) else set()
    missing, unknown = set(REQUIRED) - named, named - {*REQUIRED, *OPTIONAL}
    if missing or unknown:
        raise problems.invalid(
            {
                "Line 1": f"must name the columns {','.join(REQUIRED)}, and may name"
                f" {','.join(OPTIONAL)}"
                + (f"; not {', '.join(map(repr, sorted(unknown)))}" if unknown else "")
            }
        )


def _add(
    found: dict[tuple[str, ...], Wanted], owners: dict[str, Wanted], row: dict[str, str], line: int
) -> None:
    if None in row or None in row.values():
        raise _LineError("has not as many columns as line 1")
    cells = {name: cell.strip() for name, cell in row.items()}
    name, country, code = cells["name"], cells.get("country", "").upper(), cells.get("id", "")
    if not 2 <= len(name) <= LONGEST_NAME or not is_one_line(name):
        raise _LineError(f"{name!r} is no name of a university (2 to {LONGEST_NAME} characters)")
    if not re.fullmatch("([A-Z]{2})?", country):
        raise _LineError(f"{country!r} is no country: two letters (ISO 3166), or nothing")
    if code and not _CODE.fullmatch(code):
        raise _LineError(f"{code!r} is no id: letters, digits and . _ : / -, at most 100")
    domain = _domain(cells["domain"])
    fresh = Wanted(line, code or None, name, country)
    wanted = found.setdefault((code,) if code else (name, country), fresh)
    if (wanted.name, wanted.country) != (name, country):
        raise _LineError(f"line {wanted.line} gives {code} another name or country")
    owner = owners.setdefault(domain, wanted)
    if owner is not wanted:
        raise _LineError(f"{domain} is {owner.name}'s, in line {owner.domains[domain]}")
    wanted.domains.setdefault(domain, line)
    if any(column in cells for column in RULES):
        wanted.rules = wanted.rules or []
        wanted.rules += [rule for rule in _rules(cells) if rule not in wanted.rules]


def _domain(text: str) -> str:
    try:
        domain = addresses.checked_domain(text.removeprefix("@"))
    except ValueError as error:
        raise _LineError(f"{text!r} {error}") from None
    if "." not in domain:
        raise _LineError(f"{text!r} must be a domain such as example.edu")
    return domain


def _rules(cells: dict[str, str]) -> list[AddressRule]:
    """Columns of patterns, divided by spaces; and of ``pattern=Department; pattern=Department``."""
    rules = [
        AddressRule("allow" if column == "allow" else "refuse", address_rules.checked_pattern(one))
        for column in ("allow", "refuse")
        for one in cells.get(column, "").split()
    ]
    for one in filter(None, map(str.strip, cells.get("departments", "").split(";"))):
        pattern, equals, department = map(str.strip, one.partition("="))
        if (
            not equals
            or not 1 <= len(department) <= LONGEST_DEPARTMENT
            or not is_one_line(department)
        ):
            raise _LineError(f"{one!r} must be a pattern, = and a department")
        rules.append(AddressRule("department", address_rules.checked_pattern(pattern), department))
    return rules
