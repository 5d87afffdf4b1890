"""Which settings of a running stack are others now, and what it takes until they apply."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from chitlaq.core.installation import settings_loading
from chitlaq.core.installation.setting_effects import Means, effect_of
from chitlaq.core.installation.settings import Settings

SUPERVISOR = "supervisor"
"""Under this name are the settings that the stack was started with."""


class Change(msgspec.Struct, frozen=True):
    """A setting that is another one than some components run with.

    Args:
        setting: its dotted name.
        before: what they run with, and ``after`` what is set now; secrets are hidden.
        means: what it takes; never ``none``.
        components: who has to take it, in the order of the stack.
    """

    setting: str
    before: str
    after: str
    means: Means
    components: list[str]


def changes(applied: Mapping[str, Settings], wanted: Settings) -> list[Change]:
    """Return what is not applied everywhere yet.

    Args:
        applied: what each component has read at its last start, and what the supervisor has.
        wanted: what is set now.
    """
    found = []
    for dotted, _ in settings_loading.fields():
        effect, value = effect_of(dotted), wanted.value_of(dotted)
        if effect.means == "none":
            continue
        readers = (SUPERVISOR,) if effect.means == "start" else effect.components
        behind = [
            name for name in applied if name in readers and applied[name].value_of(dotted) != value
        ]
        if behind:
            before = settings_loading.shown(applied[behind[0]].value_of(dotted))
            components = [name for name in behind if name != SUPERVISOR]
            found.append(
                Change(dotted, before, settings_loading.shown(value), effect.means, components)
            )
    return found


def taken_now(found: Iterable[Change]) -> list[str]:
    """Return the components that a reload replaces: not those that another change would stop."""
    listed = list(found)
    stopped = {name for one in listed if one.means == "restart" for name in one.components}
    named = [name for one in listed if one.means == "reload" for name in one.components]
    return [name for name in dict.fromkeys(named) if name not in stopped]


def by_hand(found: Iterable[Change]) -> list[str]:
    """Return the components that somebody has to restart, since they are away for a moment then."""
    named = [name for one in found if one.means == "restart" for name in one.components]
    return list(dict.fromkeys(named))


def refusal(found: Iterable[Change]) -> str:
    """Why nothing can be reloaded; empty if it can.

    Whoever is restarted reads all settings: part of a stack would go to another database.
    """
    names = [one.setting for one in found if one.means == "start"]
    if not names:
        return ""
    return (
        f"{', '.join(names)} can change only while everything is stopped: `chitlaq down` and `chitlaq up`"
        " apply that, and all else. Nothing was changed."
    )
