"""Pictures of 16 bits a sample in colour or with transparency, of which Pillow keeps the high bytes.

An image of 12 bits in them is black then. Pillow decodes the samples all the same, and unpacks them by a raw mode: with
the raw mode of the other byte order it keeps the low bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from cxreport.reading.pictures.bands import bands

Samples = NDArray[np.uint16]
"""(H, W) grey or (H, W, 3) RGB, over black where it was transparent."""
_ORIENTATION = 0x0112
_COLOURS = ("RGB", "RGBA", "RGBX")
_TURNS: dict[int, Callable[[Samples], Samples]] = {
    2: lambda samples: samples[:, ::-1],
    3: lambda samples: samples[::-1, ::-1],
    4: lambda samples: samples[::-1],
    5: lambda samples: samples.swapaxes(0, 1),
    6: lambda samples: samples[::-1].swapaxes(0, 1),
    7: lambda samples: samples[::-1, ::-1].swapaxes(0, 1),
    8: lambda samples: samples[:, ::-1].swapaxes(0, 1),
}
"""From stored to upright, by the EXIF orientation."""
_GREY_WITH_ALPHA = "LA;16B"
_NATIVE = "L" if sys.byteorder == "little" else "B"


def sixteen_bit_samples(image: Image.Image, stream: BinaryIO) -> Samples | None:
    """Decode every bit of the samples, upright by the EXIF orientation, which the picture keeps.

    Args:
        image: an open picture, not loaded yet.
        stream: the file that it was opened from.

    Returns:
        The samples; None for a picture that Pillow reads whole, or in a colour space other than RGB.
    """
    raw_modes = {_raw_mode(tile) for tile in getattr(image, "tile", [])}
    page = image.tell()
    if raw_modes == {_GREY_WITH_ALPHA}:
        _set_raw_mode(image, "RGBA")  # four bytes a pixel, as they come
        image.load()
        grey = np.empty((image.height, image.width), np.uint16)
        for box in bands(image):
            pairs = np.array(image.crop(box)).view(">u2")
            grey[box[1] : box[3]] = _over_black(pairs[..., 0], pairs[..., 1])
        return _upright(grey, image)
    if not raw_modes or any(_swapped(mode) is None for mode in raw_modes) or "transparency" in image.info:
        return None
    image.load()
    with Image.open(stream, formats=[str(image.format)]) as again:
        again.seek(page)
        _set_raw_mode(again, None)
        again.load()
        colour = np.empty((image.height, image.width, 3), np.uint16)
        for box in bands(image):
            values = np.array(image.crop(box)).astype(np.uint16) << 8 | np.array(again.crop(box))
            has_alpha = values.shape[-1] == 4
            colour[box[1] : box[3]] = _over_black(values[..., :3], values[..., 3:]) if has_alpha else values
    return _upright(colour, image)


def is_turned(image: Image.Image) -> bool:
    """True for a picture that its EXIF orientation turns; a PNG is loaded for it, as the orientation may come last."""
    return image.getexif().get(_ORIENTATION, 1) in range(2, 9)


def _raw_mode(tile: Any) -> str:
    return str(tile.args if isinstance(tile.args, str) else tile.args[0])


def _swapped(raw_mode: str) -> str | None:
    """The raw mode that takes the other byte of each sample; None for one without two bytes."""
    colours, _, order = raw_mode.partition(";16")
    if colours not in _COLOURS or order not in ("B", "L", "N"):
        return None
    return f"{colours};16{'L' if order.replace('N', _NATIVE) == 'B' else 'B'}"


def _set_raw_mode(image: Any, raw_mode: str | None) -> None:
    """Make a picture be unpacked by another raw mode, its swapped one where none is named."""
    tiles = []
    for tile in image.tile:
        mode = raw_mode or _swapped(_raw_mode(tile))
        arguments = mode if isinstance(tile.args, str) else (mode, *tile.args[1:])
        tiles.append(ImageFile._Tile(tile.codec_name, tile.extents, tile.offset, arguments))
    image.tile = tiles


def _upright(samples: Samples, image: Image.Image) -> Samples:
    """The samples of a loaded picture upright, by the EXIF orientation that it has still; without another copy."""
    turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    return samples if turn is None else turn(samples)


def _over_black(values: Samples, alpha: Samples) -> Samples:
    return np.asarray((values.astype(np.uint32) * alpha + 0x7FFF) // 0xFFFF, np.uint16)
