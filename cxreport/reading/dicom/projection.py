"""Projection of an image by its DICOM header, and the turn that puts its pixels upright."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cxreport.reading.dicom.attributes import numbers, sequence, text, texts
from cxreport.reading.words import position_from_words, says_decubitus, words_of
from cxreport.types import Grey, Position

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# PS3.16 CID 4010, in SNOMED CT and as the SNOMED-RT ids before it
_SNOMED_CT = {"SCT", "SNOMEDCT"}
_SNOMED_RT = {"SRT", "SNM3", "99SDM"}
_VIEW_CODES = {
    "272479007": Position.PA,
    "399348003": Position.AP,
    "399067008": Position.LATERAL,
    "399173006": Position.LATERAL,
    "399198007": Position.LATERAL,
}
_VIEW_CODES_RT = {
    "R-10214": Position.PA,
    "R-40888": Position.PA,
    "R-10206": Position.AP,
    "R-102CD": Position.LATERAL,
    "R-10236": Position.LATERAL,
    "R-10232": Position.LATERAL,
}


@dataclass(frozen=True)
class Turn:
    """Way from stored pixels to an upright picture: first the diagonal, then the other two."""

    transposed: bool = False
    """Rows and columns exchanged."""
    mirrored: bool = False
    """Left and right exchanged."""
    flipped: bool = False
    """Top and bottom exchanged."""

    def __bool__(self) -> bool:
        return self.transposed or self.mirrored or self.flipped

    def applied(self, pixels: Grey) -> Grey:
        """(H, W) pixels upright."""
        if self.transposed:
            pixels = pixels.T
        if self.mirrored:
            pixels = pixels[:, ::-1]
        if self.flipped:
            pixels = pixels[::-1]
        return np.ascontiguousarray(pixels)

    @property
    def change(self) -> str:
        """What was done, as a sentence."""
        turned = (self.transposed, self.mirrored, self.flipped)
        return f"{_TURNS[turned]} to stand upright, by Patient Orientation."


_TURNS = {
    (False, True, False): "Mirrored",
    (False, False, True): "Flipped top to bottom",
    (False, True, True): "Turned by 180 degrees",
    (True, False, False): "Mirrored at the diagonal",
    (True, True, False): "Turned by 90 degrees to the right",
    (True, False, True): "Turned by 90 degrees to the left",
    (True, True, True): "Mirrored at the other diagonal",
}


def view_position(header: Dataset) -> Position:
    """Projection of an image: View Position, View Code Sequence, Patient Orientation, descriptions, in this order.

    Args:
        header: the instance's attributes (PS3.3 C.8.1.2, C.8.11.5, C.7.6.1.1.1).

    Returns:
        The projection. An image in the frontal plane that does not say PA or AP is UNKNOWN, which counts as frontal.
    """
    words = words_of(text(header, "ViewPosition"))
    if says_decubitus(words):
        return Position.UNKNOWN
    position = position_from_words(words)
    if position is Position.UNKNOWN:
        position = _coded_position(header)
    if position is not Position.UNKNOWN:
        return position
    axes = {axis[0] for axis in texts(header, "PatientOrientation") if axis}
    if axes & {"A", "P"}:
        return Position.LATERAL
    position = _described_position(header)
    if axes & {"L", "R"} and position is Position.LATERAL:
        return Position.UNKNOWN
    return position


def is_decubitus(header: Dataset) -> bool:
    """True for an image of a patient who lies on a side, by View Position or else by its descriptions."""
    words = words_of(text(header, "ViewPosition"))
    return says_decubitus(words or words_of(" ".join(_descriptions(header))))


def upright_turn(header: Dataset) -> Turn:
    """What makes rows run to the patient's left and columns to the feet, as frontal radiographs are looked at.

    Patient Orientation (PS3.3 C.7.6.1.1.1) says how the stored pixels lie. Field of View Rotation and Horizontal Flip
    (PS3.3 C.8.11.4) say what was done on the way from the detector to them: that is done, and not to be done again.

    Args:
        header: the instance's attributes.

    Returns:
        The turn; none for an image of another plane, or one that does not say how it lies.
    """
    axes = [axis[:1] for axis in texts(header, "PatientOrientation")]
    if len(axes) != 2:
        return Turn()
    transposed = axes[0] in ("H", "F")
    row, column = reversed(axes) if transposed else axes
    if row not in ("L", "R") or column not in ("H", "F"):
        return Turn()
    return Turn(transposed=transposed, mirrored=row == "R", flipped=column == "H")


def orientation_doubt(header: Dataset) -> str | None:
    """Warning of pixels that were turned on their way from the detector, where nothing says how they lie now."""
    if any(texts(header, "PatientOrientation")):
        return None
    rotation = next(iter(numbers(header, "FieldOfViewRotation")), 0.0)
    if rotation % 360 == 0 and text(header, "FieldOfViewHorizontalFlip").upper() != "YES":
        return None
    return (
        "The pixels are taken as they lie. The header says that they were turned or flipped on their way from the "
        "detector, and not how they lie now: left and right may be exchanged."
    )


def _coded_position(header: Dataset) -> Position:
    """Projection by codes (PS3.16 CID 4010), whatever their meanings say."""
    for item in sequence(header, "ViewCodeSequence"):
        scheme, code = text(item, "CodingSchemeDesignator").upper(), text(item, "CodeValue").upper()
        codes = _VIEW_CODES if scheme in _SNOMED_CT else _VIEW_CODES_RT if scheme in _SNOMED_RT else {}
        if code in codes:
            return codes[code]
    return Position.UNKNOWN


def _described_position(header: Dataset) -> Position:
    for words in _descriptions(header):
        position = position_from_words(words_of(words))
        if position is not Position.UNKNOWN:
            return position
    return Position.UNKNOWN


def _descriptions(header: Dataset) -> list[str]:
    """Free texts, the closest to the image first; the meaning of a code of SNOMED is none."""
    known = _SNOMED_CT | _SNOMED_RT
    meanings = [
        text(item, "CodeMeaning")
        for item in sequence(header, "ViewCodeSequence")
        if text(item, "CodingSchemeDesignator").upper() not in known
    ]
    return [*meanings, text(header, "SeriesDescription"), text(header, "ProtocolName")]
