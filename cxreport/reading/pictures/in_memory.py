"""Pictures in memory, arrays and those of Pillow, read into studies as a PNG file of them would be."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cxreport.errors import UsageError
from cxreport.reading.grouping import StudyFiles
from cxreport.reading.instance import DecodeLimits, ImageFile
from cxreport.reading.options import DEFAULTS, ReadOptions
from cxreport.reading.pictures.picture import Picture
from cxreport.reading.reader import read_files
from cxreport.reading.study import only_study
from cxreport.types import Study

__all__ = ["read_image"]

_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I")
_ARRAY_HINT = "Give (H, W) grey of uint8 or uint16, or (H, W, 3) RGB of uint8, 0 for black."


def read_image(image: Image.Image | NDArray[Any], name: str = "image", options: ReadOptions = DEFAULTS) -> Study:
    """Read a picture in memory into a study, as `read_study` does with a PNG file of it.

    Args:
        image: of Pillow, in any mode; or an array, (H, W) grey of uint8 or uint16, or (H, W, 3) RGB or (H, W, 4) RGBA
            of uint8, with 0 for black.
        name: id and source of the study; words of it such as ``lateral`` say the projection, as those of a file do.
        options: of reading.

    Returns:
        A study with this view.

    Raises:
        UsageError: there is no such kind of image.
        NothingReadableError: it cannot be used: lateral, too large, or a result of cxreport.
    """
    png = _png(image if isinstance(image, Image.Image) else _picture(image))

    def opened(source: str, limits: DecodeLimits, colour: bool) -> ImageFile:
        return Picture(io.BytesIO(png), source, limits, colour)

    files = StudyFiles(name, [name], (name,), key=name)
    return only_study(name, read_files(files, options, opener=opened))


def _picture(pixels: Any) -> Image.Image:
    """Picture of an array."""
    if not isinstance(pixels, np.ndarray):
        raise UsageError(f"A {type(pixels).__name__} is no image.", hint=_ARRAY_HINT)
    shape, kind = pixels.shape, pixels.dtype.newbyteorder("=")
    is_colour = pixels.ndim == 3 and shape[2] in (3, 4) and kind == np.uint8
    is_grey = pixels.ndim == 2 and kind in (np.uint8, np.uint16)
    if not (is_colour or is_grey) or 0 in shape:
        raise UsageError(f"An array of {kind} and shape {shape} is no image.", hint=_ARRAY_HINT)
    return Image.fromarray(np.ascontiguousarray(pixels, kind))


def _png(image: Image.Image) -> bytes:
    """Content of a PNG file of a picture, upright by its EXIF orientation."""
    if not (image.width and image.height):
        raise UsageError("The image has no pixels.", hint=_ARRAY_HINT)
    upright = ImageOps.exif_transpose(image)
    if upright.mode not in _PNG_MODES:
        upright = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    content = io.BytesIO()
    upright.save(content, format="PNG", compress_level=1)
    return content.getvalue()
