"""Pictures for tests, good and bad, and how members upload them."""

from __future__ import annotations

import io
import os
import random
import struct
import zlib
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from tests.conftest import Member, Stack, eventually

Files = dict[str, Any]


def picture(width: int = 64, height: int = 48, mode: str = "RGB", seed: int = 1) -> Image.Image:
    """A picture that looks the same each time: blocks of colours."""
    chance = random.Random(seed)
    bands = len(Image.new(mode, (1, 1)).getbands())
    data = bytes(chance.randrange(256) for _ in range(8 * 8 * bands))
    small = Image.frombytes(mode, (8, 8), data)
    return small.resize((width, height), Image.Resampling.NEAREST)


def encoded(made: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    target = io.BytesIO()
    made.save(target, kind, **options)
    return target.getvalue()


def animation(frames: int, kind: str = "GIF", width: int = 32, height: int = 24) -> bytes:
    made = [picture(width, height, seed=number) for number in range(frames)]
    return encoded(made[0], kind, save_all=True, append_images=made[1:], duration=50)


def png_of(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG that claims to be so large; of its pixels there is one line."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    line = zlib.compress(b"\x00" * (3 * min(width, 1000) + 1))
    body = [(b"IHDR", header), *chunks, (b"IDAT", line), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in body)


async def upload(
    member: Member, content: bytes, path: str = "/api/media", method: str = "POST", **more: Any
) -> httpx.Response:
    """Send a picture as a browser's form does."""
    files: Files = {"file": (more.pop("name", "picture"), content, "image/anything")}
    headers = member.headers | more.pop("headers", {})
    return await member.client.request(method, path, files=files, headers=headers, data=more)


async def uploaded(member: Member, content: bytes, **more: Any) -> dict[str, Any]:
    """Upload a picture, and wait until it is ready, or has failed."""
    answer = await upload(member, content, **more)
    assert answer.status_code in {200, 201}, answer.text
    media_id = answer.json()["id"]

    async def done() -> dict[str, Any] | None:
        found: dict[str, Any] = (await member.get(f"/api/media/{media_id}")).json()
        return found if found["state"] != "processing" else None

    return await eventually(done)


async def seen(
    client: httpx.AsyncClient, url: str, viewer: Member | None = None, **headers: str
) -> httpx.Response:
    """Ask for a picture as a page does."""
    return await client.get(url, headers=(viewer.headers if viewer else {}) | headers)


def put_in_store(stack: Stack, name: str, content: bytes) -> Path:
    """Write the largest file of a picture, as the service would: its user can write beside it."""
    folder = stack.home / "media/pictures" / name[:2]
    folder.mkdir(parents=True, exist_ok=True)
    folder.parent.parent.chmod(0o700)
    path = folder / f"{name}-large.webp"
    path.write_bytes(content)
    owner = stack.home.stat()
    for one in (path, folder, folder.parent, folder.parent.parent):
        os.chown(one, owner.st_uid, owner.st_gid)
    return path
