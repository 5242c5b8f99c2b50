"""A picture that was found, before its pixels are read."""

from __future__ import annotations

from dataclasses import dataclass

from cxreport.errors import StudyError, TooLargeError
from cxreport.types import Position


@dataclass(frozen=True)
class Instance:
    """One file with an image, known from its header."""

    source: str
    """Path as the user gave it."""
    image: str
    """What the file is a picture of: two files of a study with the same value repeat one image."""
    position: Position
    frames: int
    """Frames or pages; 0 when the file holds no image."""
    is_picture: bool = False
    """Whether it is PNG, JPEG or TIFF, not DICOM."""
    lossy: bool = False
    """Whether lossy compression touched the pixels."""
    refusal: StudyError | None = None
    """Why the image is not a chest radiograph, by its header."""


def require_size(rows: int, columns: int, max_megapixels: float) -> None:
    """Refuse a decompression bomb from its header, before decoding.

    Args:
        rows: height in pixels.
        columns: width in pixels.
        max_megapixels: limit in millions of pixels.

    Raises:
        TooLargeError: more pixels than the limit.
    """
    megapixels = rows * columns / 1e6
    if megapixels > max_megapixels:
        raise TooLargeError(f"The image has {megapixels:.1f} megapixels; the limit is {max_megapixels:g}.")
