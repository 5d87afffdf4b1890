"""Universities: whose addresses may register."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http import problems
from chitlaq.services.auth.universities import address_rules
from chitlaq.services.auth.universities.address_rules import AddressRule
from chitlaq.services.auth.universities.schemas import University


@dataclass(frozen=True, slots=True)
class Affiliation:
    """What an address says about its owner."""

    university_id: UUID
    university: str
    department: str


async def affiliation(database: Database | Session, email: str) -> Affiliation:
    """Return the university and the department of a checked address.

    Raises:
        Problem: 422 for an address of no university here, or one that its university refuses.
    """
    domain = email.rpartition("@")[2]
    rows = await database.rows("university_of_domains", _with_parents(domain))
    if not rows:
        raise problems.invalid(
            {
                "email": f"{domain} is not the domain of a registered university;"
                " register with your university address."
            }
        )
    first = rows[0]
    rules = [
        AddressRule(row["kind"], row["pattern"], row["department"]) for row in rows if row["kind"]
    ]
    if not address_rules.may_register(rules, email):
        raise problems.invalid(
            {
                "email": f"{first['name']} does not let addresses of this form register;"
                " use the one that it gave you as a student or an employee."
            }
        )
    return Affiliation(first["id"], first["name"], address_rules.department(rules, email))


async def listed(session: Session) -> list[University]:
    """Return all universities, by name."""
    return [_university(row) for row in await session.rows("universities")]


def _university(row: Any) -> University:
    rules = msgspec.json.decode(row["rules"], type=list[AddressRule])
    return University(row["id"], row["code"], row["name"], row["country"], row["domains"], rules)


def _with_parents(domain: str) -> list[str]:
    """The domain and its parents: cs.example.edu, example.edu."""
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(len(labels) - 1)]
