"""What happens to an account itself is told in the application, too, once, and whatever its settings say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.conftest import PASSWORD, Member, Stack, eventually
from tests.services.websocket.notifications.test_notifications import counted, told

Join = Callable[[], Awaitable[Member]]


async def test_new_device_moderation_and_export_are_told_once(stack: Stack, join: Join) -> None:
    ada = await join()
    kinds = ("new_device", "export_ready", "moderation")
    everywhere = {"in_app": True, "push": False, "mail": True}
    settings = {"kinds": dict.fromkeys(kinds, everywhere), "filter_strangers": True}
    assert (await ada.put("/api/notifications/settings", settings)).status_code == 200
    phone = {"User-Agent": "Mozilla/5.0 (Android 15; Mobile) Firefox/140.0"}
    login = {"login": ada.username, "password": PASSWORD}
    for _ in range(2):
        answer = await ada.client.post("/api/auth/login", json=login, headers=phone)
        assert answer.status_code == 200, answer.text
    for word in ("grant", "revoke"):
        changed = await asyncio.to_thread(
            stack.command, "users", word, ada.username, "moderator", "--as", "grace"
        )
        assert changed.returncode == 0, changed.stderr
    token = {"Authorization": f"Bearer {await _new_token(ada)}"}
    asked = await ada.client.post("/api/auth/export", headers=token)
    assert asked.status_code == 202, asked.text
    again = Member(ada.id, ada.username, ada.email, token["Authorization"][7:], ada.client)

    async def all_told() -> list[dict[str, Any]] | None:
        found = await told(again, *kinds)
        return found if len(found) >= 4 else None

    found = await eventually(all_told)
    assert sorted((one["kind"], one["text"], one["count"]) for one in found[1:]) == [
        ("moderation", "role_granted moderator", 1),
        ("moderation", "role_revoked moderator", 1),
        ("new_device", "Firefox on Android", 1),
    ]
    assert (found[0]["kind"], found[0]["text"], found[0]["actors"]) == ("export_ready", None, [])
    assert await counted(again) == (4, 4)

    # The jobs come again.
    await stack.sql(
        "INSERT INTO jobs.jobs (kind, payload, request_id)"
        " SELECT 'notify', jsonb_build_object('type', 'account', 'kind', kind, 'account_id', recipient_id,"
        " 'event_id', subject_id, 'at', created_at), 'test'"
        " FROM websocket.notifications WHERE recipient_id = $1::text::uuid",
        ada.id,
    )

    async def is_done() -> bool:
        rows = await stack.sql(
            "SELECT FROM jobs.jobs WHERE kind = 'notify' AND request_id = 'test'"
        )
        return not rows

    await eventually(is_done)
    assert await counted(again) == (4, 4)


async def _new_token(member: Member) -> str:
    login = {"login": member.username, "password": PASSWORD}
    answer = await member.client.post("/api/auth/login", json=login)
    assert answer.status_code == 200, answer.text
    token: str = answer.json()["access_token"]
    return token
