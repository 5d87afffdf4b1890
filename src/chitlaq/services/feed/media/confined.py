"""The process that reads a picture: ``python -m chitlaq.services.feed.media.confined ORDER <PICTURE``.

A picture is what a stranger made, and decoders have had faults. They run in a process of their own
that is bounded in memory and in CPU time, may change no file, opens no connection, and once it has loaded its
libraries opens nothing at all. What leaves it are pixels that were encoded anew; nothing of the file.
"""

from __future__ import annotations

import errno
import io
import os
import resource
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import IO, TYPE_CHECKING, Any

import msgspec

from chitlaq.core.host import landlock
from chitlaq.core.host.death_signal import die_with_parent
from chitlaq.services.feed.media import blurhash
from chitlaq.services.feed.media.orders import (
    ANIMATED,
    CPU_SECONDS,
    LONGEST_SIDE,
    MEMORY_BYTES,
    MOST_FRAMES,
    MOST_PIXELS,
    MOST_PIXELS_OF_FRAMES,
    SIZES,
    STILL,
    Answer,
    Order,
    Size,
)

if TYPE_CHECKING:
    from PIL import Image

ACCEPTED = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
# What is imported only when a picture needs it, by us or by Pillow: later, no file can be opened.
LIBRARIES = (
    "copy",
    "mmap",
    *(
        f"PIL.{name}"
        for name in (
            "AvifImagePlugin",
            "GifImagePlugin",
            "ImageColor",
            "ImageFilter",
            "ImageMode",
            "ImagePalette",
            "ImageSequence",
            "JpegImagePlugin",
            "MpoImagePlugin",
            "PngImagePlugin",
            "TiffImagePlugin",
            "WebPImagePlugin",
        )
    ),
)
OPTIONS: dict[str, dict[str, Any]] = {
    # One thread: members' requests keep the other cores. Speed 8 takes four times as long for 7 % less.
    "avif": {"quality": 60, "speed": 9, "max_threads": 1},
    "webp": {"quality": 80, "method": 4},
}
ANIMATED_OPTIONS: dict[str, Any] = {"quality": 60, "method": 2, "minimize_size": False}
LEAST_FRAME_MS = 20
_ORIENTATION = 0x0112
_LYING = range(5, 9)


class RefusedError(Exception):
    """The picture is at fault; the text is for its owner."""


def main() -> None:
    """Answer one order."""
    order = msgspec.json.decode(sys.argv[1], type=Order)
    _confine(order)
    try:
        answer = _answer(order, sys.stdin.buffer)
    except RefusedError as error:
        answer = Answer(refused=str(error))
    except MemoryError:
        answer = Answer(refused="it takes too much memory to read")
    print(msgspec.json.encode(answer).decode())


