"""Usernames: which may be chosen.

Whether a name is taken, or looks like one that is, the database says: ``auth.skeleton``.
"""

from __future__ import annotations

import re

SHORTEST, LONGEST = 3, 20
_USERNAME = re.compile(rf"[A-Za-z0-9_]{{{SHORTEST},{LONGEST}}}")

# What members could take for us, and the first words of the web application's addresses.
_WORDS = """
about abuse account accounts admin administrator admins anonymous api appeals auth blog bookmarks bot
chat chitlaq compose contact conversations discover docs drafts everyone explore feed feedback followers
following help here home hostmaster info join legal login logout mail me media moderation moderator
moderators news noreply no_reply notifications null official operator operators ops owner password posts
postmaster press privacy register reset root rules search security self settings signin signup staff
static status support sysadmin system tags team terms trending undefined university user username users
verified verify webmaster websocket ws www you
"""
RESERVED = frozenset(_WORDS.split())


def skeleton(username: str) -> str:
    """What a name is taken for, as ``auth.skeleton`` in the database says it."""
    letters = username.lower().translate(str.maketrans("01i", "oll"))
    letters = letters.replace("m", "rn").replace("w", "vv")
    return re.sub("_+", "_", letters).strip("_")


_RESERVED_SKELETONS = frozenset(map(skeleton, RESERVED))


def checked(text: str) -> str:
    """Return a username as it is stored.

    Raises:
        ValueError: nobody may choose it; the message says why.
    """
    if not _USERNAME.fullmatch(text):
        raise ValueError(
            f"must have {SHORTEST} to {LONGEST} English letters, digits or underscores"
        )
    if not text.strip("_"):
        raise ValueError("must have a letter or a digit")
    if skeleton(text) in _RESERVED_SKELETONS:
        raise ValueError("is reserved, or looks like a name that is")
    return text.lower()
