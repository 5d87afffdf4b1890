"""Import universities: compare a file with what is known, say the differences, and apply them at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from chitlaq.core import ids
from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http import problems
from chitlaq.services.auth.universities import csv_file, universities
from chitlaq.services.auth.universities.address_rules import AddressRule
from chitlaq.services.auth.universities.csv_file import Wanted
from chitlaq.services.auth.universities.schemas import Change, Imported, University


async def imported(database: Database, text: str, *, apply: bool) -> Imported:
    """Return what a file changes; change it if asked to. Repeating it changes nothing.

    Raises:
        Problem: 422 for lines that cannot be understood, or that leave open which university they mean.
    """
    wanted = csv_file.read(text)
    async with database.transaction() as session:
        await session.execute("lock_universities")
        plan = _Plan(await universities.listed(session))
        for one in wanted:
            plan.add(one)
        if plan.errors:
            raise problems.invalid(plan.errors)
        if apply:
            await plan.apply(session)
    return Imported(plan.changes, len(wanted), sum(len(one.domains) for one in wanted))


class _Plan:
    """What changes, and the rows that are written for it."""

    def __init__(self, known: Sequence[University]) -> None:
        self._by_code: dict[str, University] = {}
        self._by_name: dict[str, list[University]] = {}
        for one in known:
            self._remember(one)
        self._owners = {domain: one for one in known for domain in one.domains}
        self._lines: dict[UUID, int] = {}
        self.changes: list[Change] = []
        self.errors: dict[str, str] = {}
        self._universities: list[tuple[UUID, str | None, str, str]] = []
        self._domains: list[tuple[str, UUID]] = []
        self._rules: dict[UUID, list[AddressRule]] = {}

    def add(self, wanted: Wanted) -> None:
        """Compare a university with those that are known."""
        candidates = self._candidates(wanted)
        if len(candidates) > 1:
            self.errors[f"Line {wanted.line}"] = (
                f"there are {len(candidates)} universities of the name {wanted.name}:"
                " say which by its id or country"
            )
            return
        known = candidates[0] if candidates else None
        own_id = known.id if known else ids.new()
        if own_id in self._lines:
            self.errors[f"Line {wanted.line}"] = (
                f"line {self._lines[own_id]} may mean the same university: give both the same id, or, if they"
                " are two, import that line before this one"
            )
            return
        self._lines[own_id] = wanted.line
        self._compare_names(wanted, known, own_id)
        self._compare_domains(wanted, known, own_id)
        if wanted.rules is not None:
            self._compare_rules(wanted.name, wanted.rules, known, own_id)
        if known is None:
            self._remember(
                University(own_id, wanted.code, wanted.name, wanted.country, [*wanted.domains], [])
            )

    def _remember(self, one: University) -> None:
        if one.code:
            self._by_code[one.code] = one
        self._by_name.setdefault(one.name, []).append(one)

    def _candidates(self, wanted: Wanted) -> list[University]:
        """Those that a file may mean, known or added by it: by its own id, or by name and country."""
        if wanted.code in self._by_code:
            return [self._by_code[wanted.code]]
        return [
            one
            for one in self._by_name.get(wanted.name, ())
            if not (wanted.code and one.code)
            and (
                one.country == wanted.country
                or not wanted.country
                # One whose country nobody has said yet is this one if they share a domain.
                or (not one.country and not wanted.domains.keys().isdisjoint(one.domains))
            )
        ]

    def _compare_names(self, wanted: Wanted, known: University | None, own_id: UUID) -> None:
        code = wanted.code or (known.code if known else None)
        country = wanted.country or (known.country if known else "")
        if known is None:
            self._note("add", wanted.name, f"university{f' in {country}' if country else ''}")
        elif (known.code, known.name, known.country) == (code, wanted.name, country):
            return
        else:
            for what, old, new in (
                ("id", known.code, code),
                ("name", known.name, wanted.name),
                ("country", known.country, country),
            ):
                if old != new:
                    self._note("change", wanted.name, f"{what} {new} (was {old or 'not known'})")
        self._universities.append((own_id, code, wanted.name, country))

    def _compare_domains(self, wanted: Wanted, known: University | None, own_id: UUID) -> None:
        for domain in wanted.domains:
            owner = self._owners.get(domain)
            if owner is None:
                self._note("add", wanted.name, f"domain {domain}")
            elif owner is not known:
                self._note("change", wanted.name, f"domain {domain} (was {owner.name}'s)")
            else:
                continue
            self._domains.append((domain, own_id))

    def _compare_rules(
        self, name: str, rules: list[AddressRule], known: University | None, own_id: UUID
    ) -> None:
        before = known.rules if known else []
        if rules == before:
            return
        added = [one for one in rules if one not in before]
        removed = [one for one in before if one not in rules]
        for one in added:
            self._note("change" if known else "add", name, f"rule {_said(one)}")
        for one in removed:
            self._note("change", name, f"no rule {_said(one)}")
        if not added and not removed:
            self._note("change", name, "order of rules")
        self._rules[own_id] = rules

    def _note(self, action: Literal["add", "change"], name: str, what: str) -> None:
        self.changes.append(Change(action, name, what))

    async def apply(self, session: Session) -> None:
        """Write the rows."""
        rules = [
            (own_id, position, one.kind, one.pattern, one.department)
            for own_id, rules in self._rules.items()
            for position, one in enumerate(rules)
        ]
        await session.execute("put_universities", *_columns(self._universities, 4))
        await session.execute("put_domains", *_columns(self._domains, 2))
        await session.execute("remove_rules", list(self._rules))
        await session.execute("add_rules", *_columns(rules, 5))


def _columns(rows: Sequence[tuple[object, ...]], count: int) -> list[list[object]]:
    """Arguments of a statement that takes an array for each column."""
    return [[row[column] for row in rows] for column in range(count)]


def _said(rule: AddressRule) -> str:
    return f"{rule.kind} {rule.pattern}{f' = {rule.department}' if rule.department else ''}"
