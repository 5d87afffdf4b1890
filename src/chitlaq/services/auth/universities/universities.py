"""Universities: whose addresses may register."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from chitlaq.core.data.postgres import Database
from chitlaq.core.http import problems


@dataclass(frozen=True, slots=True)
class Affiliation:
    """What an address says about its owner."""

    university_id: UUID
    university: str
    department: str


async def affiliation(database: Database, email: str) -> Affiliation:
    """Return the university of a checked address.

    Raises:
        Problem: 422 for an address of no university here.
    """
    domain = email.rpartition("@")[2]
    university = await database.row("university_of_domains", _with_parents(domain))
    if university is None:
        raise problems.invalid(
            {
                "email": f"{domain} is not the domain of a registered university;"
                " register with your university address"
            }
        )
    return Affiliation(university["id"], university["name"], "")


def _with_parents(domain: str) -> list[str]:
    """The domain and its parents: cs.example.edu, example.edu."""
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(len(labels) - 1)]
