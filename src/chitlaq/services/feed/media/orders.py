"""What the confined process is asked for, and what it answers: loaded on both sides, so it imports little."""

from __future__ import annotations

from typing import Literal

import msgspec

Purpose = Literal["post", "avatar", "banner"]

FORMATS = ("avif", "webp")
MEDIA_TYPES = {"avif": "image/avif", "webp": "image/webp"}

# What is accepted, before anything is decoded.
MOST_PIXELS = 50_000_000
LONGEST_SIDE = 30_000
MOST_FRAMES = 300
MOST_PIXELS_OF_FRAMES = 200_000_000
"""Width, height and frames of an animation multiplied: each of them is decoded in full."""

# What the process may use.
MEMORY_BYTES = 1 << 30
CPU_SECONDS = 40


class Size(msgspec.Struct, frozen=True):
    """A rendition: at most so wide and high, or of exactly this shape, cut out of the middle."""

    name: str
    width: int
    height: int
    is_cut: bool = False


SIZES: dict[Purpose, tuple[Size, ...]] = {
    "post": (Size("small", 480, 640), Size("medium", 1080, 1440), Size("large", 2048, 2048)),
    "avatar": (Size("small", 96, 96, is_cut=True), Size("large", 400, 400, is_cut=True)),
    "banner": (Size("small", 600, 200, is_cut=True), Size("large", 1500, 500, is_cut=True)),
}
"""By purpose, the largest last: that is the picture whose width and height are shown."""
STILL = "still"
"""The first picture of an animation, in the size of the largest, for those who do not want to see it move."""
ANIMATED = (Size("small", 160, 320), Size("medium", 320, 480), Size("large", 480, 480))
"""Of an animation in a post, which is WebP only, but for the still."""


def sizes_of(purpose: Purpose) -> list[str]:
    """The names of all renditions that a picture may have."""
    names = [size.name for size in SIZES[purpose]]
    return [*names, STILL] if purpose == "post" else names


class Output(msgspec.Struct, frozen=True):
    """An open file that a rendition goes to."""

    size: str
    format: str
    descriptor: int


class Order(msgspec.Struct, frozen=True):
    """What to do with the picture on standard input. Without outputs it is only looked at.

    Args:
        purpose: what the picture is for.
        outputs: the renditions that are wanted.
        cpus: those that the process keeps to; all without them.
        niceness: what it adds to its own.
    """

    purpose: Purpose
    outputs: tuple[Output, ...] = ()
    cpus: tuple[int, ...] = ()
    niceness: int = 0


class Answer(msgspec.Struct, frozen=True):
    """What the picture is, or why it is refused.

    Args:
        refused: what is wrong with it, for its owner.
        is_other_format: it is no picture of a kind that is accepted.
        format: as Pillow names it.
        width: of the largest rendition, upright.
        height: of the same.
        is_animated: more than one picture.
        blurhash: if it was rendered.
        written: the bytes of each output, in order; 0 for one that was not needed.
    """

    refused: str = ""
    is_other_format: bool = False
    format: str = ""
    width: int = 0
    height: int = 0
    is_animated: bool = False
    blurhash: str = ""
    written: tuple[int, ...] = ()
