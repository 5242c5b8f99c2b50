"""Images before their pixels are read: descriptions from headers, open files, and limits of decoding."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import Protocol

from cxreport.errors import StudyError, TooLargeError
from cxreport.types import Pixels, Position

OWN_MARK = "cxreport"
"""Software that pictures of explanations name, so that they are not read as radiographs."""


class Drawback(enum.IntFlag):
    """What lets a view stand behind another one, the lightest first: the order of views is that of the sums.

    Attributes:
        reason: a few words, for the view that is not used.
    """

    AP = enum.auto()
    NOT_STATED = enum.auto()
    IN_COLOUR = enum.auto()
    NOT_UPRIGHT = enum.auto()
    ANNOTATED = enum.auto()
    DERIVED = enum.auto()
    DECUBITUS = enum.auto()
    SEVERAL_ENERGIES = enum.auto()
    DUAL_ENERGY = enum.auto()
    THUMBNAIL = enum.auto()
    SECONDARY = enum.auto()
    FOR_PROCESSING = enum.auto()
    CAPTURE = enum.auto()
    LATERAL = enum.auto()
    REFUSED = enum.auto()

    @property
    def reason(self) -> str:
        """The heaviest one in words; empty without any."""
        return _REASONS[Drawback(1 << self.bit_length() - 1)] if self else ""


NO_DRAWBACK = Drawback(0)
_REASONS = {
    Drawback.AP: "AP",
    Drawback.NOT_STATED: "projection not stated",
    Drawback.IN_COLOUR: "in colour",
    Drawback.NOT_UPRIGHT: "not stored upright",
    Drawback.ANNOTATED: "annotation in the pixels",
    Drawback.DERIVED: "derived from another image",
    Drawback.DECUBITUS: "decubitus view",
    Drawback.SEVERAL_ENERGIES: "of a dual-energy exposure",
    Drawback.DUAL_ENERGY: "part of a dual-energy exposure",
    Drawback.THUMBNAIL: "thumbnail",
    Drawback.SECONDARY: "secondary image",
    Drawback.FOR_PROCESSING: "FOR PROCESSING",
    Drawback.CAPTURE: "secondary capture",
    Drawback.LATERAL: "lateral",
    Drawback.REFUSED: "no chest radiograph by its header",
}
_PROJECTION = {
    Position.PA: NO_DRAWBACK,
    Position.AP: Drawback.AP,
    Position.UNKNOWN: Drawback.NOT_STATED,
    Position.LATERAL: Drawback.LATERAL,
}


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
    sizes: tuple[int, ...] = ()
    """Number of pixels of each frame, of the first ones where there are many; one number where all have the same."""
    reduced: tuple[int, ...] = ()
    """Frames that the file calls smaller versions of other ones."""
    drawbacks: Drawback = NO_DRAWBACK
    """By the header, without those of the projection."""
    doubts: tuple[str, ...] = ()
    """Warnings for the reader of its report, by the header."""

    @property
    def rank(self) -> Drawback:
        """All drawbacks: the lower, the better."""
        rank = self.drawbacks | _PROJECTION[self.position]
        return rank | Drawback.REFUSED if self.refusal else rank


@dataclass(frozen=True)
class Rendering:
    """One frame or page as it is shown."""

    pixels: Pixels
    """(H, W), 0 = black = air; (H, W, 3) in colour."""
    changes: tuple[str, ...] = ()
    """What was read in spite of the header, what the grey owes to more than the file's own window, and how it was
    turned, in sentences."""
    warnings: tuple[str, ...] = ()
    """What the reader of a report should know."""
    coloured: bool = False
    """True where a DICOM frame had colours that no radiograph has, though it was made grey."""
    blank: bool = False
    """True where what a shutter leaves to be seen has one value."""


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
