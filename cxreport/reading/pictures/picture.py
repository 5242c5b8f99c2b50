"""Open PNG, JPEG and TIFF files as images: a description from header and name, and pixels as 8-bit grey or RGB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from cxreport.errors import (
    NotAChestRadiographError,
    OutOfMemoryError,
    StudyError,
    TooLargeError,
    UnreadableFileError,
    lacks_memory,
)
from cxreport.reading.dicom.codestream import has_too_many_scans
from cxreport.reading.instance import NO_DRAWBACK, OWN_MARK, DecodeLimits, Drawback, Instance, Rendering
from cxreport.reading.pictures.bands import bands
from cxreport.reading.pictures.deep_grey import DEEP_MODES, deep_picture, deep_rendering
from cxreport.reading.pictures.sixteen_bits import is_turned, sixteen_bit_samples
from cxreport.reading.pictures.tiff_pages import count_pages
from cxreport.reading.processes.muted_libraries import quiet
from cxreport.reading.shrink import KEPT, shrink_factor
from cxreport.reading.words import position_from_words, says_decubitus, words_of

_FORMATS = ("PNG", "JPEG", "TIFF")
_NEW_SUBFILE_TYPE, _SUBFILE_TYPE, _PHOTOMETRIC = 254, 255, 262
_TURNED = "Turned to stand upright, by its EXIF orientation."
_LISTED_PAGES = 64
"""Pages whose sizes are looked up; a scanned book is no study."""
_GREY_MODES = ("1", "L", "LA", *DEEP_MODES)
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
            grey = colour or image.mode in _GREY_MODES
            is_own = OWN_MARK in (image.info.get("Software"), image.info.get("software"))
            pages = list(_pages(image, frames))
        words = words_of(Path(source).stem)
        drawbacks = NO_DRAWBACK if grey else Drawback.IN_COLOUR
        self.instance = Instance(
            source=source,
            image=source,
            position=position_from_words(words),
            frames=frames,
            refusal=NotAChestRadiographError("Not a chest radiograph: it is a result of cxreport.") if is_own else None,
            sizes=tuple(page.size for page in pages),
            reduced=tuple(number for number, page in enumerate(pages) if page.is_reduced),
            drawbacks=drawbacks | (Drawback.DECUBITUS if says_decubitus(words) else NO_DRAWBACK),
        )

    def rendering(self, frame: int) -> Rendering:
        """Decode one page and present it as 8-bit grey, or as RGB.

        Deeper grey that fills its range is shown as it is; where it does not, its depth is another one, and it is
        stretched by a percentile window. Colour becomes luminance; transparency lies over black; the EXIF orientation
        is applied.

        Args:
            frame: page number from 0.

        Returns:
            (H, W), 0 = black; (H, W, 3) in colour; with a side in the limits perhaps fewer pixels than the picture
            has. Its changes say whether it was stretched or turned; it never counts as coloured, as photographs of
            films are in colour, too.

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
            turned = image.format != "PNG" and is_turned(image)  # Pillow turns a TIFF when it is loaded
            samples = sixteen_bit_samples(image, self._stream)
            turned = turned or is_turned(image)
            if samples is not None:
                shown = deep_rendering(samples, self._colour, side)
            else:
                shown = _rendering(image, self._colour, side)
        return replace(shown, changes=(*shown.changes, _TURNED)) if turned else shown

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


def _rendering(image: Image.Image, colour: bool, side: int | None) -> Rendering:
    white_is_zero = image.format == "TIFF" and _tiff_value(image, _PHOTOMETRIC) == 0
    image.load()
    upright = image
    ImageOps.exif_transpose(upright, in_place=True)
    if upright.mode in DEEP_MODES:
        deep = deep_picture(upright, side)
        return replace(deep, pixels=255 - deep.pixels) if white_is_zero else deep  # Pillow inverts only up to 8 bits
    coloured = colour and (upright.has_transparency_data or upright.mode not in ("1", "L"))
    flat = _flat(upright, "RGB" if coloured else "L")
    blocks = (shrink_factor(flat.width, side), shrink_factor(flat.height, side))
    return Rendering(np.array(flat if blocks == (1, 1) else flat.reduce(blocks)))


class _Page(NamedTuple):
    """A page of a TIFF, or a picture."""

    size: int
    """Number of pixels."""
    is_reduced: bool
    """True for what a TIFF calls a reduced-resolution image (TIFF 6.0, NewSubfileType and SubfileType)."""


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """The picture as grey or RGB, with what is transparent over black: in bands, as each step makes another copy."""
    if image.mode == mode and not image.has_transparency_data:
        return image
    flat = Image.new(mode, image.size)
    for box in bands(image):
        band = image.crop(box)
        if image.has_transparency_data:
            rgba = band.convert("RGBA")
            band = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
        if band.mode in ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV"):
            band = band.convert("RGB")
        flat.paste(band if band.mode == mode else band.convert(mode), box)
    return flat


def _pages(image: Image.Image, pages: int) -> Iterator[_Page]:
    """The pages, the first ones where there are many."""
    for page in range(min(pages, _LISTED_PAGES)):
        if page:
            image.seek(page)
        is_reduced = bool((_tiff_value(image, _NEW_SUBFILE_TYPE) or 0) & 1) or _tiff_value(image, _SUBFILE_TYPE) == 2
        yield _Page(image.width * image.height, is_reduced)


def _tiff_value(image: Image.Image, tag: int) -> int | None:
    value = getattr(image, "tag_v2", {}).get(tag)
    return value if isinstance(value, int) else None
