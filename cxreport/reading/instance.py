"""Images before their pixels are read: descriptions from headers, open files, and limits of decoding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from cxreport.errors import StudyError, TooLargeError
from cxreport.types import Pixels, Position


@dataclass(frozen=True)
class Instance:
    """One file with an image, described by its header."""

    source: str
    """Path as the user gave it."""
    image: str
    """Identity of the depicted image: two files of a study with the same value repeat one image."""
    position: Position
    frames: int
    """Frames or pages; 0 when the file holds no image."""
    lossy: bool = False
    """True after lossy compression of the pixels."""
    refusal: StudyError | None = None
    """Reason why the image is no chest radiograph, by its header."""


@dataclass(frozen=True)
class Rendering:
    """One frame or page as it is shown."""

    pixels: Pixels
    """(H, W), 0 = black = air; (H, W, 3) in colour."""
    changes: tuple[str, ...] = ()
    """What the grey owes to more than the file's own window, and what was read in spite of the header."""
    warnings: tuple[str, ...] = ()
    """What the reader of a report should know."""


class ImageFile(Protocol):
    """An open file with an image, DICOM or a picture."""

    instance: Instance

    def rendering(self, frame: int) -> Rendering:
        """Decode one frame or page; see `dicom.views.DicomImage` and `pictures.Picture`."""

    def close(self) -> None:
        """Close the file."""


@dataclass(frozen=True)
class DecodeLimits:
    """Bounds on decoding: the pixels that a frame may have at most, and those that are needed of it at least."""

    max_megapixels: float = 100.0
    """Limit per frame in millions of pixels, checked before decoding."""
    side: int | None = None
    """Side of the square that the pixels are needed for, see `shrink`; None keeps every pixel."""

    @property
    def every_pixel(self) -> DecodeLimits:
        """The same, with no pixel left out."""
        return replace(self, side=None)

    def require_size(self, rows: int, columns: int) -> None:
        """Refuse a decompression bomb from its header, before decoding.

        Raises:
            TooLargeError: more pixels than the limit.
        """
        megapixels = rows * columns / 1e6
        if megapixels > self.max_megapixels:
            raise TooLargeError(f"The image has {megapixels:.1f} megapixels; the limit is {self.max_megapixels:g}.")