def _confine(order: Order) -> None:
    """Load the libraries, and then give up everything that reading a picture does not need."""
    die_with_parent(signal.SIGKILL)
    if order.cpus:
        with suppress(OSError):
            os.sched_setaffinity(0, order.cpus)
    os.nice(order.niceness)
    with landlock.ruleset(()) as rules:
        if rules is not None:
            landlock.restrict(rules)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from PIL import Image, ImageCms

    Image.preinit()
    for name in LIBRARIES:
        import_module(name)
    ImageCms.createProfile("sRGB")
    # The bound is ours, and it is no warning.
    Image.MAX_IMAGE_PIXELS = None
    # No file, no socket, no process: each takes a descriptor.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def _answer(order: Order, source: IO[bytes]) -> Answer:
    from PIL import Image, UnidentifiedImageError

    try:
        return _looked_at(order, Image.open(source, formats=ACCEPTED))
    except UnidentifiedImageError:
        return Answer(
            refused="it is no JPEG, PNG, WebP, AVIF or GIF picture, or damaged at its beginning",
            is_other_format=True,
        )
    except (RefusedError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EMFILE:
            # `LIBRARIES` lacks one: that is our fault.
            raise
        words = " ".join(str(error).split())[:200]
        raise RefusedError(f"it is damaged ({words})" if words else "it is damaged") from None


def _looked_at(order: Order, picture: Image.Image) -> Answer:
    width, height = picture.size
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE:
        raise RefusedError(
            f"it has {width} x {height} pixels; {MOST_PIXELS // 1_000_000} million are accepted,"
            f" and {LONGEST_SIDE} on a side"
        )
    if order.purpose == "post" and _frames(picture) > 1:
        return _animated(order, picture)
    return _still(order, picture)


def _frames(picture: Image.Image) -> int:
    """Count the pictures of an animation.

    Raises:
        RefusedError: it has too many, or too many pixels in all.
    """
    # Phones put a picture's depth, or a smaller copy, behind it.
    if picture.format == "MPO" or not getattr(picture, "is_animated", False):
        return 1
    width, height = picture.size
    most = min(MOST_FRAMES, MOST_PIXELS_OF_FRAMES // (width * height))
    if picture.format != "GIF":
        count = int(getattr(picture, "n_frames", 1))
    else:
        # A GIF does not say how many there are; each is decoded on the way to the next.
        count = 1
        try:
            while count <= most:
                picture.seek(count)
                count += 1
        except EOFError:
            pass
        picture.seek(0)
    if count > most:
        raise RefusedError(
            f"the animation has more than {most} pictures of {width} x {height} pixels:"
            " make it shorter or smaller"
        )
    return count


def _still(order: Order, picture: Image.Image) -> Answer:
    from PIL import Image

    sizes = SIZES[order.purpose]
    largest = sizes[-1]
    # A PNG may say it behind its pixels: that is seen when these are decoded.
    exif = picture.getexif() if order.outputs else Image.Image.getexif(picture)
    orientation = exif.get(_ORIENTATION, 1)
    is_lying = orientation in _LYING
    upright = picture.size[::-1] if is_lying else picture.size
    width, height = _fitted(upright, largest)
    facts = Answer(format=picture.format or "", width=width, height=height)
    if not order.outputs:
        return facts
    scaled = _upright(_scaled(picture, largest, is_lying), orientation)
    clean = _standard_colours(scaled)
    renditions = {one.name: clean if one is largest else _resized(clean, one) for one in sizes}
    written = [
        _write(output.descriptor, _encoded(renditions[output.size], output.format))
        if output.size in renditions
        else 0
        for output in order.outputs
    ]
    return msgspec.structs.replace(facts, blurhash=_blurred(clean), written=tuple(written))


def _fitted(size: tuple[int, int], wanted: Size) -> tuple[int, int]:
    """The size of a rendition: never larger than the original."""
    width, height = size
    if wanted.is_cut:
        ratio = min(1.0, width / wanted.width, height / wanted.height)
        return max(1, round(wanted.width * ratio)), max(1, round(wanted.height * ratio))
    ratio = min(1.0, wanted.width / width, wanted.height / height)
    return max(1, round(width * ratio)), max(1, round(height * ratio))


def _box(size: tuple[int, int], wanted: Size) -> tuple[float, float, float, float]:
    """What of a picture a rendition shows: all, or the middle in the rendition's shape."""
    width, height = size
    if not wanted.is_cut:
        return 0, 0, width, height
    ratio = min(width / wanted.width, height / wanted.height)
    across, down = wanted.width * ratio, wanted.height * ratio
    left, top = (width - across) / 2, (height - down) / 2
    return left, top, left + across, top + down


def _scaled(picture: Image.Image, wanted: Size, is_lying: bool) -> Image.Image:
    """Return the picture in a rendition's size, still lying if it lies: the rest is then quick."""
    from PIL import Image

    shape = Size("", wanted.height, wanted.width, wanted.is_cut) if is_lying else wanted
    size = _fitted(picture.size, shape)
    full = picture.size
    # JPEG decodes to an eighth, a quarter or half: the rest is never in memory.
    if picture.format in {"JPEG", "MPO"}:
        picture.draft(None, (size[0] * 2, size[1] * 2))
    picture.load()
    if picture.mode.startswith("I;16") or picture.mode in {"I", "F"}:
        picture = _eight_bits(picture)
    elif picture.mode in {"P", "PA", "1"}:
        is_clear = "transparency" in picture.info or picture.mode == "PA"
        picture = _kept(picture, picture.convert("RGBA" if is_clear else "RGB"))
    elif picture.mode == "RGB" and "transparency" in picture.info:
        picture = _kept(picture, picture.convert("RGBA"))
    if picture.size == size and not wanted.is_cut:
        return picture
    box = _box(full, shape)
    across, down = picture.size[0] / full[0], picture.size[1] / full[1]
    part = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
    return _kept(picture, picture.resize(size, Image.Resampling.LANCZOS, part, reducing_gap=3.0))


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Scale 16 bits of grey to 8: a plain conversion would cut everything above 255."""
    wide = picture.convert("I")
    return _kept(picture, wide.point(lambda value: value * (1 / 256)).convert("L"))


def _kept(old: Image.Image, new: Image.Image) -> Image.Image:
    """Keep the colour profile through a conversion."""
    if profile := old.info.get("icc_profile"):
        new.info["icc_profile"] = profile
    return new


def _upright(picture: Image.Image, orientation: int) -> Image.Image:
    from PIL.Image import Transpose

    turned = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation)
    return picture if turned is None else _kept(picture, picture.transpose(turned))


def _standard_colours(picture: Image.Image) -> Image.Image:
    """Return the picture in sRGB, without anything else that the file said."""
    from PIL import Image, ImageCms

    profile = picture.info.get("icc_profile")
    mode = "RGBA" if picture.mode in {"RGBA", "LA", "La", "RGBa"} else "RGB"
    clean = None
    if profile:
        try:
            theirs = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if picture.mode == "LA":
                picture = picture.convert("RGBA")
            clean = ImageCms.profileToProfile(
                picture, theirs, ImageCms.createProfile("sRGB"), outputMode=mode
            )
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            # Damaged, or of another kind of colours: what most programs show.
            clean = None
    if clean is None:
        clean = picture.convert(mode)
    bare = Image.new(mode, clean.size)
    bare.paste(clean)
    return bare


def _resized(picture: Image.Image, wanted: Size) -> Image.Image:
    from PIL import Image

    size = _fitted(picture.size, wanted)
    if size == picture.size:
        return picture
    box = _box(picture.size, wanted)
    return picture.resize(size, Image.Resampling.LANCZOS, box, reducing_gap=3.0)


def _encoded(picture: Image.Image, kind: str) -> bytes:
    target = io.BytesIO()
    picture.save(target, kind.upper(), **OPTIONS[kind])
    return target.getvalue()


def _blurred(picture: Image.Image) -> str:
    from PIL import Image

    small = picture.resize((blurhash.SIDE, blurhash.SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    if small.mode == "RGBA":
        white = Image.new("RGB", small.size, "white")
        white.paste(small, mask=small.getchannel("A"))
        small = white
    data = small.tobytes()
    return blurhash.encoded(list(zip(data[::3], data[1::3], data[2::3], strict=True)))


def _animated(order: Order, picture: Image.Image) -> Answer:
    from PIL import Image, ImageSequence

    largest = ANIMATED[-1]
    width, height = _fitted(picture.size, largest)
    facts = Answer(format=picture.format or "", width=width, height=height, is_animated=True)
    if not order.outputs:
        return facts
    frames, durations = [], []
    for frame in ImageSequence.Iterator(picture):
        shown = frame.convert("RGBA").resize((width, height), Image.Resampling.BILINEAR)
        bare = Image.new("RGBA", shown.size)
        bare.paste(shown)
        frames.append(bare)
        durations.append(max(LEAST_FRAME_MS, int(frame.info.get("duration", 100) or 100)))
    blurred = _blurred(frames[0])
    written = [
        _write(output.descriptor, _encoded(frames[0], output.format)) if output.size == STILL else 0
        for output in order.outputs
    ]
    # From the largest to the smallest, each in place of the one before: two sizes are never in memory.
    for size in reversed(ANIMATED):
        for place, frame in enumerate(frames):
            frames[place] = _resized(frame, size)
        target = io.BytesIO()
        frames[0].save(
            target,
            "WEBP",
            save_all=True,
            append_images=frames[1:],
            duration=durations,
            loop=0,
            **ANIMATED_OPTIONS,
        )
        for place, output in enumerate(order.outputs):
            if (output.size, output.format) == (size.name, "webp"):
                written[place] = _write(output.descriptor, target.getvalue())
    return msgspec.structs.replace(facts, blurhash=blurred, written=tuple(written))


def _write(descriptor: int, data: bytes) -> int:
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    return len(data)


if __name__ == "__main__":
    main()
