"""Bands of a picture, some rows each: what is done to one after the other takes no further copy of the whole."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

_BAND_PIXELS = 1 << 20


def bands(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Boxes of the rows of a picture, some at a time: left, top, right and bottom."""
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield 0, top, image.width, min(top + rows, image.height)
