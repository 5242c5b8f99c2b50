"""Open PNG, JPEG and TIFF files as images: a description from header and name, and pixels as 8-bit grey or RGB."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cxreport.errors import OutOfMemoryError, StudyError, TooLargeError, UnreadableFileError, lacks_memory
from cxreport.reading.dicom.codestream import has_too_many_scans
from cxreport.reading.grey import Integers, percentile_window, through_table
from cxreport.reading.instance import DecodeLimits, Instance
from cxreport.reading.muted_libraries import quiet
from cxreport.reading.projection import position_from_words
from cxreport.reading.shrink import KEPT, shrink, shrink_factor
from cxreport.reading.tiff_pages import count_pages
from cxreport.types import Grey, Pixels

_FORMATS = ("PNG", "JPEG", "TIFF")
_PHOTOMETRIC = 262
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
_FLOAT_LEVELS = 65535
_BAND_PIXELS = 1 << 20
_MOST_FILE_BYTES = 1 << 30


class Picture:
    """An open PNG, JPEG or TIFF file.

    Attributes:
        instance: pages of a TIFF count as frames; the projection is UNKNOWN unless the file name says it
            (`..._lateral.png`).
    """

    def __init__(self, stream: BinaryIO, source: str, limits: DecodeLimits, colour: bool = False) -> None:
        """Read the header, not the pixels.

        Args:
            stream: an open file, closed by `close`.
            source: its path.
            limits: of decoding.
            colour: keep the colours of a picture that has some.

        Raises:
            UnreadableFileError: damaged.
            TooLargeError: a TIFF of very many pages, or a JPEG of very many scans.
        """
        self._stream = stream
        self._limits = limits
        self._colour = colour
        _require_few_scans(stream)
        with _opened(stream) as image:
            frames = count_pages(stream) if image.format == "TIFF" else 1
        words = re.sub(r"[^A-Z]+", " ", Path(source).stem.upper())
        self.instance = Instance(source=source, image=source, position=position_from_words(words), frames=frames)

    def pixels(self, frame: int) -> Pixels:
        """Decode one page and present it as 8-bit grey, or as RGB.

        Deeper grey does not tell how many of its bits are used, so it is stretched by a percentile window; colour
        becomes luminance; transparency lies over black; the EXIF orientation is applied.

        Args:
            frame: page number from 0.

        Returns:
            (H, W), 0 = black; (H, W, 3) in colour; with a side in the limits perhaps fewer pixels than the picture
            has.

        Raises:
            UnreadableFileError: truncated or damaged.
            TooLargeError: more pixels than the limit.
        """
        side = self._limits.side
        with _opened(self._stream) as image:
            if frame:
                image.seek(frame)
            self._limits.require_size(image.height, image.width)
            if side is not None:  # JPEG by shorter cosine transforms; nothing happens to others
                image.draft(None, (KEPT * side, KEPT * side))
            return _to_pixels(image, self._colour, side)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


@contextmanager
def _opened(stream: BinaryIO) -> Iterator[Image.Image]:
    """Open a picture, with the size limit left to the caller and all failures as ours."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        stream.seek(0)
        # not by name: Pillow would map plain TIFF files into memory, and scramble those that it has to rotate
        with quiet(), Image.open(stream, formats=_FORMATS) as image:
            yield image
    except StudyError:
        raise
    except Exception as error:  # Pillow's plugins raise anything on damage
        if lacks_memory(error):
            raise OutOfMemoryError() from None
        if isinstance(error, OSError) and error.strerror:
            raise UnreadableFileError(f"The file cannot be read: {error.strerror}.") from None
        raise UnreadableFileError("The picture is truncated or damaged.") from None
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _require_few_scans(stream: BinaryIO) -> None:
    """Refuse a JPEG of very many scans, each of which costs a pass over the whole picture."""
    stream.seek(0)
    if stream.read(2) == b"\xff\xd8":
        stream.seek(0)
        if has_too_many_scans(stream.read(_MOST_FILE_BYTES)):
            raise TooLargeError("The JPEG has too many scans.", hint="Save the picture again, as a baseline JPEG.")


def _to_pixels(image: Image.Image, colour: bool, side: int | None) -> Pixels:
    white_is_zero = image.format == "TIFF" and _tiff_photometric(image) == 0
    image.load()
    upright = image
    ImageOps.exif_transpose(upright, in_place=True)
    if upright.mode in _DEEP:
        grey = _deep_grey(upright, side)
        return 255 - grey if white_is_zero else grey  # Pillow inverts only up to 8 bits
    coloured = colour and (upright.has_transparency_data or upright.mode not in ("1", "L"))
    flat = _flat(upright, "RGB" if coloured else "L")
    blocks = (shrink_factor(flat.width, side), shrink_factor(flat.height, side))
    return np.array(flat if blocks == (1, 1) else flat.reduce(blocks))


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """The picture as grey or RGB, with what is transparent over black: in bands, as each step makes another copy."""
    if image.mode == mode and not image.has_transparency_data:
        return image
    flat = Image.new(mode, image.size)
    for box in _bands(image):
        band = image.crop(box)
        if image.has_transparency_data:
            rgba = band.convert("RGBA")
            band = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
        if band.mode in ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV"):
            band = band.convert("RGB")
        flat.paste(band if band.mode == mode else band.convert(mode), box)
    return flat


def _bands(image: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    """Boxes of the rows of a picture, some at a time."""
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield 0, top, image.width, min(top + rows, image.height)


def _tiff_photometric(image: Image.Image) -> int | None:
    tags = getattr(image, "tag_v2", {})
    photometric = tags.get(_PHOTOMETRIC)
    return photometric if isinstance(photometric, int) else None


def _deep_grey(image: Image.Image, side: int | None) -> Grey:
    """Percentile window over 16-bit, 32-bit or floating-point grey."""
    if image.mode != "F":
        values = shrink(_values(image), side)
        return through_table(values, lambda present, counts: percentile_window(present.astype(np.float64), counts))
    bounds = [(numbers.min(), numbers.max()) for box in _bands(image) for numbers in [_finite(image.crop(box))]]
    low, high = min(bound[0] for bound in bounds), max(bound[1] for bound in bounds)
    levels = np.zeros((image.height, image.width), np.uint16)
    if high <= low:
        return levels.astype(np.uint8)
    for box in _bands(image):
        numbers = _finite(image.crop(box))
        levels[box[1] : box[3]] = np.rint((numbers - low) / (high - low) * _FLOAT_LEVELS)
    return through_table(levels, lambda present, counts: percentile_window(present.astype(np.float64), counts))


def _values(image: Image.Image) -> Integers:
    """(H, W) values of deep grey, in bands: numpy would take a copy of the whole on the way."""
    values = np.empty((image.height, image.width), np.asarray(image.crop((0, 0, 1, 1))).dtype)
    for box in _bands(image):
        values[box[1] : box[3]] = np.asarray(image.crop(box))
    return values


def _finite(image: Image.Image) -> NDArray[np.float64]:
    """(H, W) floating-point grey, with zeros for what is no number."""
    return np.nan_to_num(np.asarray(image).astype(np.float64), posinf=0.0, neginf=0.0)
