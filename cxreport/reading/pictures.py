"""Open PNG, JPEG and TIFF files as images: a description from header and name, and pixels as 8-bit grey or RGB."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cxreport.errors import NotAChestRadiographError, StudyError, UnreadableFileError
from cxreport.reading.grey import (
    LUMINANCE,
    STRETCHED,
    Counts,
    Integers,
    OwnBrightness,
    Values,
    own_brightness,
    through_table,
    to_bytes,
)
from cxreport.reading.instance import NO_DRAWBACK, OWN_MARK, DecodeLimits, Drawback, Instance, Rendering
from cxreport.reading.muted_libraries import quiet
from cxreport.reading.shrink import KEPT, shrink, shrink_factor
from cxreport.reading.sixteen_bits import Samples, is_turned, sixteen_bit_samples
from cxreport.reading.words import position_from_words, says_decubitus, words_of

_FORMATS = ("PNG", "JPEG", "TIFF")
_NEW_SUBFILE_TYPE, _SUBFILE_TYPE, _PHOTOMETRIC = 254, 255, 262
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
_TURNED = "Turned to stand upright, by its EXIF orientation."
_LISTED_PAGES = 64
"""Pages whose sizes are looked up; a scanned book is no study."""
_GREY_MODES = ("1", "L", "LA", *_DEEP)
_SIXTEEN_BITS = 65535
_NO_LIMITS = (0.0, 0.0)


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
        """
        self._stream = stream
        self._limits = limits
        self._colour = colour
        with _opened(stream) as image:
            frames = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
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
                shown = _deep_rendering(samples, self._colour, side)
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
        if isinstance(error, OSError) and error.strerror:
            raise UnreadableFileError(f"The file cannot be read: {error.strerror}.") from None
        raise UnreadableFileError("The picture is truncated or damaged.") from None
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _rendering(image: Image.Image, colour: bool, side: int | None) -> Rendering:
    white_is_zero = image.format == "TIFF" and _tiff_value(image, _PHOTOMETRIC) == 0
    image.load()
    upright = image
    ImageOps.exif_transpose(upright, in_place=True)
    if upright.mode in _DEEP:
        deep = _deep_grey(np.asarray(upright), side)
        return replace(deep, pixels=255 - deep.pixels) if white_is_zero else deep  # Pillow inverts only up to 8 bits
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        upright = Image.alpha_composite(black, rgba)
    if upright.mode in ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV"):
        upright = upright.convert("RGB")
    mode = "RGB" if colour and upright.mode not in ("1", "L", "LA") else "L"
    flat = upright if upright.mode == mode else upright.convert(mode)
    blocks = (shrink_factor(flat.width, side), shrink_factor(flat.height, side))
    return Rendering(np.array(flat if blocks == (1, 1) else flat.reduce(blocks)))


class _Page(NamedTuple):
    """A page of a TIFF, or a picture."""

    size: int
    """Number of pixels."""
    is_reduced: bool
    """True for what a TIFF calls a reduced-resolution image (TIFF 6.0, NewSubfileType and SubfileType)."""


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


def _deep_rendering(samples: Samples, colour: bool, side: int | None) -> Rendering:
    """Colour of 16 bits: one window over the three channels, or over the luminance."""
    if samples.ndim == 2:
        return _deep_grey(samples, side)
    if not colour or bool((samples == samples[..., :1]).all()):
        return _deep_grey(np.rint(samples @ LUMINANCE).astype(np.uint16), side)
    flat = _deep_grey(samples.reshape(len(samples), -1), None)
    return replace(flat, pixels=flat.pixels.reshape(samples.shape))


def _deep_grey(values: NDArray[Any], side: int | None) -> Rendering:
    """16-bit, 32-bit or floating-point grey, (H, W): as it is where it fills 16 bits, else stretched."""
    limits = (0.0, float(_SIXTEEN_BITS)) if values.dtype.kind == "u" and values.dtype.itemsize == 2 else _NO_LIMITS
    if values.dtype.kind != "f":
        shrunk = shrink(values, side)
        shown, doubtful = _shown(shrunk, limits)
        return _shown(values, limits)[0] if doubtful and shrunk is not values else shown
    numbers = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = numbers.min(), numbers.max()
    if high <= low:
        return Rendering(to_bytes(np.zeros_like(numbers)))
    return _shown(np.rint((numbers - low) / (high - low) * _SIXTEEN_BITS).astype(np.int64), _NO_LIMITS)[0]


def _shown(values: Integers, limits: tuple[float, float]) -> tuple[Rendering, bool]:
    """Integers as grey, and whether a few values more or less would change the window."""
    found: list[OwnBrightness] = []

    def table(present: Integers, counts: Counts) -> Values:
        found.append(own_brightness(present.astype(np.float64), counts, limits, believed=False))
        return found[0].values

    grey = through_table(values, table)
    return Rendering(grey, (STRETCHED,) if found[0].stretched else ()), found[0].doubtful
