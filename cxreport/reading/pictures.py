"""PNG, JPEG and TIFF files to views."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cxreport.errors import StudyError, UnreadableFileError
from cxreport.reading.dicom.eligibility import position_from_words
from cxreport.reading.grey import percentile_window, through_table, to_bytes
from cxreport.reading.instance import EVERY_PIXEL, DecodeLimits, Instance
from cxreport.reading.shrink import KEPT, shrink, shrink_factor
from cxreport.reading.silence import quiet
from cxreport.types import Grey, Pixels, View, ViewInfo

_FORMATS = ("PNG", "JPEG", "TIFF")
_PHOTOMETRIC = 262
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
_FLOAT_LEVELS = 65535


def inspect(path: str) -> Instance:
    """Read what the header of a picture says, not its pixels.

    Args:
        path: a PNG, JPEG or TIFF file.

    Returns:
        Pages of a TIFF count as frames. The projection is UNKNOWN unless the file name says it (`..._lateral.png`).

    Raises:
        UnreadableFileError: cannot be opened, or is damaged.
    """
    with _opened(path) as image:
        frames = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
    words = re.sub(r"[^A-Z]+", " ", Path(path).stem.upper())
    return Instance(source=path, image=path, position=position_from_words(words), frames=frames, is_picture=True)


def read_view(
    instance: Instance,
    frame: int,
    limits: DecodeLimits = EVERY_PIXEL,
    colour: bool = False,
) -> View:
    """Decode one page and present it as 8-bit grey, or as RGB.

    Deeper grey does not tell how many of its bits are used, so it is stretched by a percentile window; colour becomes
    luminance; transparency lies over black; the EXIF orientation is applied.

    Args:
        instance: from `inspect`.
        frame: page number from 0.
        limits: of decoding.
        colour: keep the colours of a picture that has some.

    Returns:
        The view: (H, W), 0 = black; (H, W, 3) in colour; with a side perhaps fewer pixels than the picture has.

    Raises:
        UnreadableFileError: truncated or damaged.
        TooLargeError: more pixels than the limit.
    """
    with _opened(instance.source) as image:
        if frame:
            image.seek(frame)
        limits.require_size(image.height, image.width)
        if limits.side is not None:  # JPEG by shorter cosine transforms; nothing happens to others
            image.draft(None, (KEPT * limits.side, KEPT * limits.side))
        pixels = _to_pixels(image, colour, limits.side)
    return View(ViewInfo(instance.source, frame, instance.position), pixels)


@contextmanager
def _opened(path: str) -> Iterator[Image.Image]:
    """Open a picture, with the size limit left to the caller and all failures as ours."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        # not by name: Pillow would map plain TIFF files into memory, and scramble those that it has to rotate
        with quiet(), open(path, "rb") as file, Image.open(file, formats=_FORMATS) as image:
            yield image
    except StudyError:
        raise
    except Exception as error:  # Pillow's plugins raise anything on damage
        if isinstance(error, OSError) and error.strerror:
            raise UnreadableFileError(f"The file cannot be opened: {error.strerror}.") from None
        raise UnreadableFileError("The picture is truncated or damaged.") from None
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _to_pixels(image: Image.Image, colour: bool, side: int | None) -> Pixels:
    white_is_zero = image.format == "TIFF" and _tiff_photometric(image) == 0
    image.load()
    upright = image
    ImageOps.exif_transpose(upright, in_place=True)
    if upright.mode in _DEEP:
        grey = _deep_grey(np.asarray(upright), side)
        return 255 - grey if white_is_zero else grey  # Pillow inverts only up to 8 bits
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        upright = Image.alpha_composite(black, rgba)
    if upright.mode in ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV"):
        upright = upright.convert("RGB")
    mode = "RGB" if colour and upright.mode not in ("1", "L", "LA") else "L"
    shown = upright if upright.mode == mode else upright.convert(mode)
    blocks = (shrink_factor(shown.width, side), shrink_factor(shown.height, side))
    return np.array(shown if blocks == (1, 1) else shown.reduce(blocks))


def _tiff_photometric(image: Image.Image) -> int | None:
    tags = getattr(image, "tag_v2", {})
    found = tags.get(_PHOTOMETRIC)
    return found if isinstance(found, int) else None


def _deep_grey(values: NDArray[Any], side: int | None) -> Grey:
    """Percentile window over 16-bit, 32-bit or floating-point grey, (H, W)."""
    if values.dtype.kind != "f":
        values = shrink(values, side)
        return through_table(values, lambda present, counts: percentile_window(present.astype(np.float64), counts))
    numbers = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = numbers.min(), numbers.max()
    if high <= low:
        return to_bytes(np.zeros_like(numbers))
    levels = np.rint((numbers - low) / (high - low) * _FLOAT_LEVELS).astype(np.int64)
    return through_table(levels, lambda present, counts: percentile_window(present.astype(np.float64), counts))
