"""Pictures that strangers make to do harm, and odd ones: refused, or rendered as what they show."""

from __future__ import annotations

import asyncio
import io
import struct
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import IO

import pytest
from PIL import Image, ImageCms

from chitlaq.core.host import programs
from chitlaq.services.feed.media import confined, orders, rendering
from chitlaq.services.feed.media.orders import Answer
from tests.services.feed.pictures import animation, encoded, picture, png_of

SCRIPT = b"<script>alert('x')</script>"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'>" + SCRIPT + b"</svg>"


def archive() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as made:
        made.writestr("index.html", SCRIPT)
    return target.getvalue()


def many_frames(count: int, width: int, height: int) -> bytes:
    """An animation of this size, whose frames take a few bytes each."""
    head, frame = animation(1, width=8, height=8), animation(2, width=8, height=8)
    one = frame[frame.index(b"\x21\xf9") : -1]
    size = struct.pack("<HH", width, height)
    return head[:6] + size + head[10 : head.index(b"\x2c")] + one * count + b"\x3b"


def opened(content: bytes) -> IO[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the test
    file.write(content)
    file.flush()
    return file


async def looked_at(content: bytes) -> Answer:
    with opened(content) as file:
        return await rendering.look_at(file, "post")


async def rendered(content: bytes, folder: Path) -> tuple[Answer, dict[str, bytes]]:
    with opened(content) as file:
        async with rendering.rendered(file, "post", folder) as (answer, renditions):
            return answer, {one.file: one.content.read() for one in renditions}


OTHER_FORMATS = {
    "svg with a script": SVG,
    "html": b"<!doctype html>" + SCRIPT,
    "pdf": b"%PDF-1.7\n" + SCRIPT,
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "bmp": encoded(picture(), "BMP"),
    "tiff": encoded(picture(), "TIFF"),
    "zip": archive(),
    "text": b"GIF",
    "zeros": bytes(1000),
}


@pytest.mark.parametrize("name", OTHER_FORMATS)
async def test_what_is_no_picture_of_ours_is_told_by_its_content(name: str) -> None:
    answer = await looked_at(OTHER_FORMATS[name])
    assert answer.is_other_format
    assert "JPEG, PNG, WebP, AVIF or GIF" in answer.refused


BOMBS = {
    "100,000 x 100,000": (png_of(100_000, 100_000), "100000 x 100000 pixels"),
    "one line of 50,000": (png_of(50_000, 1), "30000 on a side"),
    "a screen of 65,535 x 65,535": (many_frames(1, 65535, 65535), "65535 x 65535 pixels"),
    "400 pictures": (many_frames(400, 8, 8), f"more than {orders.MOST_FRAMES} pictures"),
    "100 large pictures": (many_frames(100, 2000, 1500), "more than 66 pictures of 2000 x 1500"),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_bomb_is_refused_before_it_is_decoded(name: str) -> None:
    content, reason = BOMBS[name]
    answer = await looked_at(content)
    assert reason in answer.refused
    assert not answer.is_other_format


async def test_picture_that_takes_too_much_memory_is_refused(tmp_path: Path) -> None:
    """What unpacks to gigabytes meets the limit of the process, not the machine's memory."""
    bomb = zlib.compress(bytes(300_000_000), 9)
    chunks = ((b"zTXt", b"Comment\x00\x00" + bomb), (b"iCCP", b"icc\x00\x00" + bomb))
    answer, files = await rendered(png_of(100, 100, *chunks), tmp_path)
    assert "damaged" in answer.refused or "memory" in answer.refused
    assert files == {}


TRUNCATED = {
    "jpeg": encoded(picture(400, 300))[:-3000],
    "png": encoded(picture(400, 300), "PNG")[:-100],
    "webp": encoded(picture(400, 300), "WEBP", lossless=True)[:-100],
    "avif": encoded(picture(400, 300), "AVIF")[:-500],
    "gif": encoded(picture(400, 300), "GIF")[:-1500],
}


@pytest.mark.parametrize("kind", TRUNCATED)
async def test_truncated_picture_is_refused(kind: str, tmp_path: Path) -> None:
    answer, files = await rendered(TRUNCATED[kind], tmp_path)
    assert answer.refused.startswith("it ")
    assert files == {}


POLYGLOTS = {
    "gif and script": encoded(picture(40, 30), "GIF") + b"*/=1;alert('x')//",
    "jpeg and zip": encoded(picture()) + archive(),
    "png and html": encoded(picture(), "PNG") + SCRIPT,
    "jpeg with a script in its comment": encoded(picture(), comment=SCRIPT),
    "webp and svg": encoded(picture(), "WEBP") + SVG,
}


@pytest.mark.parametrize("name", POLYGLOTS)
async def test_of_a_file_that_is_two_things_only_the_picture_is_left(
    name: str, tmp_path: Path
) -> None:
    answer, files = await rendered(POLYGLOTS[name], tmp_path)
    assert (answer.refused, len(files)) == ("", 6)
    for content in files.values():
        assert not any(word in content for word in (b"alert", b"script", b"PK\x03\x04", b"svg"))
        assert Image.open(io.BytesIO(content)).format in {"AVIF", "WEBP"}


def with_profile() -> bytes:
    """Red in a profile whose red is another: not what its numbers say in sRGB."""
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    return encoded(Image.new("RGB", (60, 40), "red"), icc_profile=lab)


ODD = {
    "16 bits of grey": (
        encoded(Image.new("I;16", (60, 40), 0x8000), "PNG"),
        (128, 128, 128),
    ),
    "cmyk": (encoded(Image.new("CMYK", (60, 40), (0, 255, 255, 0))), (254, 0, 0)),
    "grey with transparency": (encoded(Image.new("LA", (60, 40), (90, 255)), "PNG"), (90, 90, 90)),
    "palette": (encoded(Image.new("RGB", (60, 40), "lime").convert("P"), "PNG"), (0, 255, 0)),
    "one bit": (encoded(Image.new("1", (60, 40), 1), "PNG"), (255, 255, 255)),
    "a profile that does not fit": (with_profile(), (254, 0, 0)),
    "a damaged profile": (
        encoded(Image.new("RGB", (60, 40), "red"), icc_profile=b"no profile" * 20),
        (254, 0, 0),
    ),
    "much metadata": (
        encoded(Image.new("RGB", (60, 40), "red"), comment=b"x" * 60_000, xmp=b"y" * 60_000),
        (254, 0, 0),
    ),
    "one pixel": (encoded(Image.new("RGB", (1, 1), "red"), "PNG"), (255, 0, 0)),
}


@pytest.mark.parametrize("name", ODD)
async def test_odd_picture_keeps_its_colours(name: str, tmp_path: Path) -> None:
    content, wanted = ODD[name]
    answer, files = await rendered(content, tmp_path)
    assert answer.refused == ""
    shown = Image.open(io.BytesIO(files["large.webp"])).convert("RGB")
    found = shown.getpixel((shown.width // 2, shown.height // 2))
    assert isinstance(found, tuple)
    assert all(abs(a - b) <= 6 for a, b in zip(found, wanted, strict=True)), found
    assert "icc_profile" not in Image.open(io.BytesIO(files["large.webp"])).info


async def test_colours_are_converted_to_srgb(tmp_path: Path) -> None:
    """A profile with the red and blue of sRGB exchanged."""
    srgb = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = srgb.index(b"rXYZ"), srgb.index(b"bXYZ")
    srgb[red : red + 4], srgb[blue : blue + 4] = b"bXYZ", b"rXYZ"
    content = encoded(Image.new("RGB", (60, 40), "red"), "PNG", icc_profile=bytes(srgb))
    _, files = await rendered(content, tmp_path)
    found = Image.open(io.BytesIO(files["large.webp"])).convert("RGB").getpixel((30, 20))
    assert isinstance(found, tuple)
    assert found[2] > 240 > 20 > found[0]


async def test_process_can_open_nothing(tmp_path: Path) -> None:
    """What a decoder could be led to do: read secrets, write files, call home, start programs."""
    script = (
        "import os, socket, sys\n"
        "from chitlaq.services.feed.media import confined, orders\n"
        "before = os.nice(0)\n"
        "confined._confine(orders.Order('post', niceness=3))\n"
        "assert os.nice(0) == before + 3\n"
        "def refused(act):\n"
        "    try: act()\n"
        "    except OSError: return True\n"
        "assert refused(lambda: open('/etc/passwd'))\n"
        f"assert refused(lambda: open({str(tmp_path / 'x')!r}, 'w'))\n"
        f"assert refused(lambda: os.mkdir({str(tmp_path / 'y')!r}))\n"
        "assert refused(socket.socket)\n"
        "assert refused(os.pipe)\n"
        "try: bytearray(2 << 30)\n"
        "except MemoryError: print('confined')\n"
    )
    result = await programs.arun([sys.executable, "-c", script], timeout_seconds=60)
    assert result.stdout.strip() == "confined", result.stderr
    assert set(confined.ACCEPTED) == {"JPEG", "PNG", "WEBP", "GIF", "AVIF"}


async def test_more_pictures_than_soon_can_be_looked_at_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rendering, "MOST_WAITING", 1)
    taken = rendering.AT_ONCE + 1
    answers = await asyncio.gather(
        *(looked_at(b"no picture") for _ in range(taken + 2)), return_exceptions=True
    )
    assert [isinstance(one, Answer) for one in answers] == [True] * taken + [False] * 2
    assert all(isinstance(one, rendering.TooManyError) for one in answers[taken:])
    assert (await looked_at(encoded(picture()))).format == "JPEG", "there is room again"
