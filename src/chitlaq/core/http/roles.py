"""Roles: what somebody may do beyond their own affairs, as their access token says.

A handler declares the role that it needs, ``needs_role="moderator"``, and the application checks it here
before anything else of a request. A change of roles revokes the tokens from before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from chitlaq.core.http import problems
from chitlaq.core.http.identity import Identity

Role = Literal["member", "moderator", "admin", "operator"]

ROLES: tuple[Role, ...] = get_args(Role)
"""In rising order: each may do what those before it may."""


def rank(roles: Iterable[str]) -> int:
    """Return how much may be done with these roles: 0 for none, or for a member's alone."""
    held = set(roles)
    return max((rank for rank, role in enumerate(ROLES) if role in held), default=0)


def require(who: Identity | None, needed: Role) -> None:
    """Refuse whoever has neither this role nor a higher one.

    Raises:
        Problem: 401 without a token, 403 without the role.
    """
    if who is None:
        raise problems.not_signed_in()
    if rank(who.roles) < ROLES.index(needed):
        raise problems.forbidden(
            f"This needs the role {needed}, which this account does not have: ask whoever runs ChitLaq here."
        )
