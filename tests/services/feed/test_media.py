"""Pictures: from the upload to those who may see them."""

from __future__ import annotations

import asyncio
import io
import os
import time
import zipfile
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from PIL import Image

from chitlaq.services.feed.media.media import MOST_TO_RENDER
from tests.conftest import Member, Stack, eventually
from tests.services.feed.pictures import (
    animation,
    encoded,
    picture,
    put_in_store,
    seen,
    upload,
    uploaded,
)

Join = Callable[..., Awaitable[Member]]


async def test_picture_is_rendered_in_three_widths_and_two_formats(
    stack: Stack, client: httpx.AsyncClient, join: Join
) -> None:
    ada = await join()
    made = await uploaded(ada, encoded(picture(1500, 1000)), alt="Coloured blocks")
    assert made["state"] == "ready"
    assert (made["width"], made["height"], made["alt"]) == (1500, 1000, "Coloured blocks")
    assert made["blurhash"]
    for size, width in (("large", 1500), ("medium", 1080), ("small", 480)):
        for kind, accepted in (("avif", "image/avif,image/webp,*/*"), ("webp", "*/*")):
            url = made["url"].replace("large", size)
            answer = await seen(client, url, ada, Accept=accepted)
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"] == f"image/{kind}"
            shown = Image.open(io.BytesIO(answer.content))
            assert (shown.format, shown.size[0]) == (kind.upper(), width)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert "Accept" in answer.headers["vary"]
    again = await seen(client, url, ada, **{"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    head = await client.head(url, headers=ada.headers)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == answer.headers["content-length"]


async def test_nothing_that_a_camera_writes_is_handed_out(
    stack: Stack, client: httpx.AsyncClient, join: Join
) -> None:
    """And the picture stands upright."""
    ada = await join()
    made = Image.new("RGB", (300, 200), "red")
    made.paste("blue", (0, 0, 150, 200))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right
    exif[0x010F] = "SECRET-CAMERA"
    exif.get_ifd(0x8825)[1] = "SECRET-PLACE"
    content = encoded(made, exif=exif, comment=b"SECRET-COMMENT", xmp=b"SECRET-XMP")
    assert content.count(b"SECRET") == 4
    media = await uploaded(ada, content)
    assert (media["width"], media["height"]) == (200, 300)
    for accepted in ("image/avif", "image/webp"):
        answer = await seen(client, media["url"], ada, Accept=accepted)
        assert b"SECRET" not in answer.content
        shown = Image.open(io.BytesIO(answer.content))
        assert (shown.size, dict(shown.getexif())) == ((200, 300), {})
        top, bottom = (shown.convert("RGB").getpixel((100, y)) for y in (20, 280))
        assert isinstance(top, tuple)
        assert isinstance(bottom, tuple)
        assert top[2] > 200 > bottom[2]
    left = await eventually(lambda: originals(stack, media["id"]))
    assert left == "none"


async def originals(stack: Stack, media_id: str) -> str | None:
    (row,) = await stack.sql("SELECT name, has_original FROM feed.media WHERE id = $1", media_id)
    is_left = (stack.home / "media/originals" / row["name"]).exists()
    return None if is_left or row["has_original"] else "none"


async def test_picture_of_a_post_is_seen_by_those_who_may_read_the_post(
    stack: Stack, client: httpx.AsyncClient, join: Join
) -> None:
    author, follower, other = [await join() for _ in range(3)]
    await follower.put(f"/api/users/{author.username}/follow")
    media = await uploaded(author, encoded(picture()))
    url = media["url"]

    async def statuses() -> list[int]:
        viewers = (author, follower, other, None)
        return [(await seen(client, url, one)).status_code for one in viewers]

    assert await statuses() == [200, 404, 404, 404]
    post = await author.write("Look", visibility="followers", media_ids=[media["id"]])
    assert await statuses() == [200, 200, 404, 404]
    assert (await seen(client, url, follower)).headers["cache-control"].startswith("private")
    await author.patch(f"/api/posts/{post['id']}", {"visibility": "public"})
    assert await statuses() == [200, 200, 200, 200]
    assert (await seen(client, url, other)).headers["cache-control"].startswith("public")
    await author.put(f"/api/users/{other.username}/block")
    assert await statuses() == [200, 200, 404, 200]
    await author.patch("/api/users/me", {"is_private": True})
    assert await statuses() == [200, 200, 404, 404]
    await author.delete(f"/api/posts/{post['id']}")
    assert await statuses() == [404, 404, 404, 404]


async def test_post_shows_what_became_of_its_pictures(stack: Stack, join: Join) -> None:
    """Although what it says is cached: a new state or description is a new version."""
    ada = await join()
    made = (await upload(ada, encoded(picture(1200, 900)), alt="before")).json()
    post = await ada.write("Look", media_ids=[made["id"]])

    async def shown() -> dict[str, Any]:
        (found,) = (await ada.get(f"/api/posts/{post['id']}")).json()["media"]
        return dict(found)

    assert (await shown())["alt"] == "before"

    async def is_ready() -> bool:
        return (await shown())["blurhash"] is not None

    await eventually(is_ready)
    await ada.patch(f"/api/media/{made['id']}", {"alt": "after"})
    found = await shown()
    assert (found["alt"], found["width"], found["url"]) == ("after", 1200, made["url"])
    again = await ada.post("/api/posts", {"text": "Again", "media_ids": [made["id"]]})
    assert again.status_code in {409, 422}


async def test_only_a_service_leads_to_the_files(stack: Stack, client: httpx.AsyncClient) -> None:
    for path in (
        "/-/pictures/",
        "/-/pictures/originals/x",
        "/-/strangers/feed-service/media",
        "/api/media/../../-/pictures/x",
    ):
        assert (await client.get(path)).status_code == 404


async def test_avatar_is_square_and_public_and_replaces_the_one_before(
    stack: Stack, client: httpx.AsyncClient, join: Join
) -> None:
    ada = await join()
    urls = []
    for seed in (1, 2):
        await upload(ada, encoded(picture(900, 600, seed=seed)), "/api/users/me/avatar", "PUT")

        async def shown() -> str | None:
            url: str | None = (await ada.get("/api/users/me")).json()["avatar_url"]
            return url if url and url not in urls else None

        urls.append(await eventually(shown))
    answer = await seen(client, urls[1])
    assert Image.open(io.BytesIO(answer.content)).size == (400, 400)
    assert answer.headers["cache-control"].startswith("public")
    small = await seen(client, urls[1].replace("large", "small"))
    assert Image.open(io.BytesIO(small.content)).size == (96, 96)
    assert (await seen(client, urls[0])).status_code == 404
    assert (await ada.delete("/api/users/me/avatar")).status_code == 204
    assert (await ada.get("/api/users/me")).json()["avatar_url"] is None
    assert (await seen(client, urls[1])).status_code == 404


async def test_banner_is_three_times_as_wide_as_high(
    stack: Stack, client: httpx.AsyncClient, join: Join
) -> None:
    ada = await join()
    made = await uploaded(
        ada, encoded(picture(1200, 900)), path="/api/users/me/banner", method="PUT"
    )
    assert (made["width"], made["height"]) == (1200, 400)
    assert (await seen(client, made["url"])).status_code == 200
    assert (await ada.delete("/api/users/me/banner")).status_code == 204
    assert (await seen(client, made["url"])).status_code == 404


async def test_strangers_cannot_fill_the_disk_with_bodies(
    stack: Stack, client: httpx.AsyncClient, join: Join
) -> None:
    """Of who is not signed in, nginx takes no more of a body than with any other request."""
    files = {"file": ("x", bytes(2_000_000))}
    for headers in ({}, {"Authorization": "Bearer forged"}):
        answer = await client.post("/api/media", files=files, headers=headers)
        assert answer.status_code == 413
        answer = await client.post("/api/media", files={"file": ("x", b"x")}, headers=headers)
        assert answer.status_code == 401
    ada = await join()
    content = encoded(picture(900, 700), "PNG", compress_level=0)
    assert len(content) > 1_500_000
    assert (await upload(ada, content)).status_code == 201
    answer = await upload(ada, bytes(15_100_000))
    assert (answer.status_code, "15000000 bytes" in answer.json()["detail"]) == (413, True)


async def test_same_key_stores_one_picture(stack: Stack, join: Join) -> None:
    ada = await join()
    headers = {"Idempotency-Key": "the picture"}
    content = encoded(picture())
    first, second = [await upload(ada, content, headers=headers) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] == second.json()["id"]
    other = await upload(ada, encoded(picture(seed=2)), headers=headers)
    assert other.status_code == 409
    post = await ada.write("With it", media_ids=[first.json()["id"]])
    assert (await ada.delete(f"/api/posts/{post['id']}")).status_code == 204
    # Until the picture is gone, whose key it was.
    again = await upload(ada, content, headers=headers)
    assert again.status_code in {201, 409}


async def test_description_is_changed_by_the_owner_alone(stack: Stack, join: Join) -> None:
    ada, eve = await join(), await join()
    made = (await upload(ada, encoded(picture()), alt="\u202ebefore")).json()
    assert made["alt"] == "before"
    path = f"/api/media/{made['id']}"
    assert (await ada.patch(path, {"alt": "a\x1bb"})).json()["alt"] == "ab"
    assert (await ada.patch(path, {"alt": "\u200b \u2060"})).json()["alt"] == ""
    assert (await ada.patch(path, {"alt": "after"})).json()["alt"] == "after"
    assert (await eve.patch(path, {"alt": "mine"})).status_code == 404
    assert (await eve.get(path)).status_code == 404
    assert (await ada.get(path)).json()["alt"] == "after"


async def test_animation_becomes_a_small_one(
    stack: Stack, client: httpx.AsyncClient, join: Join
) -> None:
    ada = await join()
    kinds = ("GIF", "WEBP", "AVIF", "PNG")
    for made in await asyncio.gather(
        *(uploaded(ada, animation(3, kind, 600, 450)) for kind in kinds)
    ):
        assert (made["state"], made["is_animated"], made["width"]) == ("ready", True, 480)
        answer = await seen(client, made["url"], ada, Accept="image/avif")
        shown: Any = Image.open(io.BytesIO(answer.content))
        assert (shown.format, shown.n_frames, shown.size) == ("WEBP", 3, (480, 360))
        for kind in ("AVIF", "WEBP"):
            answer = await seen(client, made["still_url"], ada, Accept=f"image/{kind.lower()}")
            still: Any = Image.open(io.BytesIO(answer.content))
            assert (still.format, getattr(still, "n_frames", 1)) == (kind, 1)
            assert still.size == (480, 360)
    post = await ada.write("it moves", media_ids=[made["id"]], visibility="followers")
    assert post["media"][0]["still_url"] == made["still_url"]
    assert (await seen(client, made["still_url"])).status_code == 404
    plain = await uploaded(ada, encoded(picture()))
    assert plain["still_url"] is None
    assert (await seen(client, plain["url"].replace("large", "still"), ada)).status_code == 404


@pytest.mark.parametrize("is_signed_in", [True, False])
async def test_what_is_too_many_is_refused(stack: Stack, join: Join, is_signed_in: bool) -> None:
    ada = await join()
    if is_signed_in:
        await stack.sql(
            "INSERT INTO feed.media"
            " (owner_id, purpose, name, alt, width, height, is_animated, bytes, sha256)"
            " SELECT $1, 'post', md5(n::text || $1::uuid::text), '', 1, 1, false, 1, sha256('')"
            " FROM generate_series(1, 100) n",
            ada.id,
        )
        answer = await upload(ada, encoded(picture()))
        assert (answer.status_code, answer.headers["retry-after"].isdecimal()) == (429, True)
    else:
        ada.headers = {}
        assert (await upload(ada, encoded(picture()))).status_code == 401


async def test_pictures_are_refused_while_too_many_wait_to_be_rendered(
    stack: Stack, join: Join
) -> None:
    """Before they are received: what waits takes room, and members would wait for long."""
    ada = await join()
    await stack.sql(
        "INSERT INTO jobs.jobs (kind, payload, request_id, due_at)"
        " SELECT 'render_picture', '{}', 'too-many', now() + interval '1 day'"
        " FROM generate_series(1, $1)",
        MOST_TO_RENDER,
    )
    try:
        answer = await upload(ada, encoded(picture()))
    finally:
        await stack.sql("DELETE FROM jobs.jobs WHERE request_id = 'too-many'")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert (await uploaded(ada, encoded(picture())))["state"] == "ready"


def stored(stack: Stack) -> set[str]:
    folder = stack.home / "media"
    return {str(one.relative_to(folder)) for one in folder.rglob("*") if one.is_file()}


async def names_of(stack: Stack, member: Member) -> list[str]:
    rows = await stack.sql("SELECT name FROM feed.media WHERE owner_id = $1", member.id)
    return [row["name"] for row in rows]


async def test_nothing_is_left_of_pictures_that_nobody_may_see(stack: Stack, join: Join) -> None:
    """In no post within a day, of a deleted post, of an account that is erased or gone."""
    orphan, deleted, erased, gone = [await join() for _ in range(4)]
    members = (orphan, deleted, erased, gone)
    made = {one.id: await uploaded(one, encoded(picture())) for one in members}
    names = [name for one in members for name in await names_of(stack, one)]
    assert all(any(name in file for file in stored(stack)) for name in names)
    kept = await uploaded(orphan, encoded(picture()))
    draft = {"post": {"text": "Later", "media_ids": [kept["id"]]}}
    assert (await orphan.post("/api/users/me/drafts", draft)).status_code == 201
    await stack.sql(
        "UPDATE feed.media SET created_at = now() - interval '25 hours' WHERE owner_id = $1",
        orphan.id,
    )
    post = await deleted.write("With a picture", media_ids=[made[deleted.id]["id"]])
    await deleted.delete(f"/api/posts/{post['id']}")
    await stack.sql(
        "INSERT INTO jobs.jobs (kind, payload, request_id)"
        " VALUES ('erase_from_chitlaq_feed', jsonb_build_object('account_id', $1::text), 'x')",
        erased.id,
    )
    await stack.sql("DELETE FROM auth.accounts WHERE id = $1", gone.id)

    async def nothing_is_left() -> bool:
        rows = await stack.sql("SELECT FROM feed.media WHERE name = ANY ($1::text[])", names)
        return not rows and not any(name in file for name in names for file in stored(stack))

    await eventually(nothing_is_left)
    assert (await orphan.get(f"/api/media/{kept['id']}")).status_code == 200, "it is in a draft"


async def test_files_without_a_picture_go_in_a_week(stack: Stack, join: Join) -> None:
    """A database that was restored to an earlier moment leaves them; it may be restored to a later one."""
    ada = await join()
    await uploaded(ada, encoded(picture(1200, 900)))
    (known,) = await names_of(stack, ada)
    old, young = ["0" * 31 + digit for digit in "12"]
    for name in (old, young):
        put_in_store(stack, name, b"x")
    long_ago = time.time() - 8 * 86_400
    for file in stored(stack):
        if known in file or old in file:
            os.utime(stack.home / "media" / file, (long_ago, long_ago))
    await stack.sql(
        "INSERT INTO jobs.jobs (kind, payload, request_id) VALUES ('sweep_pictures', '{}', 'x')"
    )
    await eventually(lambda: not any(old in file for file in stored(stack)))
    assert sum(known in file for file in stored(stack)) == 6
    assert any(young in file for file in stored(stack))


async def test_export_has_the_pictures_themselves(stack: Stack, join: Join) -> None:
    ada = await join()
    made = await uploaded(ada, encoded(picture()), alt="Coloured blocks")
    assert (await ada.post("/api/auth/export", {})).status_code in {201, 202, 204}

    async def ready() -> dict[str, Any] | None:
        (found,) = (await ada.get("/api/auth/export")).json()["items"]
        return found if found["ready_at"] else None

    export = await eventually(ready)
    answer = await ada.get(f"/api/auth/export/{export['id']}")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        shown = Image.open(archive.open(f"feed/pictures/{made['id']}.webp"))
        assert shown.size == (64, 48)
        assert b"Coloured blocks" in archive.read("index.html")
        assert made["id"].encode() in archive.read("feed/pictures.json")
