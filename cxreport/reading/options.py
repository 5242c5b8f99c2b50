"""Options of reading studies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from cxreport.errors import UsageError
from cxreport.reading.instance import DecodeLimits
from cxreport.types import InputShape


@dataclass(frozen=True)
class ReadOptions:
    """Options of reading: images to accept, and files that make a study."""

    force: bool = False
    """Read images that are refused otherwise: another modality, another body part, lateral views only."""
    group_by: Literal["study", "folder"] = "study"
    """For image files that are not DICOM: each is a study, or each folder is."""
    max_megapixels: float = 100.0
    """Limit per frame, checked before decoding."""
    salt: str | None = None
    """Key of the ids of DICOM studies, see `pseudonym`; None takes the user's own secret."""
    max_frames: int = 16
    """Views taken from an instance with several frames or pages."""
    colour: bool = False
    """Keep the colours of pictures, for a model that sees them; DICOM images become grey all the same."""
    side: int | None = None
    """Side of the square that the pixels are needed for: the view may then have fewer pixels than the image, never too
    few for `network_input`. None keeps every pixel."""

    def fitting(self, shape: InputShape, every_pixel: bool = False) -> ReadOptions:
        """The options for pixels that a network takes.

        Args:
            shape: of the network's input.
            every_pixel: decode images in full, though the network takes fewer pixels.
        """
        return replace(self, colour=shape.channels > 1, side=None if every_pixel else shape.size)

    def __post_init__(self) -> None:
        """Refuse values that mean nothing.

        Raises:
            UsageError: one does.
        """
        if self.group_by not in ("study", "folder"):
            raise UsageError(f"group_by is 'study' or 'folder', not {self.group_by!r}.")
        if not self.max_megapixels > 0 or self.max_frames < 1:
            raise UsageError("max_megapixels and max_frames are more than 0.")

    @property
    def limits(self) -> DecodeLimits:
        """The options that bound decoding."""
        return DecodeLimits(self.max_megapixels, self.side)


DEFAULTS = ReadOptions()
"""What is read without options."""
