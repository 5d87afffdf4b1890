"""BlurHash: a picture's colours in 28 characters, shown until it is loaded (https://blurha.sh)."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi

SIDE = 32
"""The picture is scaled to a square of this side first: more would not show."""
ACROSS, DOWN = 4, 3
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"

Colour = tuple[float, float, float]


def encoded(pixels: Sequence[tuple[int, int, int]]) -> str:
    """Return the hash of a square of `SIDE` pixels, sRGB, row by row."""
    linear = [_linear(value) for value in range(256)]
    light = [(linear[red], linear[green], linear[blue]) for red, green, blue in pixels]
    waves = [
        [cos(pi * count * place / SIDE) for place in range(SIDE)]
        for count in range(max(ACROSS, DOWN))
    ]
    factors = [_factor(light, waves[x], waves[y], x, y) for y in range(DOWN) for x in range(ACROSS)]
    flat, others = factors[0], factors[1:]
    greatest = max(abs(part) for factor in others for part in factor)
    scale = max(0, min(82, int(greatest * 166 - 0.5)))
    most = (scale + 1) / 166
    red, green, blue = (_standard(part) for part in flat)
    return "".join(
        (
            _digits(ACROSS - 1 + (DOWN - 1) * 9, 1),
            _digits(scale, 1),
            _digits((red << 16) + (green << 8) + blue, 4),
            *(_digits(_quantized(factor, most), 2) for factor in others),
        )
    )


def _factor(
    light: Sequence[Colour], across: Sequence[float], down: Sequence[float], x: int, y: int
) -> Colour:
    sums = [0.0, 0.0, 0.0]
    for row in range(SIDE):
        for column in range(SIDE):
            weight = across[column] * down[row]
            for part in range(3):
                sums[part] += weight * light[row * SIDE + column][part]
    scale = (1 if x == 0 and y == 0 else 2) / SIDE**2
    return sums[0] * scale, sums[1] * scale, sums[2] * scale


def _quantized(factor: Colour, most: float) -> int:
    value = 0
    for part in factor:
        ratio = part / most
        root = abs(ratio) ** 0.5 * (1 if ratio >= 0 else -1)
        value = value * 19 + max(0, min(18, int(root * 9 + 9.5)))
    return value


def _linear(value: int) -> float:
    part = value / 255
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def _standard(part: float) -> int:
    part = max(0.0, min(1.0, part))
    if part <= 0.0031308:
        return int(part * 12.92 * 255 + 0.5)
    return int((1.055 * part ** (1 / 2.4) - 0.055) * 255 + 0.5)


def _digits(value: int, length: int) -> str:
    return "".join(_DIGITS[value // 83 ** (length - 1 - place) % 83] for place in range(length))
